// What must be in the files that Apple and Google give for sending. Errors name the file and what was expected
// there, never what was found.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { certificateBlocks, invalid } from "./secret-files.ts";
import type { ApnsCredential, ServiceAccount } from "./types.ts";

/** The .p8 file as Apple's developer site gives it: PEM, PKCS #8, an elliptic curve key on P-256. */
export function apnsKey(path: string, bytes: Buffer): string {
  const expected =
    "Apple's AuthKey_….p8 file as downloaded (an unencrypted P-256 private key in PKCS #8 PEM)";
  const pem = bytes.toString("utf8");
  if (!pem.includes("-----BEGIN PRIVATE KEY-----")) throw invalid(path, expected);
  const key = privateKey(path, expected, pem, "");
  // Another curve signs without complaint, and Apple refuses every token.
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw invalid(path, expected);
  }
  return pem;
}

/**
 * A push certificate with its private key, in PEM or PKCS #12. That it has expired is no error here: the other
 * apps are rung all the same, and Apple refuses it clearly.
 * @param passphrase "" when there is none
 */
export function apnsCertificate(
  path: string,
  bytes: Buffer,
  passphrase: string,
): Exclude<ApnsCredential, { readonly type: "key" }> {
  if (bytes.includes("-----BEGIN ")) return pemCertificate(path, bytes.toString("utf8"), passphrase);
  // PKCS #12 is DER, which starts with a sequence.
  if (bytes[0] !== 0x30) throw invalid(path, "a PKCS #12 file (.p12) or a PEM file");
  try {
    // Opens it as the sender will: the content, the password and the private key are tried at once.
    createSecureContext({ pfx: bytes, passphrase });
  } catch {
    const password = passphrase === "" ? "no password (none is configured)" : "the configured password";
    throw invalid(path, `a PKCS #12 file with certificate and private key, to be opened with ${password}`);
  }
  return { type: "p12", pfx: bytes, passphrase };
}

function pemCertificate(path: string, pem: string, passphrase: string) {
  const expected = "a PEM file with both the push certificate and its private key";
  const withPassword = passphrase === "" ? "" : ", to be opened with the configured password";
  const key = privateKey(path, `${expected}${withPassword}`, pem, passphrase);
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0) throw invalid(path, expected);
  const certificates = blocks.map((block) => certificate(path, expected, block));
  const leaf = certificates.find((one) => one.checkPrivateKey(key));
  if (leaf === undefined) throw invalid(path, `${expected}; the key belongs to no certificate in it`);
  return {
    type: "pem",
    // TLS wants the own certificate first, whatever the order in the file is.
    certificate: [leaf, ...certificates.filter((one) => one !== leaf)].map(String).join(""),
    privateKey: key.export({ type: "pkcs8", format: "pem" }).toString(),
    expiresAt: Date.parse(leaf.validTo),
  } as const;
}

function certificate(path: string, expected: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw invalid(path, expected);
  }
}

function privateKey(path: string, expected: string, pem: string, passphrase: string): KeyObject {
  const block = /-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[\s\S]+?-----END ([A-Z]+ )?PRIVATE KEY-----/.exec(pem);
  if (block === null) throw invalid(path, expected);
  try {
    return createPrivateKey(passphrase === "" ? block[0] : { key: block[0], passphrase });
  } catch {
    throw invalid(path, expected);
  }
}

/** The JSON file of a Google service account. */
export function serviceAccount(path: string, bytes: Buffer): ServiceAccount {
  const expected = "a Google service account's JSON key file";
  const fields = jsonObject(path, expected, bytes);
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value !== "string" || value === "") throw invalid(path, `${expected}; "${name}" is missing`);
    return value;
  };
  if (fields.type !== "service_account") {
    throw invalid(
      path,
      `${expected}, whose "type" is "service_account" (google-services.json is another file)`,
    );
  }
  const pem = text("private_key");
  const key = privateKey(path, `${expected}; its "private_key" is not a private key in PEM`, pem, "");
  if (key.asymmetricKeyType !== "rsa") {
    throw invalid(path, `${expected}; its "private_key" is not an RSA key`);
  }
  const projectId = text("project_id");
  // It becomes a part of a URL. Old projects have a domain before a colon.
  if (!/^[A-Za-z0-9][A-Za-z0-9.:-]*$/.test(projectId)) {
    throw invalid(path, `${expected}; its "project_id" is not a project's id`);
  }
  return {
    projectId,
    clientEmail: text("client_email"),
    privateKey: pem,
    privateKeyId: text("private_key_id"),
  };
}

function jsonObject(path: string, expected: string, bytes: Buffer): Record<string, unknown> {
  let data: unknown;
  try {
    data = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw invalid(path, expected);
  }
  if (typeof data !== "object" || data === null) throw invalid(path, expected);
  return { ...data };
}
