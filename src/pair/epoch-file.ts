// What a node must know of its role after a restart, in a small file beside its database: the epoch, how far its rows can
// be relied on, and whether an administrator made it a single node. Not in the database: a node whose database cannot be
// written any more still has to give its role away, and a restored database must not bring back an old epoch.
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { BellError } from "../errors.ts";
import { replaceFile } from "./link-files.ts";
import type { Seeding } from "./types.ts";

/** What the file says. */
export interface StoredStanding {
  /** 0 if there never was one. */
  readonly epoch: number;
  readonly seeding: Seeding;
  /** The name of a peer that is no more: this node is a single one. Null: there is a pair. */
  readonly forgotten: string | null;
}

export interface EpochFile {
  readonly current: StoredStanding;
  /**
   * Makes a change durable, after those before it. An epoch never becomes lower.
   * @returns whether it could; if not, `current` is as before
   */
  save(change: Partial<StoredStanding>): Promise<boolean>;
}

const FORMAT = "inboxbell-pair-1";

/** Where it is. @param database absolute path of the database */
export function epochFilePath(database: string): string {
  return `${database}.pair`;
}

/**
 * Opens the file before the database is opened. Without one, a database that is there already is the pair's first, and
 * one that has yet to be made is unseeded, which is durable before it is made.
 * @throws BellError `pair_file`
 */
export async function openEpochFile(database: string, failed: (error: unknown) => void): Promise<EpochFile> {
  const path = epochFilePath(database);
  const hasRows = existsSync(database);
  const stored = existsSync(path) ? read(path) : null;
  let current: StoredStanding = stored ?? { epoch: 0, seeding: "seeded", forgotten: null };
  if (!hasRows && current.seeding !== "unseeded") {
    current = { ...current, seeding: "unseeded" };
    try {
      await write(path, current);
    } catch (cause) {
      throw new BellError("pair_file", `${path} cannot be written.`, cause);
    }
  }
  let writing: Promise<unknown> = Promise.resolve();

  async function put(change: Partial<StoredStanding>): Promise<boolean> {
    const next = { ...current, ...change, epoch: Math.max(current.epoch, change.epoch ?? 0) };
    const isSame =
      next.epoch === current.epoch &&
      next.seeding === current.seeding &&
      next.forgotten === current.forgotten;
    if (isSame && existsSync(path)) return true;
    try {
      await write(path, next);
      current = next;
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }

  return {
    get current() {
      return current;
    },
    save(change) {
      const saved = writing.then(() => put(change));
      writing = saved;
      return saved;
    },
  };
}

/** A node without a pair has no standing in one: what was left of an earlier pair means nothing for the next. */
export function dropEpochFile(database: string): void {
  rmSync(epochFilePath(database), { force: true });
}

/**
 * A node joins: a peer that was forgotten, perhaps one of the same name, is one again from the next start on.
 * @throws BellError `pair_file`, or `pair_unwritable`
 */
export function recallPeer(database: string): void {
  const path = epochFilePath(database);
  const stored = existsSync(path) ? read(path) : null;
  if (stored === null || stored.forgotten === null) return;
  const { mode, uid, gid } = statSync(path);
  replaceFile(
    path,
    text({ ...stored, forgotten: null }),
    mode & 0o777,
    process.getuid?.() === 0 ? { uid, gid } : null,
  );
}

function text(standing: StoredStanding): string {
  return `${JSON.stringify({ format: FORMAT, ...standing })}\n`;
}

function read(path: string): StoredStanding {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new BellError("pair_file", `${path} cannot be read.`, cause);
  }
  const { format, epoch, seeding, forgotten = null } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isGood =
    format === FORMAT &&
    typeof epoch === "number" &&
    Number.isSafeInteger(epoch) &&
    epoch >= 0 &&
    (seeding === "unseeded" || seeding === "reseeding" || seeding === "seeded") &&
    (forgotten === null || typeof forgotten === "string");
  if (!isGood) throw new BellError("pair_file", `${path} is damaged, or of a newer version.`);
  return { epoch, seeding, forgotten };
}

/** In one step: after a loss of power it is the old one or the new one. */
async function write(path: string, standing: StoredStanding): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  await done(file, () => file.writeFile(text(standing)));
  await rename(temporary, path);
  const directory = await open(dirname(path), "r");
  await done(directory, async () => {});
}

/** Works on a file, syncs it to the disk and closes it. */
async function done(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await file.sync();
  } finally {
    await file.close();
  }
}
