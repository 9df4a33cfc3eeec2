// The passphrase of a backup: from a file that others cannot read, or typed. Never an argument or a variable.
import { checkPassphrase, SHORTEST_PASSPHRASE } from "../backup/envelope.ts";
import { readSecretFile, secretLine } from "../config/secret-files.ts";
import { BellError } from "../errors.ts";
import { isInteractive, readSecret } from "./terminal.ts";

/**
 * @param file that holds it in one line, if one was named
 * @param isNew whether it is chosen now, and has to be typed twice
 * @throws `backup_passphrase`, or what is wrong with the file
 */
export async function readPassphrase(file: string | undefined, isNew: boolean): Promise<string> {
  if (file !== undefined) {
    const passphrase = secretLine(file, readSecretFile(file, process.env));
    if (isNew) checkPassphrase(passphrase);
    return passphrase;
  }
  if (!isInteractive()) {
    throw new BellError(
      "backup_passphrase",
      "A passphrase is needed: name the file that holds it with --passphrase-file.",
    );
  }
  const passphrase = await readSecret(
    isNew ? `Passphrase (at least ${SHORTEST_PASSPHRASE} characters): ` : "Passphrase: ",
  );
  if (isNew) checkPassphrase(passphrase);
  if (isNew && (await readSecret("The same again: ")) !== passphrase) {
    throw new BellError("backup_passphrase", "The two passphrases differ.");
  }
  return passphrase;
}
