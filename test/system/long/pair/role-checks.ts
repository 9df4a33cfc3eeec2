// Which node was active when, held against what is promised of the roles. Pure.
import { type Evidence, NODES, type NodeName, type RoleSpell, type Spell } from "./evidence.ts";
import { longestGap, overlap, total } from "./spells.ts";

// A ring that had begun before its node became passive may still reach the provider. Milliseconds.
const LAST_RINGS_MS = 3_000;
// While roles change hands by themselves after a fault, milliseconds.
const ROLES_SETTLE_MS = 2_000;
// Both nodes may say for a moment that they are active, or that they are not: what is polled is not one moment.
const SHORT_MS = 1_200;
// Before a node that was frozen could have waited for the other one, milliseconds.
const AFTER_THAW_MS = 1_000;

/** Only the active node rings. */
export function ringsOfPassive({ pushes, roles }: Evidence): string[] {
  const passive = roles.filter(({ role }) => role === "passive");
  const wrong = pushes.filter(({ node, atMs }) =>
    passive.some(
      (spell) => spell.node === node && atMs > spell.fromMs + LAST_RINGS_MS && atMs < spell.lastAskedMs,
    ),
  );
  return NODES.flatMap((node) => {
    const own = wrong.filter((push) => push.node === node);
    return own.length === 0 ? [] : [`${node} rang ${own.length} times while it was passive`];
  });
}

/** A node that stood still while the other one was active neither rings nor says that it is active when it goes on. */
export function wordsAfterFreeze({ freezes, pushes, roles }: Evidence): string[] {
  return freezes.flatMap(({ node, toMs }) => {
    const isLed = roles.some(
      (spell) => spell.node !== node && spell.role === "active" && spell.fromMs < toMs && spell.toMs > toMs,
    );
    const isAfter = (atMs: number) => atMs > toMs && atMs < toMs + AFTER_THAW_MS;
    const rings = pushes.filter((push) => push.node === node && isAfter(push.atMs)).length;
    const said = roles.some((spell) => spell.node === node && spell.role === "active" && isAfter(spell.toMs));
    return isLed && (rings > 0 || said)
      ? [`${node} rang ${rings} times${said ? " and said that it was active" : ""} right after it was frozen`]
      : [];
  });
}

/** Not both at once in calm. */
export function wrongRoles({ calm, roles }: Evidence): string[] {
  return calm.flatMap((spell) => {
    const [ones, twos] = NODES.map((node) => activeIn(settled(spell), roles, node)) as [Spell[], Spell[]];
    const both = total(ones.flatMap((one) => twos.flatMap((two) => overlap(one, two))));
    return both > SHORT_MS ? [`both nodes were active for ${Math.round(both)} ms in calm`] : [];
  });
}

/** For how long nobody was active, in calm and after each fault; judged only where the machine was not overloaded. */
export function judgedBounds({ calm, takeovers, roles, overloaded }: Evidence): {
  readonly broken: readonly string[];
  readonly unjudged: readonly string[];
} {
  const bounds: readonly (Spell & { readonly what: string | null; readonly withinMs: number })[] = [
    ...calm.map((spell) => ({ ...settled(spell), what: null, withinMs: SHORT_MS })),
    ...takeovers,
  ];
  const slow = bounds.flatMap((spell) => {
    const gapMs = longestGap(activeIn(spell, roles), spell);
    if (gapMs <= spell.withinMs) return [];
    const when = spell.what === null ? "in calm" : `after ${spell.what}, which may be ${spell.withinMs} ms`;
    const words = `no node was active for ${Math.round(gapMs)} ms ${when}`;
    return [{ words, busyMs: total(overloaded.flatMap((busy) => overlap(busy, spell))) }];
  });
  return {
    broken: slow.filter(({ busyMs }) => busyMs === 0).map(({ words }) => words),
    unjudged: slow
      .filter(({ busyMs }) => busyMs > 0)
      .map(({ words, busyMs }) => `${words}; the machine was overloaded for ${Math.round(busyMs)} ms of it`),
  };
}

/** Calm once roles have changed hands by themselves. */
function settled({ fromMs, toMs }: Spell): Spell {
  return { fromMs: Math.min(toMs, fromMs + ROLES_SETTLE_MS), toMs };
}

function activeIn(spell: Spell, roles: readonly RoleSpell[], node?: NodeName): Spell[] {
  return roles
    .filter((each) => each.role === "active" && (node ?? each.node) === each.node)
    .flatMap((each) => overlap(each, spell));
}
