// Throw-away certificates, made on the spot: an authority, server certificates, and the client certificates
// that APNs knows its senders by. Nothing here is meant to outlive a rehearsal or a test.
import "reflect-metadata";
import { createPrivateKey, X509Certificate as NodeCertificate, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** What a certificate's key is: RSA as most Exchange servers have it, P-256 as newer servers do. */
export type KeyKind = "rsa-2048" | "p256";

/** A certificate (PEM, leaf first, then its authority) and its private key (PEM, PKCS#8). */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** Something that can sign certificates. `certificate` is what those who trust it are given. */
export interface Authority {
  readonly name: string;
  readonly certificate: string;
  readonly signingKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly kind: KeyKind;
}

/** When a certificate is valid: from one hour before `now` (epoch milliseconds) for `days`. */
export interface Validity {
  readonly days?: number;
  /** Epoch milliseconds; a value in the past makes expired certificates for tests. */
  readonly now?: number;
}

const DAY_MS = 86_400_000;
// Clocks of two machines differ a little; a certificate that starts now is "not yet valid" on the slower one.
const BACKDATE_MS = 3_600_000;
const DEFAULT_DAYS = 90;
// Attribute type "userId" (RFC 4519 §2.39): Apple writes the app's bundle id there.
const USER_ID = "0.9.2342.19200300.100.1.1";

async function generateKeys(kind: KeyKind): Promise<CryptoKeyPair> {
  const algorithm =
    kind === "p256"
      ? { name: "ECDSA", namedCurve: "P-256" }
      : {
          name: "RSASSA-PKCS1-v1_5",
          modulusLength: 2048,
          publicExponent: new Uint8Array([1, 0, 1]),
          hash: "SHA-256",
        };
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    .export({ format: "pem", type: "pkcs8" })
    .toString();
}

interface Blank {
  readonly subject: JsonName;
  readonly issuer: JsonName;
  readonly publicKey: CryptoKey;
  readonly signingKey: CryptoKey;
  readonly signingKind: KeyKind;
  readonly extensions: Extension[];
  readonly validity: Validity;
}

async function sign(blank: Blank): Promise<string> {
  const now = blank.validity.now ?? Date.now();
  const certificate = await X509CertificateGenerator.create({
    // RFC 5280 §4.1.2.2: positive, at most 20 octets.
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    subject: blank.subject,
    issuer: blank.issuer,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + (blank.validity.days ?? DEFAULT_DAYS) * DAY_MS),
    signingAlgorithm:
      blank.signingKind === "p256"
        ? { name: "ECDSA", hash: "SHA-256" }
        : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    publicKey: blank.publicKey,
    signingKey: blank.signingKey,
    extensions: blank.extensions,
  });
  return `${certificate.toString("pem").trim()}\n`;
}

/** Makes a self-signed authority called `name`. */
export async function createAuthority(
  name: string,
  options: Validity & { readonly kind?: KeyKind } = {},
): Promise<Authority> {
  const kind = options.kind ?? "p256";
  const keys = await generateKeys(kind);
  const subject: JsonName = [{ CN: [name] }];
  const certificate = await sign({
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingKind: kind,
    validity: options,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { name, certificate, signingKey: keys.privateKey, publicKey: keys.publicKey, kind };
}

async function issueLeaf(
  authority: Authority,
  kind: KeyKind,
  validity: Validity,
  subject: JsonName,
  extensions: Extension[],
): Promise<IssuedCertificate> {
  const keys = await generateKeys(kind);
  const leaf = await sign({
    subject,
    issuer: [{ CN: [authority.name] }],
    publicKey: keys.publicKey,
    signingKey: authority.signingKey,
    signingKind: authority.kind,
    validity,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      ...extensions,
    ],
  });
  return { certificate: leaf + authority.certificate, key: await exportKey(keys.privateKey) };
}

/**
 * Issues a server certificate.
 * @param options.names DNS names and IP addresses the server answers to; the first is also the common name
 */
export function issue(
  authority: Authority,
  options: Validity & { readonly names: readonly string[]; readonly kind?: KeyKind },
): Promise<IssuedCertificate> {
  const names = options.names.map((value) => ({
    type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
    value,
  }));
  return issueLeaf(
    authority,
    options.kind ?? "p256",
    options,
    [{ CN: [options.names[0] ?? "localhost"] }],
    [
      new SubjectAlternativeNameExtension(names),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    ],
  );
}

/**
 * Issues a client certificate as Apple issues them to senders: the app's id as userId and in the common name.
 * A sandbox certificate works for the sandbox only, a production one for both (Apple, "Establishing a
 * certificate-based connection to APNs").
 */
export function issueApnsCertificate(
  authority: Authority,
  options: Validity & {
    readonly topic: string;
    readonly environment?: "production" | "sandbox";
    readonly kind?: KeyKind;
  },
): Promise<IssuedCertificate> {
  const label =
    options.environment === "sandbox" ? "Apple Development IOS Push Services" : "Apple Push Services";
  return issueLeaf(
    authority,
    options.kind ?? "rsa-2048",
    options,
    [{ [USER_ID]: [options.topic] }, { CN: [`${label}: ${options.topic}`] }],
    [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])],
  );
}

/** When a PEM certificate stops being valid, epoch milliseconds. */
export function expiresAt(certificatePem: string): number {
  return Date.parse(new NodeCertificate(certificatePem).validTo);
}
