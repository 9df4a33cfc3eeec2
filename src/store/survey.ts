// Questions over all registrations: what is due, what fell idle, and the walk over all of them.
import type Database from "better-sqlite3";
import { type FolderRecord, toFolder } from "./records.ts";
import { idBytes, idText } from "./rows.ts";
import type { Folder, Queue, WalkedPhone } from "./types.ts";

export interface Survey {
  due(queue: Queue, now: number, limit: number): string[];
  nextDueAt(queue: Queue, after: number): number | null;
  /** Ids of registrations last renewed at or before this time, at most a thousand. */
  idle(renewedUntil: number): Buffer[];
  /** Registrations that exist, after an id or from the first one on, with their folders. */
  walk(afterId: string | null, limit: number): WalkedPhone[];
}

type WalkRecord = { readonly id: Buffer; readonly app: string; readonly is_dead: number } & (
  | FolderRecord
  | { readonly name: null }
);

export function createSurvey(db: Database.Database): Survey {
  const due = db
    .prepare(
      "SELECT registration FROM due WHERE app = ? AND platform = ? AND not_before <= ? ORDER BY not_before LIMIT ?",
    )
    .pluck();
  const next = db
    .prepare("SELECT min(not_before) FROM due WHERE app = ? AND platform = ? AND not_before > ?")
    .pluck();
  const walk = db.prepare(`
    SELECT id, app, EXISTS (
      SELECT 1 FROM delivery WHERE delivery.registration = id AND dead IS NOT NULL
        AND dead_token_mac = token_mac AND dead_at >= renewed_at
    ) AS is_dead, folder.* FROM (
      SELECT id, app, token_mac, renewed_at FROM registration
      WHERE id > ? AND deleted_at IS NULL AND idle_at IS NULL ORDER BY id LIMIT ?
    ) LEFT JOIN folder ON folder.registration = id AND removed_revision IS NULL
    ORDER BY id, name`);
  const idle = db
    .prepare(
      "SELECT id FROM registration WHERE deleted_at IS NULL AND idle_at IS NULL AND renewed_at <= ? LIMIT 1000",
    )
    .pluck();
  return {
    due: ({ app, platform }, now, limit) => (due.all(app, platform, now, limit) as Buffer[]).map(idText),
    nextDueAt: ({ app, platform }, after) =>
      (next.get(app, platform, after) as number | null | undefined) ?? null,
    idle: (renewedUntil) => idle.all(renewedUntil) as Buffer[],
    walk(afterId, limit) {
      // Every id is greater than no bytes at all.
      const after = afterId === null ? Buffer.alloc(0) : idBytes(afterId);
      const rows = walk.all(after, limit) as WalkRecord[];
      const phones: (WalkedPhone & { readonly folders: Folder[] })[] = [];
      for (const row of rows) {
        const registrationId = idText(row.id);
        let phone = phones.at(-1);
        if (phone?.registrationId !== registrationId) {
          phone = { registrationId, app: row.app, dead: row.is_dead === 1, folders: [] };
          phones.push(phone);
        }
        if (row.name !== null) phone.folders.push(toFolder(row));
      }
      return phones;
    },
  };
}
