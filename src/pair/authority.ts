// The pair's own certificate authority, and what it issues: for each node one certificate with its name, good for both
// ends of the link. Nobody but the two nodes trusts it. ECDSA P-256: small, quick, and taken by TLS 1.3 everywhere.
import "reflect-metadata";
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
} from "@peculiar/x509";
import { BellError } from "../errors.ts";
import {
  type Blank,
  type CertifiedKey,
  type KeyKind,
  openAuthority,
  openKey,
  privateKeyText,
  signCertificate,
} from "../keys/certificates.ts";

const DAY_MS = 86_400_000;
/** A certificate of the link: each node renews its own, having the authority's key. */
export const NODE_DAYS = 90;
// Longer than the machines: a pair whose authority ends has to be joined anew.
const AUTHORITY_DAYS = 7300;
// What knocks at an invitation sees this one for its minutes only.
const DOOR_DAYS = 1;
// The other node's clock may be behind by this much without finding it "not yet valid".
const BACKDATE_MS = DAY_MS;

const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;
const KIND: KeyKind = { key: CURVE, signature: SIGNATURE };

/** @param now epoch milliseconds */
export async function makePairAuthority(now: number): Promise<CertifiedKey> {
  const keys = await generate();
  // A pair that is made anew must not take its former authority for the present one.
  const subject: JsonName = [{ CN: [`Inboxbell pair ${randomBytes(4).toString("hex")}`] }];
  const certificate = await signCertificate(KIND, {
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    // Valid in the past too: whoever joins while this node's clock is ahead must not have to wait until it is true.
    from: Math.max(0, now - AUTHORITY_DAYS * DAY_MS),
    until: now + AUTHORITY_DAYS * DAY_MS,
    extensions: [
      // It signs the nodes' certificates and no further authority.
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, key: await privateKeyText(keys.privateKey) };
}

/** A private key, PEM. */
export async function makeNodeKey(): Promise<string> {
  return await privateKeyText((await generate()).privateKey);
}

/**
 * The link's certificate of a node.
 * @param publicKey of the node, PEM
 * @param now epoch milliseconds
 * @throws BellError `pair_authority` if the authority's two files cannot be used
 */
export async function issueNodeCertificate(
  authority: CertifiedKey,
  node: string,
  publicKey: string,
  now: number,
): Promise<string> {
  const { signingKey, issuer, issuerKey } = await opened(authority);
  const der = createPublicKey(publicKey).export({ format: "der", type: "spki" });
  const nodeKey = await webcrypto.subtle.importKey("spki", der, CURVE, true, ["verify"]);
  return await signCertificate(KIND, {
    subject: [{ CN: [node] }],
    issuer,
    publicKey: nodeKey,
    signingKey,
    ...lasting(now, NODE_DAYS),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      // Each node both listens and dials.
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: isIP(node) === 0 ? "dns" : "ip", value: node }]),
      await SubjectKeyIdentifierExtension.create(nodeKey),
      await AuthorityKeyIdentifierExtension.create(issuerKey),
    ],
  });
}

/** A throw-away certificate for the few minutes of an invitation, known by its fingerprint only. */
export async function makeDoorCertificate(now: number): Promise<CertifiedKey> {
  const keys = await generate();
  const subject: JsonName = [{ CN: ["Inboxbell invitation"] }];
  const certificate = await signCertificate(KIND, {
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    ...lasting(now, DOOR_DAYS),
    extensions: [new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth])],
  });
  return { certificate, key: await privateKeyText(keys.privateKey) };
}

/** A request for a certificate (PKCS #10, PEM): proves that whoever asks has the key. */
export async function makeRequest(node: string, key: string): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [node] }],
    keys: await openKey(KIND, key),
    signingAlgorithm: SIGNATURE,
  });
  return `${request.toString("pem").trim()}\n`;
}

/** The public key (PEM) of a request, or null if it is none, is not by its key, or is of another kind of key. */
export async function requestedKey(request: string): Promise<string | null> {
  try {
    const parsed = new Pkcs10CertificateRequest(request);
    if (!(await parsed.verify())) return null;
    const der = Buffer.from(parsed.publicKey.rawData);
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return null;
    return key.export({ format: "pem", type: "spki" }).toString();
  } catch {
    return null;
  }
}

/** Whether a node's certificate is by this authority, for this node and this key, whatever its dates. */
export function isNodeCertificate(
  certificate: string,
  { authority, node, key }: { readonly authority: string; readonly node: string; readonly key: string },
): boolean {
  try {
    const own = new X509Certificate(certificate);
    const named =
      isIP(node) === 0
        ? own.checkHost(node, { subject: "never" }) !== undefined
        : own.checkIP(node) !== undefined;
    return (
      named &&
      own.verify(new X509Certificate(authority).publicKey) &&
      own.checkPrivateKey(createPrivateKey(key))
    );
  } catch {
    return false;
  }
}

/**
 * Whether two thirds of its life are over: time enough is left for an administrator, should a renewal fail. One that is
 * not valid yet was made while a clock was wrong, and the other node does not take it. Pure.
 */
export function isRenewalDue(certificate: string, now: number): boolean {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const from = Date.parse(validFrom);
  const until = Date.parse(validTo);
  return now < from || now >= from + ((until - from) * 2) / 3;
}

function lasting(now: number, days: number): Pick<Blank, "from" | "until"> {
  return { from: now - BACKDATE_MS, until: now + days * DAY_MS };
}

async function generate(): Promise<CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(CURVE, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function opened(authority: CertifiedKey) {
  try {
    return await openAuthority(KIND, authority);
  } catch (cause) {
    throw new BellError(
      "pair_authority",
      "The certificate and the key of the pair's authority do not belong together, or cannot be read.",
      cause,
    );
  }
}
