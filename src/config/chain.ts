// Whether a server's certificate chain is complete. Exchange and phones know the root authorities; every certificate
// between those and the server's own has to come from the server (RFC 8446, 4.4.2).
import { X509Certificate } from "node:crypto";
import { getCACertificates, rootCertificates } from "node:tls";

/**
 * Authorities that are trusted here, PEM each: this machine's own, and the public ones, which a machine without a trust
 * store lacks. They are read from files at each call: some milliseconds.
 */
export function knownAuthorities(): readonly string[] {
  return [...getCACertificates("system"), ...rootCertificates];
}

/**
 * A sentence about the issuer that a chain leaves out, or null.
 *
 * Whether an issuer that is missing is an intermediate authority or a root, nobody can tell from its name. One that
 * this machine trusts is taken for a root; a company's own root belongs into its trust store too.
 * @param chain the server's certificate and what else is in its file, in any order
 * @param authorities what this machine trusts; asked only where the file does not answer
 */
export function incompleteChain(
  file: string,
  chain: readonly X509Certificate[],
  authorities: () => readonly string[] = knownAuthorities,
): string | null {
  let [last] = chain;
  const passed = new Set<X509Certificate>();
  while (last !== undefined && !passed.has(last)) {
    passed.add(last);
    const current: X509Certificate = last;
    // The end of a chain signs itself.
    if (isIssuedBy(current, current)) return null;
    const issuer = chain.find((each) => isIssuedBy(current, each));
    if (issuer === undefined) return isKnown(current, authorities()) ? null : sentence(file, current);
    last = issuer;
  }
  return null;
}

function isKnown(certificate: X509Certificate, authorities: readonly string[]): boolean {
  return authorities.some((pem) => {
    try {
      return isIssuedBy(certificate, new X509Certificate(pem));
    } catch {
      // A certificate in the trust store that this library cannot read says nothing.
      return false;
    }
  });
}

/** By name and by signature: a renewed authority often keeps its name. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function sentence(file: string, { subject, issuer }: X509Certificate): string {
  return `${file}: the chain ends with "${oneLine(subject)}", and its issuer "${oneLine(issuer)}" is neither in the file nor an authority that this machine trusts. If that is an intermediate authority, append its certificate, or clients will refuse the connection.`;
}

function oneLine(name: string): string {
  return name.split("\n").join(", ");
}
