// A certificate with its key in one file, as Windows exports it (.pfx, .p12). Listeners take PEM: renewed files are
// then the same two, whoever made them, and no password lies beside them. How one becomes the other, command by command.
import { existsSync } from "node:fs";
import { basename, dirname, join, parse, resolve } from "node:path";
import { groupCommand, shellWord } from "../../config/closing.ts";
import { readPublicFile } from "../../config/secret-files.ts";
import { BellError } from "../../errors.ts";
import { groupName } from "../service-access.ts";
import type { Owner } from "./owner.ts";

/** Whether a file's content is PKCS #12: RFC 7292, section 4, a sequence that begins with the version, 3. */
export function isPkcs12(bytes: Uint8Array): boolean {
  const [tag, length = 0] = bytes;
  // X.690, 8.1.3: a length of 128 and more, and an unknown one, say how many bytes follow.
  const start = 2 + (length < 0x80 ? 0 : length & 0x7f);
  return tag === 0x30 && [0x02, 0x01, 0x03, 0x30].every((byte, index) => bytes[start + index] === byte);
}

/**
 * Refuses a PKCS #12 file where PEM is wanted.
 * @param owner whose the service is; null where the files stay with whoever runs this
 * @throws BellError `setup_answer` with the commands, or `secret_unreadable`
 */
export function refusePkcs12(file: string, configFile: string, owner: Owner | null): void {
  const path = resolve(file);
  if (!isPkcs12(readPublicFile(path))) return;
  const directory = dirname(configFile);
  const [certificate, key] = [".pem", ".key"].map((end) => join(directory, `${parse(path).name}${end}`));
  const [from, pem = "", keyFile = ""] = [path, certificate, key].map((each) => shellWord(each ?? ""));
  throw new BellError(
    "setup_answer",
    [
      `${path} is a PKCS #12 file (.pfx, .p12); the certificate and its key are wanted in PEM, each in a file of its own. Make them, as root:`,
      ...(existsSync(directory) ? [] : [`  mkdir -p ${shellWord(directory)}`]),
      // The server's own certificate first, whatever the order in the file is.
      `  openssl pkcs12 -in ${from} -clcerts -nokeys -out ${pem}`,
      `  openssl pkcs12 -in ${from} -cacerts -nokeys >> ${pem}`,
      `  openssl pkcs12 -in ${from} -nocerts -noenc -out ${keyFile}`,
      `  chmod 0644 ${pem}`,
      `  ${owner === null ? `chmod 0600 ${keyFile}` : groupCommand(key ?? "", groupName(owner.gid))}`,
      "openssl asks for the file's password. If it says that an algorithm is unsupported, as with a file of an older Windows,",
      `add -legacy to the first three. Then name ${basename(certificate ?? "")} and ${basename(key ?? "")} in ${directory}.`,
    ].join("\n"),
  );
}
