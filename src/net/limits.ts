// The listener's limits, each with its unit and reason, and what differs between the three listeners.

export type ListenerName = "exchange" | "registration" | "admin";

/**
 * What becomes of a body that is larger than the listener keeps.
 * `drain`: it is read to its end and thrown away, and the request is handed on as `oversize`.
 * `refuse`: it is answered 413 at once.
 */
export type OversizePolicy = "drain" | "refuse";

export interface Limits {
  /** From the connection's arrival to the end of its TLS handshake, the PROXY protocol's header included. */
  readonly handshakeMs: number;
  /** From the handshake (or a later request's first byte) to the end of the header section. */
  readonly headersMs: number;
  /** From the end of the header section to the last byte of the body. */
  readonly bodyMs: number;
  /** Between an answer and the first byte of the next request. */
  readonly keepAliveMs: number;
  /** From the last byte of a request to its answer. */
  readonly answerMs: number;
  /** For a client that is slow to read its answer. */
  readonly writeMs: number;
  /** For the client to close a connection that this side has ended. */
  readonly lingerMs: number;
  /** How often the deadlines are looked at: they are kept to within this time. */
  readonly tickMs: number;
  /** The whole header section, request line and trailers included. */
  readonly headerBytes: number;
  readonly headerLines: number;
  /** The request target: path and query. */
  readonly targetBytes: number;
  /** A body up to this size is kept and handed on. */
  readonly bodyBytes: number;
  /** A body up to this size is read to its end under the policy `drain`; a larger one ends the connection. */
  readonly drainBytes: number;
  /** Bodies held in memory by all connections together. */
  readonly bufferedBytes: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Of addresses that are not in the allow list, all together: they may ask for health only. */
  readonly strangers: number;
}

export interface Profile {
  readonly limits: Limits;
  /** Whether a body may come with `Transfer-Encoding: chunked`. */
  readonly chunked: boolean;
  readonly oversize: OversizePolicy;
}

const SECOND = 1000;
const KB = 1024;
const MB = 1024 * KB;

const COMMON: Limits = {
  // A handshake is two round trips; ten seconds serve a phone on a bad mobile network too.
  handshakeMs: 10 * SECOND,
  // Every client sends its header section in one packet or two.
  headersMs: 10 * SECOND,
  // A full notification of 40 KB, and a registration, at 2 KB a second.
  bodyMs: 30 * SECOND,
  // Longer than a load balancer's usual monitor interval, so that one connection serves it.
  keepAliveMs: 60 * SECOND,
  // Exchange gives up after 60 s, counted from before it connects: nobody waits for an answer after that.
  answerMs: 60 * SECOND,
  writeMs: 30 * SECOND,
  // Time for the answer to arrive before the socket goes, even where the client never closes its side.
  lingerMs: 5 * SECOND,
  tickMs: 500,
  // The usual limit of web servers; a phone's credential is the largest header that is expected (8 KB).
  headerBytes: 16 * KB,
  headerLines: 100,
  // A capability has less than 300 characters.
  targetBytes: 4 * KB,
  // A registration with its folders and token is below 8 KB.
  bodyBytes: 64 * KB,
  // Enough to hear out whatever a subscription may send, so that it can be answered instead of retried.
  drainBytes: 16 * MB,
  // Keeps the process within its memory even if every connection sends the largest body slowly.
  bufferedBytes: 64 * MB,
  // Below the 8192 descriptors that the service's unit allows, with room for the other listeners.
  connections: 4096,
  // Generous, since a gateway or load balancer puts all its clients behind one address.
  connectionsPerAddress: 512,
  // Load balancers' monitors need a few. The rest is room that strangers cannot take from those who are allowed.
  strangers: 128,
};

/** What each listener uses unless its options say otherwise. */
export const PROFILES: Readonly<Record<ListenerName, Profile>> = {
  // Exchange always sends Content-Length. Its oversize bodies are heard out: a subscription must not end because of one.
  exchange: { limits: { ...COMMON, bodyBytes: MB }, chunked: false, oversize: "drain" },
  registration: { limits: COMMON, chunked: true, oversize: "refuse" },
  admin: { limits: COMMON, chunked: true, oversize: "refuse" },
};
