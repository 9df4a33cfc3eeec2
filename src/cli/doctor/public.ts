// The public URLs, as phones and Exchange reach them: the name, the port, TLS, who answers, and a notification with a
// forged capability, which Inboxbell and nobody else answers with its own 404.
import type { X509Certificate } from "node:crypto";
import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { isLoopbackAddress } from "../../config/addresses.ts";
import { nameComplaint } from "../../config/certificate-names.ts";
import { knownAuthorities } from "../../config/chain.ts";
import { plainAddress } from "../../net/address.ts";
import { askHttp, type HttpAnswer, lookAtTls } from "./ask.ts";
import { judgeCertificate, type Listener } from "./certificates.ts";
import { type FindingCode, found, good, type Result } from "./findings.ts";

export interface PublicSight {
  readonly results: readonly Result[];
  /** The SHA-256 fingerprint of what was presented there, or null. */
  readonly presented: string | null;
}

export interface PublicTarget {
  readonly listener: Listener;
  /** Scheme, host and port. */
  readonly url: string;
  /** The chain in the listener's own file; empty where TLS is off. */
  readonly own: readonly X509Certificate[];
  /** The port that the listener itself has. */
  readonly listenerPort: number;
}

/** Looks at one public URL. @param now epoch milliseconds */
export async function examinePublic(target: PublicTarget, now: number): Promise<PublicSight> {
  const { listener, url, own } = target;
  const { hostname } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const subject = `public.${listener}_url ${url}`;
  const only = (result: Result): PublicSight => ({ results: [result], presented: null });
  const addresses = await addressesOf(host);
  if (addresses.length === 0) return only(found("public_unresolved", subject, `no address for ${host}`));
  const trusted = [...knownAuthorities(), ...own.map(String)];
  const sight = await lookAtTls(host, portIn(url), trusted);
  if ("failure" in sight) return only(tlsFailure(subject, sight.failure));
  const [leaf] = sight.chain;
  const presented = leaf?.fingerprint256 ?? null;
  const isOwn = presented !== null && presented === own[0]?.fingerprint256;
  const foreign =
    isOwn || leaf === undefined
      ? []
      : foreignCertificate(subject, leaf, host, listener, sight.complaint, now);
  // Where the listener itself answers, this machine is the client: an allow list need not have it.
  const direct = isOwnAddress(sight.remoteAddress) && portIn(url) === target.listenerPort;
  return { results: [...foreign, await whoAnswers(listener, url, subject, direct)], presented };
}

/** TLS is ended by somebody else, with a certificate that only this look can see. */
function foreignCertificate(
  subject: string,
  leaf: X509Certificate,
  host: string,
  listener: Listener,
  complaint: string | null,
  now: number,
): Result[] {
  const name = nameComplaint(leaf, host, `public.${listener}_url`);
  const results = judgeCertificate(leaf, listener, now).map(([code, seen]) => found(code, subject, seen));
  if (name !== null) results.push(found("certificate_name_mismatch", subject, name));
  if (complaint !== null && name === null && results.length === 0) {
    results.push(
      found("public_untrusted", subject, `signed by ${leaf.issuer.split("\n").join(", ")} (${complaint})`),
    );
  }
  return results;
}

const PLAIN = /WRONG_VERSION|HTTP_REQUEST|UNEXPECTED_MESSAGE|PACKET_LENGTH/;
const TLS_WORDS = /SSL|TLS|ALERT|HANDSHAKE/;

function tlsFailure(subject: string, code: string): Result {
  if (PLAIN.test(code)) return found("public_not_tls", subject, `the answer is no TLS (${code})`);
  if (TLS_WORDS.test(code)) return found("public_tls_refused", subject, `the handshake ends with ${code}`);
  return found("public_unreachable", subject, unreachable(code));
}

function unreachable(code: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return "the connection is refused: nobody listens there";
    case "ETIMEDOUT":
      return "no answer: a firewall swallows it, or the address is wrong";
    case "ECONNRESET":
      return "the connection is closed during the handshake";
    default:
      return `no connection (${code})`;
  }
}

async function whoAnswers(
  listener: Listener,
  url: string,
  subject: string,
  direct: boolean,
): Promise<Result> {
  const alive = await askHttp({ method: "GET", url: `${url}/livez` });
  if ("failure" in alive)
    return found("public_unreachable", subject, `no answer to GET /livez (${alive.failure})`);
  if (!isLivez(alive)) return otherAnswer(subject, "GET /livez", alive);
  return listener === "exchange" ? asExchange(url, subject, direct) : asPhone(url, subject, direct);
}

async function asExchange(url: string, subject: string, direct: boolean): Promise<Result> {
  const answer = await askHttp({
    method: "POST",
    // The first byte is of no format that there is: certainly forged, and no alarm about an unknown key.
    url: `${url}/ews/${Buffer.concat([Buffer.of(0), randomBytes(60)]).toString("base64url")}`,
    headers: {
      "content-type": "text/xml; charset=utf-8",
      accept: "text/xml",
      soapaction: "http://schemas.microsoft.com/exchange/services/2006/messages/SendNotification",
    },
    body: STATUS_NOTIFICATION,
  });
  if ("failure" in answer) return refusedHere(subject, "a notification", direct, answer.failure);
  if (answer.status === 404 && answer.body === "Not Found\n") {
    return good("public", subject, "Inboxbell answers; a notification with a forged capability gets its 404");
  }
  return otherAnswer(subject, "a notification", answer);
}

async function asPhone(url: string, subject: string, direct: boolean): Promise<Result> {
  const answer = await askHttp({ method: "GET", url: `${url}/v1/discovery` });
  if ("failure" in answer) return refusedHere(subject, "GET /v1/discovery", direct, answer.failure);
  if (answer.status === 200 && isDiscovery(answer.body)) {
    return good("public", subject, "Inboxbell answers and tells apps how to register");
  }
  return otherAnswer(subject, "GET /v1/discovery", answer);
}

/** Health is answered for everybody; what is closed after that was closed by the allow list. */
function refusedHere(subject: string, what: string, direct: boolean, code: string): Result {
  if (code === "ETIMEDOUT") return found("public_unreachable", subject, `no answer to ${what}`);
  const seen = `Inboxbell answers health and closes ${what}: the allow list leaves out`;
  return direct
    ? good("public", subject, `${seen} this machine, as it should`)
    : found("public_refused", subject, `${seen} the address that it comes from`);
}

/** What it means that somebody else's answer came. */
export function otherAnswer(subject: string, what: string, answer: HttpAnswer): Result {
  const { status, headers } = answer;
  const by = typeof headers.server === "string" ? ` by "${headers.server.slice(0, 40)}"` : "";
  const seen = `${what} is answered ${status}${by}`;
  const code = meaning(status);
  if (code !== "public_redirected") return found(code, subject, seen);
  const to = typeof headers.location === "string" ? originOf(headers.location) : "";
  return found(code, subject, `${seen}${to === "" ? "" : `, to ${to}`}`);
}

function meaning(status: number): FindingCode {
  if (status >= 300 && status < 400) return "public_redirected";
  if (status === 401 || status === 407) return "public_challenged";
  if (status >= 502 && status <= 504) return "public_gateway_error";
  return "public_wrong_service";
}

/** Without path and query, which may carry a session's id. */
function originOf(location: string): string {
  return URL.canParse(location) ? new URL(location).origin : "a path of the same host";
}

function isLivez({ status, body }: HttpAnswer): boolean {
  return status === 200 && body === "ok\n";
}

function isDiscovery(body: string): boolean {
  try {
    const parsed = JSON.parse(body) as { readonly version?: unknown; readonly apps?: unknown } | null;
    return parsed?.version === 1 && Array.isArray(parsed.apps);
  } catch {
    return false;
  }
}

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}

function portIn(url: string): number {
  const { port } = new URL(url);
  return port === "" ? 443 : Number(port);
}

function isOwnAddress(address: string): boolean {
  const plain = plainAddress(address);
  if (isLoopbackAddress(plain)) return true;
  return Object.values(networkInterfaces()).some(
    (list) => list?.some((each) => each.address === plain) === true,
  );
}

// As Exchange writes a heartbeat; nothing of it is read, since the capability is judged first.
const STATUS_NOTIFICATION =
  '<?xml version="1.0" encoding="utf-8"?><soap11:Envelope xmlns:soap11="http://schemas.xmlsoap.org/soap/envelope/"><soap11:Body>' +
  '<m:SendNotification xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages">' +
  '<m:ResponseMessages><m:SendNotificationResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Notification>' +
  "<t:SubscriptionId>doctor</t:SubscriptionId><t:StatusEvent/></m:Notification></m:SendNotificationResponseMessage></m:ResponseMessages>" +
  "</m:SendNotification></soap11:Body></soap11:Envelope>";
