// How outgoing connections are made and whom they trust: the runtime's root certificates and, where the
// configuration names one, a further authority (egress.ca_file).
import { rootCertificates } from "node:tls";

/** TLS options of an outgoing connection. */
export interface Transport {
  /** Trusted authorities, PEM; undefined means the runtime's own. */
  readonly ca: readonly string[] | undefined;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** @param egressCa PEM text with one or more certificates, added to the default ones, or null */
export function createTransport(egressCa: string | null): Transport {
  if (egressCa === null) return { ca: undefined };
  return { ca: [...rootCertificates, ...(egressCa.match(CERTIFICATE) ?? [])] };
}

/** A client certificate for a connection. */
export type ClientIdentity =
  | { readonly cert: string; readonly key: string }
  | { readonly pfx: Buffer; readonly passphrase: string };
