// `backup`: database and keys in one encrypted file, while the node works or while it does not.
import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Manifest, readWhole, writeBackup } from "../backup/archive.ts";
import { type CopyReply, isCopyReply } from "../backup/copies.ts";
import { BUILD } from "../build-info.ts";
import { readConfig } from "../config/load.ts";
import { BellError, isBellError } from "../errors.ts";
import { readKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import { askNode, notInboxbell } from "../ops/control.ts";
import { foreignKeys, opensDatabase } from "../store/key-mark.ts";
import { copyDatabase, examineCopy, withDatabase } from "../store/snapshot.ts";
import { DEFAULT_CONFIG } from "./defaults.ts";
import { print } from "./output.ts";
import { readPassphrase } from "./passphrase.ts";
import { databasePlaces, keysPlace } from "./places.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

export interface BackupOptions extends NodeOptions {
  readonly passphraseFile?: string;
  readonly keysFile?: string;
  readonly json: boolean;
}

/** A copy of the database that this process may seal and then has to remove. */
interface Copy {
  readonly path: string;
  readonly keyFile: string;
  readonly node: string;
  /** Epoch milliseconds. */
  readonly madeAt: number;
  remove(): Promise<void>;
}

// Between two questions whether the node's copy is whole, milliseconds.
const LOOK_MS = 100;

/**
 * Writes the backup.
 * @returns the exit code: 0 once it is written, read back and on the disk
 * @throws `backup_*`, `store_*`, `keys_*`, `control_denied`
 */
export async function backup(file: string, options: BackupOptions): Promise<number> {
  const target = resolve(file);
  if (existsSync(target)) throw new BellError("backup_path", `${target} exists already.`);
  const directory = dirname(target);
  if (!existsSync(directory)) throw new BellError("backup_path", `There is no directory ${directory}.`);
  const passphrase = await readPassphrase(options.passphraseFile, true);
  const { copy, isOffline } = await makeCopy(options);
  try {
    const keys = options.keysFile ?? copy.keyFile;
    const contents = await examineCopy(copy.path);
    const keyring = createKeyring(readKeyFile(keys));
    if (!(await withDatabase(copy.path, (db) => opensDatabase(db, keyring)))) {
      throw new BellError("keys_invalid", foreignKeys({ database: copy.path, keys }));
    }
    const madeAt = new Date(copy.madeAt).toISOString();
    const about = { ...BUILD, node: copy.node, madeAt, ...contents };
    const manifest = writeBackup(target, passphrase, about, readWhole(keys), copy.path);
    print(
      options.json
        ? JSON.stringify({ file: target, offline: isOffline, ...manifest }, null, 2)
        : backupText(target, manifest, isOffline),
    );
    return 0;
  } finally {
    await copy.remove();
  }
}

async function makeCopy(
  options: BackupOptions,
): Promise<{ readonly copy: Copy; readonly isOffline: boolean }> {
  const socket = controlSocket(options);
  try {
    return { copy: await copyByNode(socket), isOffline: false };
  } catch (error) {
    if (!isBellError(error, "not_running")) throw error;
    if (options.socket !== undefined && options.config === undefined) throw error;
  }
  return { copy: await copyByHand(options), isOffline: true };
}

async function copyByNode(socket: string): Promise<Copy> {
  const ask = async (input: object): Promise<CopyReply> => {
    const answer = await askNode(socket, "backup", { input });
    if (!isCopyReply(answer)) throw notInboxbell(socket);
    return answer;
  };
  let reply = await ask({});
  const { id } = reply;
  while (reply.state === "copying") {
    await Bun.sleep(LOOK_MS);
    reply = await ask({ id });
  }
  const { path, keyFile, node, madeAt } = reply;
  return {
    path,
    keyFile,
    node,
    madeAt,
    async remove() {
      // Of a node that stopped meanwhile, the next backup removes it.
      await askNode(socket, "backup-done", { input: { id } }).catch(() => {});
    },
  };
}

async function copyByHand(options: BackupOptions): Promise<Copy> {
  const places = databasePlaces(options);
  const { database } = places;
  const keyFile = keysPlace(places, options.keysFile);
  if (!existsSync(database)) throw new BellError("store_path", `There is no database ${database}.`);
  const path = `${database}.copy-${randomBytes(8).toString("hex")}`;
  const remove = async () => {
    for (const suffix of ["", "-journal"]) rmSync(`${path}${suffix}`, { force: true });
  };
  try {
    await withDatabase(database, (db) => copyDatabase(db, path));
  } catch (error) {
    await remove();
    throw error;
  }
  const { config } = readConfig(options.config ?? DEFAULT_CONFIG, process.env);
  return { path, keyFile, node: config?.node ?? "", madeAt: Date.now(), remove };
}

function backupText(file: string, { rows, schema, databaseBytes }: Manifest, isOffline: boolean): string {
  const registrations = rows.registration ?? 0;
  return [
    `${isOffline ? "No node is running; the database was read from its file.\n" : ""}Wrote ${file}: ${registrations} registrations (deleted and idle ones among them), schema ${schema}, ${Math.ceil(databaseBytes / 1024)} KiB, and the keys.`,
    "It was read back and is on the disk. Without its passphrase nobody can read it: keep the two apart.",
  ].join("\n");
}
