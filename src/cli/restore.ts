// `restore`: puts a backup in the place of the database and the keys of a node that does not run.
import { resolve } from "node:path";
import { type Restored, restoreBackup } from "../backup/restore.ts";
import { BellError, isBellError } from "../errors.ts";
import { askNode } from "../ops/control.ts";
import { print } from "./output.ts";
import { readPassphrase } from "./passphrase.ts";
import { databasePlaces, keysPlace } from "./places.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";

export interface RestoreOptions extends NodeOptions {
  readonly passphraseFile?: string;
  readonly keysFile?: string;
  readonly json: boolean;
}

/**
 * Restores a backup.
 * @returns the exit code: 0 once everything is in its place
 * @throws `store_in_use` while a node runs; `backup_*`, `store_*`, `keys_*`
 */
export async function restore(file: string, options: RestoreOptions): Promise<number> {
  const places = databasePlaces(options);
  const keys = keysPlace(places, options.keysFile);
  await refuseWhileRunning(controlSocket(options));
  const passphrase = await readPassphrase(options.passphraseFile, false);
  const restored = await restoreBackup({
    backup: resolve(file),
    passphrase,
    database: places.database,
    keys,
    now: Date.now(),
  });
  const { manifest, aside } = restored;
  print(
    options.json
      ? JSON.stringify({ database: places.database, keys, aside, ...manifest }, null, 2)
      : restoreText(places.database, keys, restored),
  );
  return 0;
}

/** The lock on the database is asked, too: this only gives the better sentence. */
async function refuseWhileRunning(socket: string): Promise<void> {
  try {
    await askNode(socket, "ping");
  } catch (error) {
    if (isBellError(error, "not_running")) return;
    throw error;
  }
  throw new BellError("store_in_use", `A node is running (${socket}): stop it first, then restore.`);
}

function restoreText(database: string, keys: string, { manifest, aside }: Restored): string {
  const { madeAt, node, version, rows } = manifest;
  return [
    `Restored the backup of ${madeAt}${node === "" ? "" : ` of node ${node}`} (version ${version}): ${rows.registration ?? 0} registrations.`,
    `  database  ${database}`,
    `  keys      ${keys}`,
    ...aside.map((path) => `  kept      ${path}`),
    "Start the service. It rings each phone once more, spread over half an hour, and ends no subscription for what it",
    "cannot know; phones that registered after the backup are known again when their apps renew.",
  ].join("\n");
}
