// Reads what is known under a registration id and applies a decided change to the rows, inside a transaction.
import { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import type { HybridClock } from "./clock.ts";
import { folderState } from "./folder-state.ts";
import type { LazyFolders } from "./lazy-folders.ts";
import {
  type NextRing,
  newestBadge,
  nextRing,
  type OwedRow,
  type ReasonMarks,
  reasonKey,
  ringsTo,
} from "./owed-rule.ts";
import { combinedPace } from "./pace.ts";
import type { DeliveryRow } from "./records.ts";
import { idBytes, type Rows } from "./rows.ts";
import { seenBy } from "./seen.ts";
import type { BadgeNews, Change, DueNews, Folder, Registration, RegistrationState } from "./types.ts";
import { placedCount } from "./unplaced.ts";

export interface Ledger {
  state(registrationId: string): RegistrationState;
  /** Applies a change; gives what became due for this registration, or null if nothing did. */
  apply(registrationId: string, state: RegistrationState, change: Change): Due | null;
  /**
   * Derives the work list's row anew from the owed and delivery rows.
   * @param restart when a ring ended (epoch milliseconds): the next one starts its tries anew
   * @param known the rows, where they were just read
   */
  refreshDue(registrationId: string, restart?: { readonly at: number }, known?: KnownRows): Due | null;
  /** The next ring by the rules, at `at` (epoch milliseconds) or at a time to come; null if nothing is owed or nobody can be rung. */
  next(
    id: Buffer,
    registration: Registration,
    deliveries: readonly DeliveryRow[],
    at: number,
  ): NextRing | null;
  /** Makes the newest badge of a count that waited, unless a later event's is known; whether it did. */
  place(registrationId: string, waited: BadgeNews): boolean;
}

/** What is stored for a registration. */
export interface KnownRows {
  readonly registration: Registration;
  readonly deliveries: readonly DeliveryRow[];
  readonly owed: readonly OwedRow[];
}

/** What became due, and when (epoch milliseconds, perhaps in the past). */
export type Due = Pick<DueNews, "queue" | "at">;

/** Whether the provider's verdict still holds: for this very token, and not renewed since. */
export function deadness(
  registration: Registration,
  deliveries: readonly DeliveryRow[],
): "no" | "stopped" | "ended" {
  let worst: "no" | "stopped" | "ended" = "no";
  for (const { dead } of deliveries) {
    if (dead === null || !dead.tokenMac.equals(registration.tokenMac) || dead.at < registration.renewedAt)
      continue;
    if (dead.kind === "ended") return "ended";
    worst = "stopped";
  }
  return worst;
}

export function createLedger(
  rows: Rows,
  lazy: LazyFolders,
  keyring: Keyring,
  clock: HybridClock,
  feed: string,
  now: () => number,
  mergeChangesMs: number,
): Ledger {
  function state(registrationId: string): RegistrationState {
    const id = idBytes(registrationId);
    const stored = rows.registration(id);
    if (stored === null || stored.kind === "idle") {
      // What was heard of folders whose registration has yet to arrive.
      return {
        kind: "missing",
        folders: rows.folders(id).map((folder) => lazy.newest(registrationId, folder)),
      };
    }
    if (stored.kind === "deleted") return { kind: "deleted", at: stored.at };
    return {
      kind: "present",
      registration: stored.registration,
      folders: rows.folders(id).map((folder) => lazy.newest(registrationId, folder)),
      dead: deadness(stored.registration, rows.deliveries(id)),
    };
  }

  /** Gives whether the phone has another token than before. */
  function writeRegistration(
    registrationId: string,
    id: Buffer,
    before: RegistrationState,
    wanted: NonNullable<Change["registration"]>,
  ): boolean {
    const { token, ...rest } = wanted;
    const createdAt = before.kind === "present" ? before.registration.createdAt : wanted.renewedAt;
    const registration = { ...rest, createdAt, tokenMac: keyring.mac("token", token) };
    rows.writeRegistration(id, registration, keyring.seal(token, registrationId, "token"));
    if (before.kind !== "present" || before.registration.tokenMac.equals(registration.tokenMac)) return false;
    return true;
  }

  /** Whoever subscribed again, or is heard again, need not be asked to: what is owed of that is settled. */
  function settleMended(id: Buffer, before: RegistrationState, change: Change): boolean {
    if (before.kind !== "present") return false;
    const isCalm = (folder: Folder) => ["live", "expected"].includes(folderState(folder));
    const mended = (change.folders ?? []).filter((folder) => {
      const earlier = before.folders.find(({ name }) => name === folder.name);
      return earlier !== undefined && !isCalm(earlier) && isCalm(folder);
    });
    if (mended.length === 0) return false;
    const keys = new Set(mended.map(({ name }) => reasonKey("resubscribe", name)));
    let settled = false;
    for (const row of rows.owed(id)) {
      const open = Object.entries(row.reasons).filter(([key, [mark, done]]) => keys.has(key) && mark > done);
      if (open.length === 0) continue;
      const reasons = Object.fromEntries(
        open.map(([key, [mark, , since]]): [string, ReasonMarks] => [key, [mark, mark, since]]),
      );
      rows.writeOwed(id, { ...row, reasons: { ...row.reasons, ...reasons } });
      settled = true;
    }
    return settled;
  }

  function owe(id: Buffer, change: Change): boolean {
    const { badge, reasons = [] } = change;
    if (badge === undefined && reasons.length === 0) return false;
    const all = rows.owed(id);
    const mine = all.find((row) => row.feed === feed) ?? emptyOwed(feed);
    const mark = clock.tick();
    const marks: Record<string, readonly [number, number, number]> = { ...mine.reasons };
    for (const { reason, folder } of reasons) {
      const key = reasonKey(reason, folder ?? null);
      const [oldMark, settled, since] = marks[key] ?? [0, 0, 0];
      marks[key] = [mark, settled, oldMark > settled ? since : now()];
    }
    const badgePart =
      badge === undefined
        ? {}
        : {
            badge: badge.count,
            badgeMark: mark,
            badgeEventAt: badge.eventAt,
            badgeSeen: seenBy(
              feed,
              all.map((row) => ({ feed: row.feed, mark: row.badgeMark, seen: row.badgeSeen })),
            ),
          };
    rows.writeOwed(id, { ...mine, ...badgePart, reasons: marks });
    return true;
  }

  function placeIn(id: Buffer, waited: BadgeNews): boolean {
    const newest = newestBadge(rows.owed(id));
    // It was accepted before that one, whatever the order in which the nodes heard of each other.
    if (newest !== null && newest.badgeEventAt >= waited.eventAt) return false;
    return owe(id, { badge: waited });
  }

  function apply(registrationId: string, before: RegistrationState, change: Change): Due | null {
    const id = idBytes(registrationId);
    if (change.delete !== undefined) {
      if (before.kind !== "present")
        throw new BellError("internal", "Only a present registration can be deleted.");
      const { revision, createdAt, renewedAt } = before.registration;
      rows.bury(id, revision, createdAt, renewedAt, { deletedAt: change.delete.at });
      lazy.forget(registrationId);
      return null;
    }
    const isReplaced =
      change.registration !== undefined && writeRegistration(registrationId, id, before, change.registration);
    let placed = false;
    for (const folder of change.folders ?? []) {
      const waited = placedCount(folder);
      if (waited !== null) placed = placeIn(id, waited) || placed;
      const isKnown = folder.folderMac !== null && folder.unplaced.length > 0;
      writeFolder(registrationId, id, isKnown ? { ...folder, unplaced: [] } : folder, change.lazy === true);
    }
    for (const name of change.removeFolders ?? []) {
      const revision = change.registration?.revision ?? 0;
      rows.removeFolder(id, name, revision);
      lazy.forget(registrationId, name);
    }
    const settled = settleMended(id, before, change);
    const news = owe(id, change) || settled || placed;
    // What the provider said of the old token, and the wait that follows from it, is not about the new one.
    if (isReplaced) return refreshDue(registrationId, { at: rows.due(id)?.since ?? now() });
    return news || change.registration !== undefined ? refreshDue(registrationId) : null;
  }

  function writeFolder(registrationId: string, id: Buffer, folder: Folder, later: boolean): void {
    if (later) {
      lazy.note(registrationId, folder);
      return;
    }
    lazy.forget(registrationId, folder.name);
    rows.writeFolder(id, folder);
  }

  function next(
    id: Buffer,
    registration: Registration,
    deliveries: readonly DeliveryRow[],
    at: number,
  ): NextRing | null {
    return nextOf({ registration, deliveries, owed: rows.owed(id) }, at);
  }

  function nextOf({ registration, deliveries, owed }: KnownRows, at: number): NextRing | null {
    if (deadness(registration, deliveries) !== "no") return null;
    return nextRing(owed, ringsTo(registration.tokenMac, deliveries), {
      now: at,
      platform: registration.platform,
      pace: combinedPace(deliveries.map(({ pace }) => pace)),
      mergeChangesMs,
    });
  }

  function readKnown(id: Buffer): KnownRows | null {
    const stored = rows.registration(id);
    if (stored?.kind !== "present") return null;
    return {
      registration: stored.registration,
      deliveries: rows.deliveries(id),
      owed: rows.owed(id),
    };
  }

  function refreshDue(
    registrationId: string,
    restart?: { readonly at: number },
    rowsAtHand?: KnownRows,
  ): Due | null {
    const id = idBytes(registrationId);
    const known = rowsAtHand ?? readKnown(id);
    const ring = known === null ? null : nextOf(known, now());
    if (known === null || ring === null) {
      rows.deleteDue(id);
      return null;
    }
    const due = restart === undefined ? rows.due(id) : null;
    const since = restart?.at ?? now();
    // Waiting for its next try: newer news joins it and does not cut that wait short.
    const kept = due ?? { heldUntil: 0, attempt: 0, since };
    const notBefore = Math.max(kept.heldUntil, ring.at);
    if (notBefore !== due?.notBefore) rows.writeDue(id, known.registration, { ...kept, notBefore });
    const { app, platform } = known.registration;
    return { queue: { app, platform }, at: notBefore };
  }

  return {
    state,
    apply,
    refreshDue,
    next,
    place: (registrationId, waited) => placeIn(idBytes(registrationId), waited),
  };
}

function emptyOwed(feed: string): OwedRow {
  return { feed, badge: null, badgeMark: 0, badgeEventAt: 0, badgeSeen: {}, reasons: {} };
}
