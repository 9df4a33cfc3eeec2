// The listeners' certificates as Exchange and phones will see them, and the push certificates. What is judged here is
// the file; what really answers at the public URL is looked at in public.ts.
import "reflect-metadata";
import type { X509Certificate as NodeCertificate } from "node:crypto";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  X509Certificate as ParsedCertificate,
} from "@peculiar/x509";
import { nameComplaint } from "../../config/certificate-names.ts";
import { pushCertificateExpiry } from "../../config/push-certificate-expiry.ts";
import type { Secrets, TlsFiles } from "../../config/types.ts";
import { isBellError } from "../../errors.ts";
import { loadTls } from "../../net/tls.ts";
import { type FindingCode, found, good, type Result } from "./findings.ts";
import { chainOf } from "./pem.ts";

const DAY_MS = 86_400_000;
const SOON_MS = 30 * DAY_MS;
// Apple Support, "Requirements for trusted certificates in iOS 13 and macOS 10.15": 825 days at most.
const LONGEST_DAYS = 825;
const SHORTEST_RSA_BITS = 2048;
// The curves that Schannel offers by default on every Windows Server below Exchange 2013 to SE.
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1"]);

export type Listener = "registration" | "exchange";

/**
 * Looks at the certificate of a listener.
 * @param host what clients call it by, or null where a load balancer ends TLS with a certificate of its own
 * @param now epoch milliseconds
 */
export function examineCertificate(
  listener: Listener,
  files: TlsFiles,
  host: string | null,
  now: number,
): Result[] {
  const subject = `listen.${listener} (${files.certificate})`;
  let incomplete: string | null;
  let leaf: NodeCertificate | undefined;
  try {
    const identity = loadTls(files, now, "tell");
    incomplete = identity.incomplete;
    [leaf] = chainOf(identity.certificate);
  } catch (error) {
    if (!isBellError(error)) throw error;
    // Said by the look at the permissions.
    if (error.code === "secret_exposed") return [];
    const code = / does not belong to /.test(error.message)
      ? "certificate_key_mismatch"
      : "certificate_unusable";
    return [found(code, subject, error.message)];
  }
  if (leaf === undefined) return [];
  const complaints = [
    ...judgeCertificate(leaf, listener, now),
    ...(incomplete === null ? [] : [["certificate_chain_incomplete", incomplete] as const]),
    ...nameFinding(leaf, host, listener),
  ];
  if (complaints.length > 0) return complaints.map(([code, seen]) => found(code, subject, seen));
  const until = day(Date.parse(leaf.validTo));
  return [
    good(
      "certificates",
      subject,
      `${keyText(leaf)}, valid until ${until}, signed by ${oneLine(leaf.issuer)}`,
    ),
  ];
}

type Complaint = readonly [FindingCode, string];

function nameFinding(leaf: NodeCertificate, host: string | null, listener: Listener): Complaint[] {
  const complaint = host === null ? null : nameComplaint(leaf, host, `public.${listener}_url`);
  return complaint === null ? [] : [["certificate_name_mismatch", complaint]];
}

/** What clients of a listener will have against a certificate, its names and its chain aside. */
export function judgeCertificate(leaf: NodeCertificate, listener: Listener, now: number): Complaint[] {
  const from = Date.parse(leaf.validFrom);
  const until = Date.parse(leaf.validTo);
  const complaints: Complaint[] = [];
  if (until <= now) complaints.push(["certificate_expired", `expired on ${day(until)}`]);
  else if (from > now) complaints.push(["certificate_not_yet_valid", `not valid before ${day(from)}`]);
  else if (until - now < SOON_MS) complaints.push(["certificate_expires_soon", `expires on ${day(until)}`]);

  const parsed = new ParsedCertificate(leaf.raw);
  const { hash } = parsed.signatureAlgorithm as { readonly hash?: { readonly name?: string } | string };
  const hashName = typeof hash === "string" ? hash : (hash?.name ?? "");
  if (/^(SHA-?1|MD5)$/i.test(hashName)) complaints.push(["certificate_weak", `signed with ${hashName}`]);
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = leaf.publicKey;
  const bits = details?.modulusLength ?? SHORTEST_RSA_BITS;
  if (type === "rsa" && bits < SHORTEST_RSA_BITS)
    complaints.push(["certificate_weak", `RSA with ${bits} bits`]);
  const curve = details?.namedCurve;
  if (type === "ec" && curve !== undefined && !CURVES.has(curve)) {
    complaints.push(["certificate_curve", `a key on ${curve}`]);
  }

  const usage = parsed.getExtension(ExtendedKeyUsageExtension);
  const serves = usage?.usages.some((each) => each === ExtendedKeyUsage.serverAuth);
  if (serves === false) complaints.push(["certificate_purpose", "its purposes leave out serverAuth"]);
  if (usage === null && listener === "registration") {
    complaints.push(["certificate_purpose", "it names no purpose, and iPhones want serverAuth"]);
  }
  const days = Math.ceil((until - from) / DAY_MS);
  if (listener === "registration" && days > LONGEST_DAYS) {
    complaints.push(["certificate_long_lived", `valid for ${days} days`]);
  }
  return complaints;
}

/** The push certificates of the apps. */
export async function examinePushCertificates(apps: Secrets["apps"], now: number): Promise<Result[]> {
  const results: Result[] = [];
  for (const [app, { apns }] of apps) {
    const expiresAt = apns === null ? null : await pushCertificateExpiry(apns);
    if (expiresAt === null) continue;
    const subject = `push certificate of ${app}`;
    if (expiresAt <= now) {
      results.push(found("push_certificate_expired", subject, `expired on ${day(expiresAt)}`));
    } else if (expiresAt - now < SOON_MS) {
      results.push(found("push_certificate_expires_soon", subject, `expires on ${day(expiresAt)}`));
    } else {
      results.push(good("certificates", subject, `valid until ${day(expiresAt)}`));
    }
  }
  return results;
}

/** The kind of key, in the words of administrators. */
function keyText({ publicKey }: NodeCertificate): string {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  if (publicKey.asymmetricKeyType === "rsa") return `RSA ${modulusLength ?? ""}`.trim();
  return `ECDSA ${namedCurve ?? ""}`.trim();
}

function oneLine(name: string): string {
  return name.split("\n").join(", ");
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
