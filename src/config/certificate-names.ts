// Whether a listener's certificate is for the name that its clients use. Pure.

import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";

// A certificate may have a hundred names; a message is read by a person.
const SHOWN_NAMES = 3;

/**
 * What clients will have against a certificate's names, or null.
 * @param host the name or address that clients call the listener by
 * @param option that names it, for the message
 */
export function nameComplaint(certificate: X509Certificate, host: string, option: string): string | null {
  const { subjectAltName } = certificate;
  if (!subjectAltName) {
    // RFC 9525, 2: the common name is no longer looked at. iOS has done so since 13, Android since 9.
    return "the certificate has no subjectAltName, where clients look for its names; have it issued anew with one";
  }
  if (isNamed(certificate, host)) return null;
  const names = subjectAltName.split(", ").map((name) => name.replace(/^[^:]*:/, ""));
  const more = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : "";
  return `the certificate is for ${names.slice(0, SHOWN_NAMES).join(", ")}${more}, not for ${host} of ${option}; clients refuse it, unless a load balancer before this node ends TLS`;
}

function isNamed(certificate: X509Certificate, host: string): boolean {
  const name =
    isIP(host) === 0 ? certificate.checkHost(host, { subject: "never" }) : certificate.checkIP(host);
  return name !== undefined;
}
