// Arithmetic of stretches of time. Pure.
import type { Spell } from "./evidence.ts";

/** @param tailMs so much later still counts */
export function within(atMs: number, { fromMs, toMs }: Spell, tailMs = 0): boolean {
  return atMs >= fromMs && atMs <= toMs + tailMs;
}

/** What two stretches have in common: one stretch, or none. */
export function overlap(one: Spell, two: Spell): Spell[] {
  const fromMs = Math.max(one.fromMs, two.fromMs);
  const toMs = Math.min(one.toMs, two.toMs);
  return toMs > fromMs ? [{ fromMs, toMs }] : [];
}

/** Milliseconds. */
export function total(spells: readonly Spell[]): number {
  return spells.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
}

/** The longest time within a spell that nothing of `covered` covers. */
export function longestGap(covered: readonly Spell[], { fromMs, toMs }: Spell): number {
  let longest = 0;
  let at = fromMs;
  for (const spell of [...covered].sort((one, two) => one.fromMs - two.fromMs)) {
    longest = Math.max(longest, spell.fromMs - at);
    at = Math.max(at, spell.toMs);
  }
  return Math.max(longest, toMs - at);
}

/** As the timeline has it. */
export function atSecond({ atMs }: { readonly atMs: number }): string {
  return `${(atMs / 1000).toFixed(1)} s`;
}
