import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pushCertificateExpiry } from "../../src/config/push-certificate-expiry.ts";

const openssl = Bun.which("openssl");
const DAY_MS = 86_400_000;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-p12-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function p12(days: number, ...how: string[]): Promise<Buffer> {
  const run = async (...args: string[]) => {
    const child = Bun.spawn(["openssl", ...args], { cwd: directory, stdout: "ignore", stderr: "ignore" });
    expect(await child.exited).toBe(0);
  };
  await run(
    ..."req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=push".split(" "),
    ...["-days", String(days)],
  );
  await run(..."pkcs12 -export -in c.pem -inkey k.pem -out a.p12 -passout pass:word".split(" "), ...how);
  return readFileSync(join(directory, "a.p12"));
}

test.skipIf(openssl === null)(
  "a .p12 tells when its certificate expires, in the old format too",
  async () => {
    for (const [days, how] of [
      [5, []],
      [300, ["-legacy"]],
    ] as const) {
      const pfx = await p12(days, ...how);
      const expiresAt = await pushCertificateExpiry({ type: "p12", pfx, passphrase: "word" });
      expect(Math.abs(expiresAt! - Date.now() - days * DAY_MS)).toBeLessThan(60_000);
    }
  },
);

test("a token key has no such date, and a file that cannot be read gives none", async () => {
  expect(
    await pushCertificateExpiry({ type: "key", privateKey: "", keyId: "ABC123DEFG", teamId: "DEF123GHIJ" }),
  ).toBeNull();
  expect(await pushCertificateExpiry({ type: "pem", certificate: "", privateKey: "", expiresAt: 7 })).toBe(7);
});
