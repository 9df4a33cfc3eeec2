// Certificates that are wrong in one respect each.
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const DAY_MS = 86_400_000;

export interface Defects {
  /** Days from now; may be negative. */
  readonly from?: number;
  readonly until?: number;
  readonly name?: string;
  readonly kind?: "rsa-1024" | "p521";
  readonly hash?: "SHA-1";
  readonly purpose?: "clientAuth";
  /** Signed by an intermediate authority whose certificate is left out. */
  readonly orphan?: boolean;
}

export interface Forged {
  readonly certificate: string;
  readonly key: string;
  /** PEM of the root. */
  readonly ca: string;
}

type RsaLike = Parameters<typeof crypto.subtle.generateKey>[0];

/** A server certificate for 127.0.0.1, good but for the defects. */
export async function forge(defects: Defects = {}): Promise<Forged> {
  const root = await generate({ ...rsa(2048), hash: "SHA-256" });
  const middle = await generate({ ...rsa(2048), hash: "SHA-256" });
  const hash = defects.hash ?? "SHA-256";
  const leaf = await generate(
    defects.kind === "p521"
      ? { name: "ECDSA", namedCurve: "P-521" }
      : { ...rsa(defects.kind === "rsa-1024" ? 1024 : 2048), hash: "SHA-256" },
  );
  const ca = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
  ];
  const rootPem = await sign(
    "Doctor root",
    "Doctor root",
    root.publicKey,
    root.privateKey,
    ca,
    -1,
    900,
    "SHA-256",
  );
  const middlePem = await sign(
    "Doctor middle",
    "Doctor root",
    middle.publicKey,
    root.privateKey,
    ca,
    -1,
    900,
    "SHA-256",
  );
  const host = defects.name ?? "127.0.0.1";
  const extensions: Extension[] = [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage[defects.purpose ?? "serverAuth"]]),
    new SubjectAlternativeNameExtension([{ type: /^[\d.]+$/.test(host) ? "ip" : "dns", value: host }]),
  ];
  // The signature's algorithm is of the key that signs: SHA-1 needs one that was made for it.
  const signer = hash === "SHA-1" ? await withHash(middle.privateKey, hash) : middle.privateKey;
  const leafPem = await sign(
    host,
    "Doctor middle",
    leaf.publicKey,
    signer,
    extensions,
    defects.from ?? -1,
    defects.until ?? 90,
    hash,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", leaf.privateKey));
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return {
    certificate: defects.orphan === true ? leafPem : leafPem + middlePem + rootPem,
    key: key.export({ format: "pem", type: "pkcs8" }).toString(),
    ca: rootPem,
  };
}

function rsa(modulusLength: number) {
  return { name: "RSASSA-PKCS1-v1_5", modulusLength, publicExponent: new Uint8Array([1, 0, 1]) };
}

async function generate(algorithm: object): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm as RsaLike, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function withHash(key: CryptoKey, hash: string): Promise<CryptoKey> {
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", key);
  return webcrypto.subtle.importKey("pkcs8", pkcs8, { name: "RSASSA-PKCS1-v1_5", hash }, true, ["sign"]);
}

async function sign(
  subject: string,
  issuer: string,
  publicKey: CryptoKey,
  signingKey: CryptoKey,
  extensions: Extension[],
  from: number,
  until: number,
  hash: string,
): Promise<string> {
  const certificate = await X509CertificateGenerator.create({
    serialNumber: `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString("hex")}`,
    subject: [{ CN: [subject] }],
    issuer: [{ CN: [issuer] }],
    notBefore: new Date(Date.now() + from * DAY_MS),
    notAfter: new Date(Date.now() + until * DAY_MS),
    signingAlgorithm: { name: "RSASSA-PKCS1-v1_5", hash },
    publicKey,
    signingKey,
    extensions,
  });
  return `${certificate.toString("pem").trim()}\n`;
}
