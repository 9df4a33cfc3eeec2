// What is owed, as a pure rule over the owed and delivery rows of one registration: which badge is the newest,
// whether it still has to be rung, and which reason the next ring has.
import type { BadgeRef, Reason } from "./types.ts";

/** What one feed accepted. Feeds and marks are explained in `types.ts`. */
export interface OwedRow {
  readonly feed: string;
  readonly badge: number | null;
  readonly badgeMark: number;
  /** Time of Exchange's event, epoch milliseconds. */
  readonly badgeEventAt: number;
  /** The other feeds' badge marks that were known when this badge was accepted. */
  readonly badgeSeen: Readonly<Record<string, number>>;
  /** Reason key to its marks. */
  readonly reasons: Readonly<Record<string, ReasonMarks>>;
}

/** [mark, settled mark, owed since in epoch milliseconds] */
export type ReasonMarks = readonly [mark: number, settled: number, since: number];

/** The last ring of one feed that carried a badge. */
export interface BadgeRing {
  readonly feed: string;
  /** How many rings with a badge this feed had made, this one included. */
  readonly count: number;
  readonly ref: BadgeRef | null;
  /** The other feeds' counts that were known when it began. */
  readonly seen: Readonly<Record<string, number>>;
}

/**
 * The newest badge among the feeds' own: the one that had seen the other; if neither had (the nodes were apart),
 * the later event; if those are equal, the higher mark, so that every node decides alike.
 */
export function newestBadge(rows: readonly OwedRow[]): OwedRow | null {
  let best: OwedRow | null = null;
  for (const row of rows) {
    if (row.badge === null) continue;
    if (best === null || (row.badgeSeen[best.feed] ?? 0) >= best.badgeMark) {
      best = row;
      continue;
    }
    if ((best.badgeSeen[row.feed] ?? 0) >= row.badgeMark) continue;
    const later =
      row.badgeEventAt !== best.badgeEventAt
        ? row.badgeEventAt > best.badgeEventAt
        : row.badgeMark !== best.badgeMark
          ? row.badgeMark > best.badgeMark
          : row.feed > best.feed;
    if (later) best = row;
  }
  return best;
}

/**
 * Whether the newest badge still has to be rung: it is owed unless some feed's last ring carried it and had seen,
 * when it began, every other feed's last ring that carried another badge.
 */
export function isBadgeOwed(newest: OwedRow | null, rings: readonly BadgeRing[]): boolean {
  if (newest === null) return false;
  const carriesNewest = (ring: BadgeRing) =>
    ring.ref !== null && ring.ref.feed === newest.feed && ring.ref.mark === newest.badgeMark;
  return !rings.some(
    (ring) =>
      carriesNewest(ring) &&
      rings.every(
        (other) => other === ring || carriesNewest(other) || (ring.seen[other.feed] ?? 0) >= other.count,
      ),
  );
}

// Most pressing first. A test is what somebody waits for; without a subscription nothing else would come.
const ORDER: readonly Reason[] = ["test", "resubscribe", "mail", "changed", "calendar", "folder"];

/** A reason key as it is stored: the reason, and for `resubscribe` the folder after a colon. */
export function reasonKey(reason: Reason, folder: string | null): string {
  return reason === "resubscribe" && folder !== null ? `resubscribe:${folder}` : reason;
}

/** The reason and folder of a stored key. */
export function parseReasonKey(key: string): { reason: Reason; folder: string | null } {
  const [name, folder] = key.split(":", 2);
  const reason = ORDER.find((known) => known === name);
  return { reason: reason ?? "changed", folder: folder ?? null };
}

/** What the next ring is for. */
export interface NextRing {
  readonly reason: Reason;
  readonly folder: string | null;
  /** The newest badge, where the ring carries it. */
  readonly badge: OwedRow | null;
  /** Reason key to feed to the mark that this ring answers. */
  readonly marks: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Chooses the next ring, or null if nothing is owed. */
export function nextRing(rows: readonly OwedRow[], rings: readonly BadgeRing[]): NextRing | null {
  const open = new Map<string, Record<string, number>>();
  for (const row of rows) {
    for (const [key, [mark, settled]] of Object.entries(row.reasons)) {
      if (mark <= settled) continue;
      const marks = open.get(key) ?? {};
      marks[row.feed] = mark;
      open.set(key, marks);
    }
  }
  const newest = newestBadge(rows);
  const badge = isBadgeOwed(newest, rings) ? newest : null;
  const keys = [...open.keys()].sort();
  for (const reason of ORDER) {
    if (reason === "changed" && badge !== null && !open.has("changed")) {
      return { reason, folder: null, badge, marks: {} };
    }
    const key = keys.find((candidate) => parseReasonKey(candidate).reason === reason);
    if (key === undefined) continue;
    const settled: Record<string, Readonly<Record<string, number>>> = { [key]: open.get(key) ?? {} };
    // A ring for new mail makes the app look at the inbox: what changed there is answered by it too.
    const changed = open.get("changed");
    if (reason === "mail" && changed !== undefined) settled.changed = changed;
    // Only these two can carry a badge: a background push and a test have none (see the payload table).
    const carries = reason === "mail" || reason === "changed";
    return { reason, folder: parseReasonKey(key).folder, badge: carries ? badge : null, marks: settled };
  }
  return null;
}
