// SHA256SUMS of all packages, and its signature by minisign with a key from outside the repository.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Build, NAME, VERSION } from "./facts.ts";
import { PackagingError, runTool } from "./run.ts";

export const SUMS = "SHA256SUMS";

/** Writes the list that `sha256sum --check` reads. */
export function writeChecksums(names: readonly string[], { out }: Build): void {
  const lines = [...names].sort().map((name) => {
    const digest = createHash("sha256")
      .update(readFileSync(join(out, name)))
      .digest("hex");
    return `${digest}  ${name}\n`;
  });
  writeFileSync(join(out, SUMS), lines.join(""));
}

/**
 * Signs the list.
 * @param passwordFile holds the key's password; `-` is standard input; null for a key without one
 * @throws PackagingError
 */
export async function signChecksums(
  keyFile: string,
  passwordFile: string | null,
  { out, epoch }: Build,
): Promise<void> {
  if (!existsSync(keyFile)) throw new PackagingError(`There is no key ${keyFile} (--sign-key).`);
  const password = passwordFile === null ? "" : await readPassword(passwordFile);
  await runTool(
    [
      "minisign",
      "-S",
      "-s",
      keyFile,
      "-m",
      join(out, SUMS),
      "-x",
      join(out, `${SUMS}.minisig`),
      // Signed with it: what the list belongs to. Without it minisign would write the time of signing.
      "-t",
      `${NAME} ${VERSION} ${epoch}`,
    ],
    { input: new TextEncoder().encode(`${password}\n`) },
  );
}

async function readPassword(file: string): Promise<string> {
  const text = file === "-" ? await Bun.stdin.text() : readFileSync(file, "utf8");
  const [line = ""] = text.split("\n");
  if (line === "") throw new PackagingError("The password of the signing key is empty.");
  return line;
}
