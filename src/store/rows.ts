// The statements on the tables: rows in, rows out. Which row to write is decided elsewhere.
import type Database from "better-sqlite3";
import { uuidText } from "../keys/capability.ts";
import type { HybridClock } from "./clock.ts";
import type { OwedRow, ReasonMarks } from "./owed-rule.ts";
import {
  type DeliveryRecord,
  type DeliveryRow,
  type DueRecord,
  type DueRow,
  type FolderRecord,
  type RegistrationRecord,
  type StoredRegistration,
  toDelivery,
  toDue,
  toFolder,
  toStored,
} from "./records.ts";
import type { Folder, Queue, Registration } from "./types.ts";
import { unplacedText } from "./unplaced.ts";

/** The 16 bytes of a UUID in its canonical text. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll("-", ""), "hex");
}

/** The canonical text of 16 bytes. */
export function idText(bytes: Buffer): string {
  return uuidText(bytes);
}

export type Rows = ReturnType<typeof createRows>;

/**
 * Prepares the statements.
 * @param seq gives the next position in this node's feed; each row written takes one
 */
export function createRows(db: Database.Database, clock: HybridClock, seq: () => number) {
  const get = (sql: string) => db.prepare(sql);
  const selectRegistration = get("SELECT * FROM registration WHERE id = ?");
  const selectFolders = get(
    "SELECT * FROM folder WHERE registration = ? AND removed_revision IS NULL ORDER BY name",
  );
  const selectOwed = get("SELECT * FROM owed WHERE registration = ?");
  const selectDelivery = get("SELECT * FROM delivery WHERE registration = ?");
  const selectBound = get(
    "SELECT registration, name, bound_generation FROM folder WHERE subscription_mac = ? AND removed_revision IS NULL",
  );
  const selectDue = get("SELECT not_before, held_until, attempt, since FROM due WHERE registration = ?");
  const upsertRegistration = get(`
    INSERT OR REPLACE INTO registration (id, app, platform, token, token_mac, secret_hash, subject_mac, revision,
      locale, created_at, renewed_at, deleted_at, idle_at, version, seq)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL,NULL,?,?)`);
  const bury = get(`
    INSERT OR REPLACE INTO registration (id, revision, created_at, renewed_at, deleted_at, idle_at, version, seq)
    VALUES (?,?,?,?,?,?,?,?)`);
  const upsertFolder = get(`
    INSERT OR REPLACE INTO folder (registration, name, kind, generation, bound_generation, ended_generation,
      subscription_mac, watermark_mac, last_heard_at, server_mac, failed_at, silent_at, asks, asked_at,
      folder_mac, folder_learnt, status_frequency, unplaced, removed_revision, version, seq)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,NULL,?,?)`);
  const moveRegistration = get("UPDATE registration SET seq = ? WHERE id = ?");
  const removeFolder = get(`
    UPDATE folder SET removed_revision = ?, subscription_mac = NULL, watermark_mac = NULL, folder_mac = NULL,
      server_mac = NULL, unplaced = NULL, version = ?, seq = ? WHERE registration = ? AND name = ?`);
  const upsertOwed = get(`
    INSERT OR REPLACE INTO owed (registration, feed, badge, badge_mark, badge_event_at, badge_seen, reasons,
      version, seq) VALUES (?,?,?,?,?,?,?,?,?)`);
  const upsertDelivery = get(`
    INSERT OR REPLACE INTO delivery (registration, feed, count, badge_count, badge_feed, badge_mark, badge_seen,
      badge_token_mac, reason, outcome, apns_id, at, attempts, accepted, paced_shown, paced_wake, dead, dead_token_mac,
      dead_at, version, seq)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`);
  const upsertDue = get(
    `INSERT OR REPLACE INTO due (registration, app, platform, not_before, held_until, attempt, since)
    VALUES (?,?,?,?,?,?,?)`,
  );
  const shiftDue = get(
    "UPDATE due SET not_before = not_before + @by, held_until = held_until + @by, since = min(since + @by, @now)",
  );
  const deleteDue = get("DELETE FROM due WHERE registration = ?");
  const deleteAll = ["folder", "owed", "delivery", "due"].map((table) =>
    get(`DELETE FROM ${table} WHERE registration = ?`),
  );

  return {
    registration(id: Buffer): StoredRegistration | null {
      const row = selectRegistration.get(id) as RegistrationRecord | undefined;
      if (row === undefined) return null;
      return toStored(idText(id), row);
    },

    folders(id: Buffer): Folder[] {
      return (selectFolders.all(id) as FolderRecord[]).map(toFolder);
    },

    owed(id: Buffer): OwedRow[] {
      const rows = selectOwed.all(id) as {
        feed: string;
        badge: number | null;
        badge_mark: number;
        badge_event_at: number | null;
        badge_seen: string;
        reasons: string;
      }[];
      return rows.map((row) => ({
        feed: row.feed,
        badge: row.badge,
        badgeMark: row.badge_mark,
        badgeEventAt: row.badge_event_at ?? 0,
        badgeSeen: JSON.parse(row.badge_seen) as Record<string, number>,
        reasons: JSON.parse(row.reasons) as Record<string, ReasonMarks>,
      }));
    },

    deliveries(id: Buffer): DeliveryRow[] {
      return (selectDelivery.all(id) as DeliveryRecord[]).map(toDelivery);
    },

    /** Folders on which a SubscriptionId is noted, with their registration's id. */
    bound(subscriptionMac: Buffer): { registration: Buffer; name: string; boundGeneration: number }[] {
      const rows = selectBound.all(subscriptionMac) as {
        registration: Buffer;
        name: string;
        bound_generation: number;
      }[];
      return rows.map((row) => ({
        registration: row.registration,
        name: row.name,
        boundGeneration: row.bound_generation,
      }));
    },

    due(id: Buffer): DueRow | null {
      const row = selectDue.get(id) as DueRecord | undefined;
      return row === undefined ? null : toDue(row);
    },

    writeRegistration(id: Buffer, registration: Omit<Registration, "id">, sealedToken: Buffer): void {
      upsertRegistration.run(
        id,
        registration.app,
        registration.platform,
        sealedToken,
        registration.tokenMac,
        registration.secretHash,
        registration.subjectMac,
        registration.revision,
        registration.locale,
        registration.createdAt,
        registration.renewedAt,
        clock.tick(),
        seq(),
      );
    },

    /** Leaves a tombstone (`deletedAt`) or an idle row, and removes everything else under the id. */
    bury(
      id: Buffer,
      revision: number,
      createdAt: number,
      renewedAt: number,
      end: { deletedAt?: number; idleAt?: number },
    ) {
      bury.run(
        id,
        revision,
        createdAt,
        renewedAt,
        end.deletedAt ?? null,
        end.idleAt ?? null,
        clock.tick(),
        seq(),
      );
      for (const statement of deleteAll) statement.run(id);
    },

    /** Puts a registration's row to the end of this node's feed, as it is. */
    tellAgain(id: Buffer): void {
      moveRegistration.run(seq(), id);
    },

    writeFolder(id: Buffer, folder: Folder): void {
      upsertFolder.run(
        id,
        folder.name,
        folder.kind,
        folder.generation,
        folder.boundGeneration,
        folder.endedGeneration,
        folder.subscriptionMac,
        folder.watermarkMac,
        folder.lastHeardAt,
        folder.serverMac,
        folder.failedAt,
        folder.silentAt,
        folder.asks,
        folder.askedAt,
        folder.folderMac,
        folder.folderLearnt ? 1 : 0,
        folder.statusFrequencyMinutes,
        unplacedText(folder.unplaced),
        clock.tick(),
        seq(),
      );
    },

    removeFolder(id: Buffer, name: string, revision: number): void {
      removeFolder.run(revision, clock.tick(), seq(), id, name);
    },

    writeOwed(id: Buffer, row: OwedRow): void {
      upsertOwed.run(
        id,
        row.feed,
        row.badge,
        row.badgeMark,
        row.badge === null ? null : row.badgeEventAt,
        JSON.stringify(row.badgeSeen),
        JSON.stringify(row.reasons),
        clock.tick(),
        seq(),
      );
    },

    writeDelivery(id: Buffer, row: DeliveryRow): void {
      upsertDelivery.run(
        id,
        row.feed,
        row.rings,
        row.count,
        row.ref?.feed ?? null,
        row.ref?.mark ?? null,
        JSON.stringify(row.seen),
        row.tokenMac,
        row.last.reason,
        row.last.outcome,
        row.apnsId,
        row.last.at,
        row.last.attempts,
        row.accepted,
        row.pace.shown,
        row.pace.wake,
        row.dead?.kind ?? null,
        row.dead?.tokenMac ?? null,
        row.dead?.at ?? null,
        clock.tick(),
        seq(),
      );
    },

    writeDue(id: Buffer, queue: Queue, due: DueRow): void {
      upsertDue.run(id, queue.app, queue.platform, due.notBefore, due.heldUntil, due.attempt, due.since);
    },

    /** Moves every wait by so many milliseconds, as the wall clock was. */
    shiftDue(by: number, now: number): void {
      // Noted as a write: the clock's new reading is kept along with the waits that follow it.
      clock.tick();
      seq();
      shiftDue.run({ by: Math.round(by), now });
    },

    deleteDue(id: Buffer): void {
      deleteDue.run(id);
    },
  };
}
