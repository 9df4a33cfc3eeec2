// Durations as the configuration writes them: 500ms, 3s, 15m, 12h, 60d. Pure.
import { DURATION_PATTERN } from "./options.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SHAPE = new RegExp(DURATION_PATTERN);

/** Milliseconds, or null when the text is not a duration. */
export function parseDurationMs(text: string): number | null {
  const unit = SHAPE.exec(text)?.[1];
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
  return unitMs === undefined ? null : Number.parseInt(text, 10) * unitMs;
}
