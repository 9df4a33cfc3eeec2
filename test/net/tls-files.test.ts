// Reading a certificate and its key: what is wrong is said, with the file's name.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isBellError } from "../../src/errors.ts";
import { loadTls } from "../../src/net/tls.ts";
import { makeIdentity } from "./helpers.ts";

let directory: string;
let rsa: { certificate: string; key: string };
let ec: { certificate: string; key: string };
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bell-tls-"));
  rsa = await makeIdentity("rsa");
  ec = await makeIdentity("ec");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function file(text: string, mode = 0o600): string {
  count += 1;
  const path = join(directory, `file-${count}.pem`);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

function failure(certificate: string, key: string): { code: string; message: string } {
  try {
    loadTls({ certificate, key });
  } catch (error) {
    if (isBellError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a certificate and its key", () => {
  test("are read, with the date and the subject", () => {
    for (const identity of [rsa, ec]) {
      const loaded = loadTls({ certificate: file(identity.certificate, 0o644), key: file(identity.key) });
      expect(loaded.certificate).toBe(identity.certificate);
      expect(loaded.key).toBe(identity.key);
      expect(loaded.subject).toBe("CN=bell.test");
      expect(Math.abs(loaded.expiresAt - Date.now() - 30 * 86_400_000)).toBeLessThan(60_000);
    }
  });

  test("may be a chain with comments, in older key forms, readable by the group", () => {
    const chain = `Subject: CN=bell.test\n${ec.certificate}\nissuer\n${rsa.certificate}`;
    const sec1 = createPrivateKey(ec.key).export({ format: "pem", type: "sec1" }).toString();
    const loaded = loadTls({ certificate: file(chain), key: file(sec1, 0o640) });
    expect(loaded.subject).toBe("CN=bell.test");
    const pkcs1 = createPrivateKey(rsa.key).export({ format: "pem", type: "pkcs1" }).toString();
    expect(loadTls({ certificate: file(rsa.certificate), key: file(pkcs1) }).key).toBe(pkcs1);
  });

  test("that are missing are named", () => {
    const missing = join(directory, "missing.pem");
    for (const error of [failure(missing, file(ec.key)), failure(file(ec.certificate), missing)]) {
      expect(error.code).toBe("tls_invalid");
      expect(error.message).toContain(missing);
      expect(error.message).toContain("ENOENT");
    }
    expect(failure(directory, file(ec.key)).message).toContain(directory);
  });

  test("with a key that others can read are refused", () => {
    for (const mode of [0o604, 0o644, 0o606, 0o602]) {
      const key = file(ec.key, mode);
      const error = failure(file(ec.certificate), key);
      expect(error.code).toBe("secret_exposed");
      expect(error.message).toContain(`chmod 0600 ${key}`);
    }
  });

  test("that do not belong together are refused", async () => {
    const other = await makeIdentity("ec");
    for (const key of [other.key, rsa.key]) {
      const path = file(key);
      const error = failure(file(ec.certificate), path);
      expect(error.code).toBe("tls_invalid");
      expect(error.message).toContain(path);
      expect(error.message).toContain("does not belong");
    }
  });

  test("out of date are refused, or told of where a start must not fail by them", async () => {
    const past = await makeIdentity("ec", { fromDays: -10, toDays: -1 });
    expect(failure(file(past.certificate), file(past.key)).message).toContain("expired on");
    const future = await makeIdentity("ec", { fromDays: 1, toDays: 10 });
    expect(failure(file(future.certificate), file(future.key)).message).toContain("not valid before");
    const told = ({ certificate, key }: { certificate: string; key: string }) =>
      loadTls({ certificate: file(certificate), key: file(key) }, Date.now(), "tell").outOfDate;
    expect(told(past)).toContain("expired on");
    expect(told(future)).toContain("not valid before");
    expect(told(ec)).toBeNull();
  });

  test("with an encrypted key are refused with a sentence about it", () => {
    const key = createPrivateKey(ec.key);
    const options = { format: "pem", cipher: "aes-256-cbc", passphrase: "secret" } as const;
    const forms = [
      key.export({ ...options, type: "pkcs8" }).toString(),
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ];
    for (const form of forms) {
      const error = failure(file(ec.certificate), file(form));
      expect(error.code).toBe("tls_invalid");
      expect(error.message).toContain("is encrypted");
    }
  });

  test("of a kind that Windows does not verify are refused", async () => {
    const identity = await makeIdentity("ed25519");
    const error = failure(file(identity.certificate), file(identity.key));
    expect(error.code).toBe("tls_invalid");
    expect(error.message).toContain("neither an RSA nor");
  });

  test("that are something else are refused, and no content is repeated", () => {
    const damaged = "-----BEGIN CERTIFICATE-----\nAAAASECRETAAAA\n-----END CERTIFICATE-----\n";
    for (const [certificate, key] of [
      ["", ec.key],
      ["SECRET", ec.key],
      [damaged, ec.key],
      [ec.certificate + damaged, ec.key],
      [ec.key, ec.key],
      [ec.certificate, ""],
      [ec.certificate, "SECRET"],
      [ec.certificate, ec.certificate],
    ] as const) {
      const error = failure(file(certificate), file(key));
      expect(error.code).toBe("tls_invalid");
      expect(error.message).not.toContain("SECRET");
      expect(error.message).toContain(directory);
    }
  });
});
