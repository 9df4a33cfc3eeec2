// Certificates of a pair, made on the spot: an authority of its own, and for each node a certificate with its name
// that serves both ends of the link.
import "reflect-metadata";
import { createPrivateKey, randomBytes } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { type Authority, createAuthority } from "../../src/rehearsal/certificates.ts";

export type { Authority };
export { createAuthority };

/** What a node brings to the link; PEM texts. */
export interface NodeCertificate {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** A certificate of `authority` for the node called `name`. */
export async function nodeCertificate(authority: Authority, name: string): Promise<NodeCertificate> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    subject: [{ CN: [name] }],
    issuer: [{ CN: [authority.name] }],
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    publicKey: keys.publicKey,
    signingKey: authority.signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    ],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    ca: authority.certificate,
    certificate: `${certificate.toString("pem").trim()}\n`,
    key: createPrivateKey({ key: der, format: "der", type: "pkcs8" })
      .export({ format: "pem", type: "pkcs8" })
      .toString(),
  };
}
