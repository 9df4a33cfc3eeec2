// `migrate`: brings the database of a node that does not run to this version's schema, or tries that on a copy. `serve`
// does it by itself; this verb is for those who want to see it first.
import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { BellError } from "../errors.ts";
import { newestSchema, openDatabase, pendingMigrations } from "../store/database.ts";
import { type Contents, contentsOf, copyDatabase, examineCopy, withDatabase } from "../store/snapshot.ts";
import { print } from "./output.ts";
import { databasePlaces } from "./places.ts";

export interface MigrateOptions {
  readonly config?: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

export interface MigrateReport {
  readonly database: string;
  readonly dryRun: boolean;
  readonly from: number;
  readonly to: number;
  readonly migrations: readonly { readonly number: number; readonly what: string }[];
  readonly rows: Readonly<Record<string, number>>;
  readonly durationMs: number;
}

/**
 * Migrates, or says what a migration would do.
 * @returns the exit code: 0 if the database is, or would be, of this version's schema
 * @throws `store_in_use` while a node runs, `store_newer_schema`, `store_corrupt`, `store_path`
 */
export async function migrate(options: MigrateOptions): Promise<number> {
  const { database } = databasePlaces(options);
  if (!existsSync(database)) {
    throw new BellError("store_path", `There is no database ${database}; the first start makes it.`);
  }
  const report = await (options.dryRun ? tryOnCopy(database) : migrateFile(database));
  print(options.json ? JSON.stringify(report, null, 2) : migrateText(report));
  return 0;
}

async function migrateFile(database: string): Promise<MigrateReport> {
  const before = await withDatabase(database, contentsOf);
  return migrated(database, database, before, false);
}

/** On a copy beside the database, which goes afterwards. */
async function tryOnCopy(database: string): Promise<MigrateReport> {
  const copy = `${database}.copy-${randomBytes(8).toString("hex")}`;
  try {
    await withDatabase(database, (db) => copyDatabase(db, copy));
    const before = await examineCopy(copy);
    return await migrated(copy, database, before, true);
  } finally {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${copy}${suffix}`, { force: true });
  }
}

async function migrated(
  file: string,
  database: string,
  before: Contents,
  dryRun: boolean,
): Promise<MigrateReport> {
  const started = performance.now();
  // Opening is what migrates, be it here or at a start.
  openDatabase(file, "FULL").close();
  const durationMs = Math.round(performance.now() - started);
  const after = await withDatabase(file, contentsOf);
  const migrations = pendingMigrations(before.schema).map(({ number, what }) => ({ number, what }));
  return {
    database,
    dryRun,
    from: before.schema,
    to: newestSchema(),
    migrations,
    rows: after.rows,
    durationMs,
  };
}

function migrateText({ database, dryRun, from, to, migrations, rows, durationMs }: MigrateReport): string {
  if (migrations.length === 0)
    return `${database} has schema ${from}, which is this version's. Nothing to do.`;
  const done = dryRun
    ? `On a copy everything went well, in ${durationMs} ms; the database itself was not touched.`
    : `Done in ${durationMs} ms. Versions before this one do not open it any more.`;
  return [
    `${database} has schema ${from}; this version's is ${to}.`,
    ...migrations.map(({ number, what }) => `  ${number}  ${what}`),
    `${done} It holds ${rows.registration ?? 0} registrations.`,
  ].join("\n");
}
