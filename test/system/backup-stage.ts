// A node's directory for the tests of backup, restore and migrate with the compiled binary: configuration, keys and a
// database with one phone, made without starting anything.
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSealer } from "../../src/backup/envelope.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { freePorts, makeProps, type Props, writeConfig } from "../../src/rehearsal/stage/props.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import { register } from "../store/helpers.ts";
import { binary, type Ended, freshDirectory, type RunOptions, run } from "./helpers.ts";

export const PASSPHRASE = "correct horse battery";
// A guess at the passphrase for a thousandth of the real price.
const CHEAP = { logN: 10, r: 8, p: 1 };

export interface BackupStage {
  readonly directory: string;
  readonly props: Props;
  readonly database: string;
  readonly keys: string;
  file(name: string): string;
  /** Replaces database and keys by those of an installation with the phone `id(n)`. */
  install(n: number): Promise<void>;
  /** Runs a verb with this configuration. */
  verb(args: readonly string[], options?: RunOptions & { readonly limitMs?: number }): Promise<Ended>;
  /** The same with the passphrase in its file. */
  secretly(args: readonly string[], options?: RunOptions & { readonly limitMs?: number }): Promise<Ended>;
  remove(): void;
}

/** @param store the database's path in the configuration */
export async function setBackupStage(title: string, store = "inboxbell.db"): Promise<BackupStage> {
  const directory = freshDirectory(title);
  const file = (name: string) => join(directory.path, name);
  const props = await makeProps(directory.path, await freePorts(), randomBytes);
  // Nobody is rung here.
  const nowhere = "https://127.0.0.1:9";
  writeConfig(props, { apns: nowhere, fcm: nowhere, fcmToken: `${nowhere}/token` });
  const config = await Bun.file(props.configFile).text();
  await Bun.write(props.configFile, config.replace("path: inboxbell.db", `path: ${store}`));
  writeFileSync(file("passphrase"), `${PASSPHRASE}\n`, { mode: 0o600 });
  const [database, keys] = [file(store), file("keys.json")];
  const verb: BackupStage["verb"] = (args, options = {}) =>
    run([binary, ...args, "--config", props.configFile], { temporary: file("tmp"), ...options });
  return {
    directory: directory.path,
    props,
    database,
    keys,
    file,
    async install(n) {
      for (const path of [database, `${database}-wal`, `${database}-shm`, keys])
        rmSync(path, { force: true });
      writeKeyFile(keys, generateKeys(Date.now()));
      const keyring = createKeyring(readKeyFile(keys));
      const made = createStore({ path: database, keyring, now: Date.now, synchronous: "OFF" });
      await made.start();
      await register(made, n, n.toString(16).padStart(64, "0"), Date.now());
      await made.stop();
    },
    verb,
    secretly: (args, options) => verb([...args, "--passphrase-file", file("passphrase")], options),
    remove: () => directory.remove(),
  };
}

/** A backup that nobody's node made: the passphrase fits, the rest is as it is given. */
export function craftBackup(
  manifest: Readonly<Record<string, unknown>>,
  keys: Buffer,
  database: Buffer,
): Buffer {
  const text = Buffer.from(
    JSON.stringify({ keysBytes: keys.length, databaseBytes: database.length, ...manifest }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  const out: Buffer[] = [];
  const sealer = createSealer(PASSPHRASE, randomBytes, (bytes) => out.push(bytes), CHEAP);
  for (const part of [length, text, keys, database]) sealer.write(part);
  sealer.end();
  return Buffer.concat(out);
}
