// The second node's side of joining: connects to where the code says, makes sure who answers, proves the code, and takes
// what it is given. It writes nothing.
import type { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { hostPortText } from "../config/host-port.ts";
import { BellError, isErrorCode } from "../errors.ts";
import { isNodeCertificate, makeNodeKey, makeRequest } from "./authority.ts";
import { decodeInvitation, fingerprintOf, type Invitation, isSame, proofOf } from "./invitation.ts";
import { createChannel, PARCEL_BYTES } from "./join-channel.ts";
import { fromFirst, type Parcel, provenWords } from "./join-messages.ts";
import { compareVersions } from "./versions.ts";

export interface JoinOptions {
  readonly invitation: Invitation;
  readonly node: string;
  readonly version: string;
  /** This node's link as `host:port`, or null to have the first node look for it. */
  readonly address: string | null;
  /** Whether the listeners' certificates are wanted too. */
  readonly certificates: boolean;
  /** How long the first node may take for each answer, milliseconds. */
  readonly timeoutMs?: number;
  /** Ends the asking; what is asked for then never comes. */
  readonly signal?: AbortSignal;
}

export interface Joining {
  readonly parcel: Parcel;
  /** This node's key of the link, made here; it never leaves this node. PEM. */
  readonly key: string;
  /** Whether the first node is on this very machine. */
  readonly isOwnMachine: boolean;
  /**
   * Tells the first node that all is written here.
   * @throws BellError `pair_refused` if it does not confirm that it has written its own part
   */
  written(): Promise<void>;
  /** Tells it that nothing was written, or leaves. */
  leave(): void;
}

const TIMEOUT_MS = 15_000;

/** @throws BellError `pair_code` */
export function readCode(code: string): Invitation {
  const invitation = decodeInvitation(code);
  if (invitation === "foreign") {
    throw new BellError("pair_code", "The code was made by a version that this one does not understand.");
  }
  if (invitation === "damaged") {
    throw new BellError(
      "pair_code",
      "The code is cut off or was not copied as it is: its checksum does not fit.",
    );
  }
  return invitation;
}

/**
 * Asks to join.
 * @throws BellError `pair_unreachable`, `pair_impostor`, `pair_refused`, or why the first node refuses
 */
export async function askToJoin(options: JoinOptions): Promise<Joining> {
  const { invitation, node, version, address, certificates, timeoutMs = TIMEOUT_MS, signal } = options;
  const key = await makeNodeKey();
  const request = await makeRequest(node, key);
  const socket = await reach(invitation, timeoutMs, signal);
  const channel = createChannel(socket, PARCEL_BYTES);
  signal?.addEventListener("abort", channel.destroy);
  const isOwnMachine = socket.remoteAddress !== undefined && socket.remoteAddress === socket.localAddress;
  const words = { version, node, address, certificates, request };
  const proof = proofOf(invitation, provenWords(words)).toString("base64url");
  channel.send({ kind: "hello", ...words, proof });
  const answer = fromFirst(await channel.receive(timeoutMs));
  // From here on whoever asked decides what becomes of the connection.
  signal?.removeEventListener("abort", channel.destroy);
  try {
    const parcel = accepted(answer, options, key);
    return {
      parcel,
      key,
      isOwnMachine,
      async written() {
        channel.send({ kind: "written" });
        const settled = fromFirst(await channel.receive(timeoutMs));
        channel.destroy();
        if (settled?.kind === "settled" && settled.failure === null) return;
        const reason =
          settled?.kind === "settled" && settled.failure !== null
            ? settled.failure
            : "The connection to it ended.";
        throw new BellError(
          "pair_refused",
          `Everything is written here, but ${parcel.node} has not confirmed its own part. ${reason}`,
        );
      },
      leave() {
        channel.send({ kind: "declined" });
        channel.end();
      },
    };
  } catch (error) {
    channel.destroy();
    throw error;
  }
}

/** A connection to the invitation itself, proved by its certificate before anything is sent. */
async function reach(
  { host, port, fingerprint }: Invitation,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  const place = hostPortText({ host, port });
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  // Whom it trusts is decided below, by the fingerprint: no authority has signed a certificate of some minutes.
  const socket = connect({ host, port, minVersion: "TLSv1.3", rejectUnauthorized: false });
  const unreachable = (why: string, cause?: unknown) => {
    socket.destroy();
    reject(new BellError("pair_unreachable", `There is no invitation at ${place}: ${why}.`, cause));
  };
  const timer = setTimeout(() => unreachable("no answer in time"), timeoutMs);
  const giveUp = () => unreachable("nobody waits for its answer any more");
  signal?.addEventListener("abort", giveUp);
  if (signal?.aborted) giveUp();
  socket.on("error", (error: Error & { readonly code?: unknown }) => unreachable(whyNot(error.code), error));
  socket.once("close", () => unreachable("the connection was closed"));
  socket.once("secureConnect", () => {
    clearTimeout(timer);
    const shown: X509Certificate | undefined = socket.getPeerX509Certificate();
    if (shown !== undefined && isSame(fingerprintOf(shown.raw), fingerprint)) {
      resolve(socket);
      return;
    }
    reject(
      new BellError(
        "pair_impostor",
        `What answers at ${place} shows another certificate than the one that the code was made for.`,
      ),
    );
    socket.destroy();
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

function whyNot(code: unknown): string {
  switch (code) {
    case "ECONNREFUSED":
      return "nobody listens there: it is used up, has ended, or was withdrawn";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "this host name cannot be looked up here; invite with --address and an address that this node reaches";
    default:
      return typeof code === "string" ? `the connection failed (${code})` : "the connection failed";
  }
}

/** What was given, or throws why nothing was. */
function accepted(answer: ReturnType<typeof fromFirst>, { node, version }: JoinOptions, key: string): Parcel {
  if (answer?.kind === "refused") {
    throw new BellError(isErrorCode(answer.code) ? answer.code : "pair_refused", answer.detail);
  }
  if (answer?.kind !== "parcel") {
    throw new BellError(
      "pair_refused",
      "The first node closed the connection without a word: the code is not the one that is open there.",
    );
  }
  if (answer.node.toLowerCase() === node.toLowerCase()) {
    throw new BellError("pair_same_name", `Both nodes are called ${node}.`);
  }
  const versions = compareVersions(version, answer.version);
  if (versions !== null && !versions.joins) throw new BellError("pair_versions", versions.text);
  const { certificate, authority } = answer;
  if (!isNodeCertificate(certificate, { authority: authority.certificate, node, key })) {
    throw new BellError("pair_refused", "The certificate that the first node issued does not fit this node.");
  }
  return answer;
}
