// The passphrase of a backup: from a file that others cannot read, or typed. Never an argument or a variable.
import { isUtf8 } from "node:buffer";
import { checkPassphrase, SHORTEST_PASSPHRASE } from "../backup/envelope.ts";
import { invalid, readSecretFile, secretLine } from "../config/secret-files.ts";
import { BellError } from "../errors.ts";
import { isInteractive, readSecret } from "./terminal.ts";

/**
 * @param file that holds it in one line, if one was named
 * @param isNew whether it is chosen now, and has to be typed twice
 * @throws `passphrase_missing`, `passphrase_unfit`, or what is wrong with the file
 */
export async function readPassphrase(file: string | undefined, isNew: boolean): Promise<string> {
  if (file !== undefined) {
    const bytes = readSecretFile(file, process.env);
    // Every byte that is no UTF-8 would be read as the same character: random bytes would be a weak passphrase. One that
    // a backup was made with before is still read.
    if (isNew && !isUtf8(bytes))
      throw invalid(file, "text in UTF-8; openssl rand -base64 24 makes a passphrase");
    const passphrase = secretLine(file, bytes);
    if (isNew) checkPassphrase(passphrase);
    return passphrase;
  }
  if (!isInteractive()) {
    throw new BellError(
      "passphrase_missing",
      "A passphrase is needed, and there is no terminal to type it on.",
    );
  }
  const passphrase = await readSecret(
    isNew ? `Passphrase (at least ${SHORTEST_PASSPHRASE} characters): ` : "Passphrase: ",
  );
  if (isNew) checkPassphrase(passphrase);
  if (isNew && (await readSecret("The same again: ")) !== passphrase) {
    throw new BellError("passphrase_unfit", "The two passphrases differ.");
  }
  return passphrase;
}
