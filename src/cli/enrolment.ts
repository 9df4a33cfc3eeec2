// Why the phones of a rehearsal could not register with an appliance, in words that name what to change in it.
import { PhoneError } from "../rehearsal/phone/phone.ts";
import { TunnelError } from "../rehearsal/phone/registration-client.ts";

/** Where the phones look, and what they trust. */
export interface Expectations {
  /** The rehearsal's directory. */
  readonly directory: string;
  readonly registrationUrl: string;
}

const NOBODY: ReadonlySet<string | null> = new Set(["ECONNREFUSED", "ConnectionRefused"]);

/** Whether nobody listens there (yet). */
export function isAbsent(error: unknown): boolean {
  return error instanceof TunnelError && NOBODY.has(error.reason);
}

/** One sentence. */
export function whyNotEnrolled(error: unknown, { directory, registrationUrl }: Expectations): string {
  const where = `The phones could not register at ${registrationUrl}`;
  if (error instanceof TunnelError) return `${where}: ${connectionFailure(error, directory)}.`;
  if (error instanceof PhoneError && error.status === 401) {
    return `${where}: they are refused (401); its enrolment secret must be that of ${directory}/enrolment.secret.`;
  }
  return `${where}: ${error instanceof Error ? error.message : String(error)}.`;
}

function connectionFailure(error: TunnelError, directory: string): string {
  const { reason } = error;
  if (reason === null) return error.message;
  if (NOBODY.has(reason)) return "nobody listens there";
  if (reason === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `the certificate there is for another name (${reason}); those in ${directory}/tls are for 127.0.0.1`;
  }
  // OpenSSL's words for a certificate that does not lead to the authority, or is out of date.
  if (/CERT|ISSUER|LEAF|SIGN/.test(reason)) {
    return `they do not trust the certificate there (${reason}); those in ${directory}/tls are signed by their authority, ${directory}/ca.pem`;
  }
  return `the connection fails (${reason})`;
}
