// What is owed, as a pure rule over the owed and delivery rows of one registration: which badge is the newest,
// whether it still has to be rung, and which reason the next ring has.
import { clockTime } from "./clock.ts";
import { allowanceOf, allowedAt, type Pace } from "./pace.ts";
import type { BadgeRef, Platform, Reason } from "./types.ts";

/** What one feed accepted. Feeds and marks are explained in `types.ts`. */
export interface OwedRow {
  readonly feed: string;
  readonly badge: number | null;
  readonly badgeMark: number;
  /** Time of Exchange's event, epoch milliseconds. */
  readonly badgeEventAt: number;
  /** The other feeds' badge marks that were known when this badge was accepted, also from rows that are gone. */
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
  /** Of the token that it rang, null where that is not known. */
  readonly tokenMac: Buffer | null;
  /** The other feeds' counts that were known when it began, also from rows that are gone. */
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

/**
 * Rings as they count for a phone's present token. A new token is often a new installation, which shows no badge yet:
 * what the old one was rung with is owed to it again, whichever node rang that, before or after it knew of the new one.
 */
export function ringsTo<Ring extends BadgeRing>(tokenMac: Buffer, rings: readonly Ring[]): readonly Ring[] {
  return rings.map((ring) =>
    ring.tokenMac === null || ring.tokenMac.equals(tokenMac) ? ring : { ...ring, ref: null },
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
  /** Not before this time, epoch milliseconds; in the past or now if it may go out. */
  readonly at: number;
}

/** What decides when a ring may go out. */
export interface Timing {
  /** Epoch milliseconds. */
  readonly now: number;
  readonly platform: Platform;
  readonly pace: Pace;
  /** How long what changed elsewhere waits for more of it, milliseconds. */
  readonly mergeChangesMs: number;
}

// A mail that nobody was told of for so long is no news: the badge says the rest, without a text or a sound.
export const MAIL_STALE_MS = 4 * 3_600_000;
// Whoever asked for a test ring has stopped looking at the phone. It is the only reason that is ever dropped.
export const TEST_STALE_MS = 10 * 60_000;

/** An open reason: which marks a ring for it answers, and since when it is owed. */
export interface OpenReason {
  readonly marks: Record<string, number>;
  /** Epoch milliseconds. */
  since: number;
  /** When its latest news came, epoch milliseconds. */
  latest: number;
}

/**
 * Chooses the next ring, or null if nothing is owed: the most pressing one that may go out now, else the one that
 * may go out first.
 */
export function nextRing(
  rows: readonly OwedRow[],
  rings: readonly BadgeRing[],
  timing: Timing,
): NextRing | null {
  const { now, platform, pace, mergeChangesMs } = timing;
  const open = openReasons(rows, now);
  const newest = newestBadge(rows);
  const badge = isBadgeOwed(newest, rings) ? newest : null;
  const mail = open.get("mail");
  const changed = open.get("changed");
  const made: NextRing[] = [];
  for (const [key, { marks, since }] of [...open].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { reason, folder } = parseReasonKey(key);
    if (reason === "mail" || reason === "changed") continue;
    // A background push and a test carry no badge (see the payload table).
    made.push(ring(reason, folder, null, { [key]: marks }, since));
  }
  if (mail !== undefined) {
    // A ring for new mail makes the app look at the inbox: what changed there is answered by it too.
    const marks = { mail: mail.marks, ...(changed === undefined ? {} : { changed: changed.marks }) };
    const reason = now - mail.latest > MAIL_STALE_MS ? "changed" : "mail";
    made.push(ring(reason, null, badge, marks, mail.since));
  } else if (changed !== undefined) {
    made.push(ring("changed", null, badge, { changed: changed.marks }, changed.since));
  } else if (badge !== null) {
    // A badge without a reason of its own: a new token gets the last one again, and nobody has to wait for it.
    made.push(ring("changed", null, badge, {}, Number.NEGATIVE_INFINITY));
  }
  let best: NextRing | null = null;
  for (const reason of ORDER) {
    for (const each of made) {
      if (each.reason === reason && (best === null || (best.at > now && each.at < best.at))) best = each;
    }
  }
  return best;

  function ring(
    reason: Reason,
    folder: string | null,
    carried: OwedRow | null,
    marks: NextRing["marks"],
    since: number,
  ): NextRing {
    const allowed = allowedAt(pace, platform, allowanceOf(reason, carried !== null), now);
    // Merging waits from the first of the changes on, so that a stream of them cannot put the ring off for ever.
    // A time that is still to come was noted by a clock that was ahead: who waited for it would wait as long as that was.
    const merged = since > now ? now : since + mergeChangesMs;
    const at = reason === "changed" ? Math.max(allowed, merged) : allowed;
    return { reason, folder, badge: carried, marks, at };
  }
}

/** Reasons with a mark above its settled mark, by key; tests that nobody waits for any more are left out. */
export function openReasons(rows: readonly OwedRow[], now: number): Map<string, OpenReason> {
  const open = new Map<string, OpenReason>();
  for (const row of rows) {
    for (const [key, [mark, settled, since]] of Object.entries(row.reasons)) {
      if (mark <= settled) continue;
      const latest = clockTime(mark);
      if (parseReasonKey(key).reason === "test" && now - latest > TEST_STALE_MS) continue;
      const known = open.get(key) ?? { marks: {}, since, latest };
      known.marks[row.feed] = mark;
      known.since = Math.min(known.since, since);
      known.latest = Math.max(known.latest, latest);
      open.set(key, known);
    }
  }
  return open;
}
