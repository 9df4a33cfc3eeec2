// A restore that was killed, or lost its power, between its two steps: the database is in its place, its keys are not.
// The start that follows does the second step, so that the node works with what was restored.
import { existsSync, readFileSync, renameSync } from "node:fs";
import { BellError } from "../errors.ts";
import { parseKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import { syncDirectoryOf } from "../ops/files.ts";
import { readKeyMark } from "../store/key-mark.ts";

/** Where a restore lays what will take a file's place. Nobody else uses this name. */
export function restoringName(path: string): string {
  return `${path}.restoring`;
}

/**
 * Puts the keys of a restored database in their place if a restore did not come to it. What was there before was kept
 * by the restore under another name.
 * @param database that nobody has open
 * @param keys the key file's path
 * @returns whether there was something to do
 * @throws `restore_unwritable` if the key file's directory cannot be written
 */
export function finishRestore(database: string, keys: string): boolean {
  const waiting = restoringName(keys);
  if (!existsSync(waiting) || !existsSync(database)) return false;
  const mark = readKeyMark(database);
  if (mark === null || wrote(keys, mark) || !wrote(waiting, mark)) return false;
  try {
    renameSync(waiting, keys);
    syncDirectoryOf(keys);
  } catch (cause) {
    throw new BellError(
      "restore_unwritable",
      `A restore was broken off before ${waiting} had taken the place of ${keys}, and this user may not do it: run the restore again.`,
      cause,
    );
  }
  return true;
}

/** Whether a database with this mark was written with the keys of a file. */
function wrote(keys: string, mark: string): boolean {
  let text: string;
  try {
    text = readFileSync(keys, "utf8");
  } catch {
    return false;
  }
  const file = parseKeyFile(text);
  return file !== null && createKeyring(file).wrote(mark);
}
