// Judges the client certificate of a connection (Apple, "Establishing a certificate-based connection to APNs"):
// who it was issued to, by whom, and for which environment.
import type { TLSSocket } from "node:tls";
import type { ApnsEnvironment } from "./provider-token.ts";
import { ApnsRefusal } from "./refusal.ts";

/** What a connection's client certificate says. */
export type ClientCertificate =
  | { readonly kind: "none" }
  | { readonly kind: "bad"; readonly detail: string }
  | { readonly kind: "good"; readonly topic: string; readonly environment: ApnsEnvironment | "both" };

const PRODUCTION_LABEL = "Apple Push Services: ";
const SANDBOX_LABEL = "Apple Development IOS Push Services: ";

/** Reads the certificate that the client presented in the handshake, if it did. */
export function readClientCertificate(socket: TLSSocket): ClientCertificate {
  const certificate = socket.getPeerCertificate();
  // Node gives an empty object, Bun nothing, where the client presented none.
  if (certificate === undefined || certificate === null || certificate.subject === undefined) {
    return { kind: "none" };
  }
  if (!socket.authorized) return { kind: "bad", detail: String(socket.authorizationError) };
  const name = certificate.subject.CN;
  if (typeof name !== "string") return { kind: "bad", detail: "the certificate has no common name" };
  if (name.startsWith(SANDBOX_LABEL)) {
    return { kind: "good", topic: name.slice(SANDBOX_LABEL.length), environment: "sandbox" };
  }
  if (name.startsWith(PRODUCTION_LABEL)) {
    return { kind: "good", topic: name.slice(PRODUCTION_LABEL.length), environment: "both" };
  }
  return { kind: "bad", detail: "not a push certificate" };
}

/**
 * The topic that a certificate may send to, or undefined where there is no certificate and a provider token decides.
 * @throws ApnsRefusal
 */
export function judgeClientCertificate(
  certificate: ClientCertificate,
  environment: ApnsEnvironment,
): string | undefined {
  switch (certificate.kind) {
    case "none":
      return undefined;
    case "bad":
      throw new ApnsRefusal("BadCertificate", certificate.detail);
    case "good":
      if (certificate.environment !== "both" && certificate.environment !== environment) {
        throw new ApnsRefusal("BadCertificateEnvironment", `a ${certificate.environment} certificate`);
      }
      return certificate.topic;
  }
}
