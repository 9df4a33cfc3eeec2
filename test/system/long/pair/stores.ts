// Reads what a node's database holds, once the node has stopped.
import { Database } from "bun:sqlite";
import type { StoreDump } from "./evidence.ts";

interface RegistrationRow {
  readonly id: string;
  readonly revision: number;
  readonly deleted: number;
  readonly rest: string;
}
interface FolderRow {
  readonly id: string;
  readonly name: string;
  readonly generation: number;
  readonly rest: string;
}

/**
 * @param file of a database that nobody has open
 * @param quietAt epoch milliseconds: what was due before should have been rung
 */
export function dumpStore(file: string, quietAt: number): StoreDump {
  const db = new Database(file, { readwrite: true, create: false });
  try {
    const registrations = db
      .query<RegistrationRow, []>(
        `SELECT lower(hex(id)) AS id, revision, deleted_at IS NOT NULL AS deleted,
           printf('%s %s %s %s', app, platform, hex(token_mac), hex(secret_hash)) AS rest
         FROM registration`,
      )
      .all();
    const folders = db
      .query<FolderRow, []>(
        `SELECT lower(hex(registration)) AS id, name, generation,
           printf('%d %d %s %s', bound_generation, ended_generation, removed_revision, hex(folder_mac)) AS rest
         FROM folder`,
      )
      .all();
    const due = db
      .query<{ readonly id: string }, [number]>(
        "SELECT lower(hex(registration)) AS id FROM due WHERE not_before <= ?",
      )
      .all(quietAt);
    return {
      registrations: registrations.map(({ id, revision, deleted }) => ({
        id: uuid(id),
        revision,
        deleted: deleted !== 0,
      })),
      folders: folders.map(({ id, name, generation }) => ({ id: uuid(id), name, generation })),
      rows: [
        ...registrations.map(
          (row) => `registration ${uuid(row.id)} ${row.revision} ${row.deleted} ${row.rest}`,
        ),
        ...folders.map((row) => `folder ${uuid(row.id)} ${row.name} ${row.generation} ${row.rest}`),
      ].sort(),
      due: due.map(({ id }) => uuid(id)),
    };
  } finally {
    db.close();
  }
}

function uuid(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
