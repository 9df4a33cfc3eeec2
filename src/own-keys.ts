// This node's keys at its start: those of the key file, or new ones where nothing has been sealed yet.
import { existsSync } from "node:fs";
import { finishRestore } from "./backup/broken-off.ts";
import type { Config } from "./config/types.ts";
import { BellError } from "./errors.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "./keys/key-file.ts";
import { createKeyring } from "./keys/keyring.ts";
import type { Keyring } from "./keys/types.ts";
import { removeLeftovers } from "./ops/files.ts";
import type { Logger } from "./ops/log.ts";

/**
 * Reads the key file, or makes one when there is no database yet either.
 * @param now epoch milliseconds
 * @throws BellError `keys_missing`, or of the file
 */
export function openKeyring(config: Config, log: Logger, now: number): Keyring {
  const { file } = config.keys;
  if (finishRestore(config.store.path, file)) {
    log.warn(
      { file },
      "A restore had been broken off: its keys were put in their place, as its database was.",
    );
  }
  if (existsSync(file)) return createKeyring(readKeyFile(file));
  if (existsSync(config.store.path)) {
    throw new BellError(
      "keys_missing",
      `There is a database (${config.store.path}) but no key file (${file}).`,
    );
  }
  removeLeftovers(file);
  const keys = generateKeys(now);
  writeKeyFile(file, keys);
  log.warn(
    { file },
    "Made a new key file. `inboxbell backup` takes it along with the database: one is useless without the other.",
  );
  return createKeyring(keys);
}
