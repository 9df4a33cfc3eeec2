// A private certificate authority for a company that has none at hand, and the listeners' certificates from it. Unlike
// the throw-away ones of a rehearsal these are lived with: Windows and phones have to take them.
import "reflect-metadata";
import { createPrivateKey, createPublicKey, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
} from "@peculiar/x509";
import { BellError } from "../../errors.ts";
import {
  type CertifiedKey,
  type KeyKind,
  openAuthority,
  privateKeyText,
  signCertificate,
} from "../../keys/certificates.ts";

const DAY_MS = 86_400_000;
// A clock that is a little behind must not find it "not yet valid".
const BACKDATE_MS = DAY_MS / 24;
const AUTHORITY_DAYS = 3650;
// Apple Support, "Requirements for trusted certificates in iOS 13 and macOS 10.15": 825 days at most.
const LEAF_DAYS = 820;
// RSA with SHA-256 is what every Windows Server below Exchange 2013 to SE and every phone takes.
const ALGORITHM = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
const KIND: KeyKind = { key: ALGORITHM, signature: ALGORITHM };
const LEAF_BITS = 2048;
const AUTHORITY_BITS = 3072;

/**
 * @param now epoch milliseconds
 * @param key of an authority whose certificate was not written any more, PEM; null for a new one
 * @throws BellError `setup_answer` if that key cannot be used
 */
export async function makeAuthority(name: string, now: number, key: string | null): Promise<CertifiedKey> {
  const keys = key === null ? await generate(AUTHORITY_BITS) : await imported(key);
  if (keys === null) {
    throw new BellError(
      "setup_answer",
      "tls/ca.key is no RSA key in PEM: move it away to have a new authority made.",
    );
  }
  const subject: JsonName = [{ CN: [name] }];
  const certificate = await signCertificate(KIND, {
    subject,
    issuer: subject,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    from: now - BACKDATE_MS,
    until: now + AUTHORITY_DAYS * DAY_MS,
    extensions: [
      // It signs servers' certificates and no further authority.
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, key: await privateKeyText(keys.privateKey) };
}

/**
 * Issues a listener's certificate.
 * @param host name or address that clients call it by
 * @param key that it is to be for, PEM, if it can be used; null for a new one
 * @returns the chain, with the authority's certificate at its end
 * @throws BellError `setup_answer` if the authority's own files cannot be used
 */
export async function issueFrom(
  authority: CertifiedKey,
  host: string,
  now: number,
  key: string | null,
): Promise<CertifiedKey> {
  const { signingKey, issuer, issuerKey } = await opened(authority);
  const keys = (key === null ? null : await imported(key)) ?? (await generate(LEAF_BITS));
  const leaf = await signCertificate(KIND, {
    subject: [{ CN: [host.slice(0, 64)] }],
    issuer,
    publicKey: keys.publicKey,
    signingKey,
    from: now - BACKDATE_MS,
    until: now + LEAF_DAYS * DAY_MS,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? "dns" : "ip", value: host }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuerKey),
    ],
  });
  return { certificate: leaf + authority.certificate, key: await privateKeyText(keys.privateKey) };
}

/** Whether a chain is from this authority, for this host, and good for `days` more. */
export function isStillGood(
  chain: string,
  authority: string,
  host: string,
  now: number,
  days: number,
): boolean {
  try {
    const leaf = new X509Certificate(chain);
    const issuer = new X509Certificate(authority);
    const named = isIP(host) === 0 ? leaf.checkHost(host, { subject: "never" }) : leaf.checkIP(host);
    return (
      leaf.verify(issuer.publicKey) && named !== undefined && Date.parse(leaf.validTo) - now > days * DAY_MS
    );
  } catch {
    return false;
  }
}

/** Whether a private key is the one of a certificate; both PEM. */
export function isPair(chain: string, key: string): boolean {
  try {
    return new X509Certificate(chain).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** An RSA key of a file, or null if it is none. */
async function imported(pem: string): Promise<CryptoKeyPair | null> {
  try {
    const key = createPrivateKey(pem);
    const [pkcs8, spki] = [
      key.export({ type: "pkcs8", format: "der" }),
      createPublicKey(key).export({ type: "spki", format: "der" }),
    ];
    return {
      privateKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]),
      publicKey: await webcrypto.subtle.importKey("spki", spki, ALGORITHM, true, ["verify"]),
    };
  } catch {
    return null;
  }
}

async function generate(modulusLength: number): Promise<CryptoKeyPair> {
  const algorithm = { ...ALGORITHM, modulusLength, publicExponent: new Uint8Array([1, 0, 1]) };
  return (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function opened(authority: CertifiedKey) {
  try {
    return await openAuthority(KIND, authority);
  } catch (cause) {
    throw new BellError(
      "setup_answer",
      "tls/ca.pem and tls/ca.key do not belong together or cannot be read: put them back, or move them away to have a new authority made.",
      cause,
    );
  }
}
