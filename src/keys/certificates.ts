// Making X.509 certificates: what every authority of ours does alike, whatever it vouches for and with whichever kind
// of key.
import "reflect-metadata";
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import {
  type Extension,
  type JsonName,
  X509CertificateGenerator,
  X509Certificate as X509Parsed,
} from "@peculiar/x509";

/** Certificate and private key, PEM; the key is PKCS #8. */
export interface CertifiedKey {
  readonly certificate: string;
  readonly key: string;
}

/** How keys are imported, and how they sign. */
export interface KeyKind {
  readonly key: webcrypto.RsaHashedImportParams | webcrypto.EcKeyImportParams;
  readonly signature: webcrypto.Algorithm | webcrypto.EcdsaParams;
}

/** What is put under the signature. Times are epoch milliseconds. */
export interface Blank {
  readonly subject: JsonName;
  readonly issuer: JsonName;
  readonly publicKey: CryptoKey;
  readonly signingKey: CryptoKey;
  readonly from: number;
  readonly until: number;
  readonly extensions: Extension[];
}

/** The certificate, PEM. */
export async function signCertificate(kind: KeyKind, { from, until, ...blank }: Blank): Promise<string> {
  const certificate = await X509CertificateGenerator.create({
    ...blank,
    // RFC 5280, 4.1.2.2: positive, at most 20 octets.
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    notBefore: new Date(from),
    notAfter: new Date(until),
    signingAlgorithm: kind.signature,
  });
  return `${certificate.toString("pem").trim()}\n`;
}

/** A private key, PEM. */
export async function privateKeyText(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    .export({ format: "pem", type: "pkcs8" })
    .toString();
}

/** Both halves of a private key (PEM), for signing and for verifying. @throws if it is none of this kind */
export async function openKey(kind: KeyKind, key: string): Promise<CryptoKeyPair> {
  const own = createPrivateKey(key);
  const pkcs8 = own.export({ format: "der", type: "pkcs8" });
  const spki = createPublicKey(own).export({ format: "der", type: "spki" });
  return {
    privateKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, kind.key, false, ["sign"]),
    publicKey: await webcrypto.subtle.importKey("spki", spki, kind.key, true, ["verify"]),
  };
}

/** What an authority signs with. @throws if its two files cannot be read or do not belong together */
export async function openAuthority(kind: KeyKind, { certificate, key }: CertifiedKey) {
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("The certificate is of another key.");
  }
  const { privateKey, publicKey } = await openKey(kind, key);
  const issuer = new X509Parsed(certificate).subjectName.toJSON();
  return { signingKey: privateKey, issuerKey: publicKey, issuer };
}
