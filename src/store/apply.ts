// Reads what is known under a registration id and applies a decided change to the rows, inside a transaction.
import { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import type { HybridClock } from "./clock.ts";
import type { LazyFolders } from "./lazy-folders.ts";
import { nextRing, type OwedRow, reasonKey } from "./owed-rule.ts";
import { type DeliveryRow, idBytes, type Rows } from "./rows.ts";
import type { Change, Folder, Registration, RegistrationState } from "./types.ts";

export interface Ledger {
  state(registrationId: string): RegistrationState;
  /** Applies a change; true if something is due for this registration now. */
  apply(registrationId: string, state: RegistrationState, change: Change): boolean;
  /** Derives the work list's row anew from the owed and delivery rows; true if it is due now. */
  refreshDue(registrationId: string, restart?: { readonly at: number }): boolean;
}

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

  function writeRegistration(
    registrationId: string,
    id: Buffer,
    before: RegistrationState,
    wanted: NonNullable<Change["registration"]>,
  ): void {
    const { token, ...rest } = wanted;
    const createdAt = before.kind === "present" ? before.registration.createdAt : wanted.renewedAt;
    const registration = { ...rest, createdAt, tokenMac: keyring.mac("token", token) };
    rows.writeRegistration(id, registration, keyring.seal(token, registrationId, "token"));
    if (before.kind !== "present" || before.registration.tokenMac.equals(registration.tokenMac)) return;
    // A new token is often a new installation, which shows no badge yet: the last one is owed to it again.
    const mine = rows.deliveries(id).find((row) => row.feed === feed);
    if (mine !== undefined)
      rows.writeDelivery(id, { ...mine, rings: mine.rings + 1, count: mine.count + 1, ref: null });
  }

  function owe(id: Buffer, change: Change): boolean {
    const { badge, reasons = [] } = change;
    if (badge === undefined && reasons.length === 0) return false;
    const all = rows.owed(id);
    const others = all.filter((row) => row.feed !== feed);
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
            badgeSeen: Object.fromEntries(others.map((row) => [row.feed, row.badgeMark])),
          };
    rows.writeOwed(id, { ...mine, ...badgePart, reasons: marks });
    return true;
  }

  function apply(registrationId: string, before: RegistrationState, change: Change): boolean {
    const id = idBytes(registrationId);
    if (change.delete !== undefined) {
      if (before.kind !== "present")
        throw new BellError("internal", "Only a present registration can be deleted.");
      const { revision, createdAt, renewedAt } = before.registration;
      rows.bury(id, revision, createdAt, renewedAt, { deletedAt: change.delete.at });
      lazy.forget(registrationId);
      return false;
    }
    if (change.registration !== undefined) writeRegistration(registrationId, id, before, change.registration);
    for (const folder of change.folders ?? []) writeFolder(registrationId, id, folder, change.lazy === true);
    for (const name of change.removeFolders ?? []) {
      const revision = change.registration?.revision ?? 0;
      rows.removeFolder(id, name, revision);
      lazy.forget(registrationId, name);
    }
    const news = owe(id, change);
    return news || change.registration !== undefined ? refreshDue(registrationId) : false;
  }

  function writeFolder(registrationId: string, id: Buffer, folder: Folder, later: boolean): void {
    if (later) {
      lazy.note(registrationId, folder);
      return;
    }
    lazy.forget(registrationId, folder.name);
    rows.writeFolder(id, folder);
  }

  function refreshDue(registrationId: string, restart?: { readonly at: number }): boolean {
    const id = idBytes(registrationId);
    const stored = rows.registration(id);
    const deliveries = rows.deliveries(id);
    const due = rows.due(id);
    if (
      stored?.kind !== "present" ||
      deadness(stored.registration, deliveries) !== "no" ||
      nextRing(rows.owed(id), deliveries) === null
    ) {
      if (due !== null) rows.deleteDue(id);
      return false;
    }
    if (due === null || restart !== undefined) {
      const at = restart?.at ?? now();
      rows.writeDue(id, stored.registration, { notBefore: at, attempt: 0, since: at });
      return true;
    }
    // Waiting for its next try: newer news joins it and does not cut the wait short.
    return due.notBefore <= now();
  }

  return { state, apply, refreshDue };
}

function emptyOwed(feed: string): OwedRow {
  return { feed, badge: null, badgeMark: 0, badgeEventAt: 0, badgeSeen: {}, reasons: {} };
}
