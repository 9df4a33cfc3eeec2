// The first node's side of joining: waits at a port for whoever knows the code, hands over what the other node needs, and
// writes its own part once the other one has written its. One use, a few wrong tries, some minutes.
import { randomBytes, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { hostAndPort, hostPortText } from "../config/host-port.ts";
import { BellError } from "../errors.ts";
import type { CertifiedKey } from "../keys/certificates.ts";
import { linkAddress, PAIR_PORT } from "./addresses.ts";
import { issueNodeCertificate, makeDoorCertificate, requestedKey } from "./authority.ts";
import { forgottenText } from "./forgotten.ts";
import { encodeInvitation, fingerprintOf, isSame, proofOf, SECRET_BYTES } from "./invitation.ts";
import { type Channel, createChannel, STRANGER_BYTES } from "./join-channel.ts";
import { fromJoiner, type Hello, type Parcel, provenWords } from "./join-messages.ts";
import { type Shared, withoutCertificates } from "./parcel.ts";
import { compareVersions } from "./versions.ts";

/** The node that has joined. */
export interface Joined {
  readonly name: string;
  /** Its link as `host:port`. */
  readonly address: string;
}

/** How an invitation ends. */
export type InvitationEnd =
  | { readonly kind: "joined"; readonly peer: Joined }
  /** Nobody came in time. */
  | { readonly kind: "expired" }
  /** Too many wrong tries. */
  | { readonly kind: "void" }
  /** Ended here. */
  | { readonly kind: "withdrawn" }
  /** The other node's administrator said no. */
  | { readonly kind: "declined"; readonly name: string }
  /** The other node went away after it had been given everything. */
  | { readonly kind: "broken_off"; readonly name: string }
  /** The other node has written its part, and this one could not. */
  | { readonly kind: "failed"; readonly error: unknown };

export interface InvitationOptions {
  readonly node: string;
  readonly version: string;
  /** Port 0 takes any free one. */
  readonly listen: { readonly address: string; readonly port: number };
  /** The name or address that the other node reaches this one by. */
  readonly host: string;
  /** This node's link as `host:port`. */
  readonly linkAddress: string;
  /** The other node's link as `host:port`, if it is not to say so itself. */
  readonly peer: string | null;
  readonly validMs: number;
  /** A node that was forgotten here, and this node's database, where it is remembered; null: none. */
  readonly forgotten: { readonly name: string; readonly database: string } | null;
  readonly shared: Shared;
  readonly authority: CertifiedKey;
  /** Whether a host name can be looked up here. */
  readonly resolves: (host: string) => Promise<boolean>;
  /** Writes this node's part. */
  readonly settle: (peer: Joined) => void;
  /** Told what happens, in sentences. */
  readonly tell: (text: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface OpenInvitation {
  readonly code: string;
  readonly port: number;
  readonly ended: Promise<InvitationEnd>;
  withdraw(): void;
}

/** Tries with a wrong code before nobody can use it any more. */
export const MOST_WRONG = 5;
const HELLO_MS = 10_000;
// The other node's administrator reads what is to be written: milliseconds.
const ANSWER_MS = 900_000;
// Beyond that the oldest goes: the right node needs milliseconds to prove itself, and whoever only waits is not it.
const MOST_CONNECTIONS = 64;

/**
 * Opens an invitation.
 * @throws BellError `listen_in_use` or `listen_failed`
 */
export async function openInvitation(options: InvitationOptions): Promise<OpenInvitation> {
  const { node, now, tell } = options;
  const door = await makeDoorCertificate(now());
  const fingerprint = fingerprintOf(new X509Certificate(door.certificate).raw);
  const secret = randomBytes(SECRET_BYTES);
  const sockets = new Set<TLSSocket>();
  const { promise: ended, resolve } = Promise.withResolvers<InvitationEnd>();
  let wrong = 0;
  let taker: TLSSocket | null = null;
  let isOver = false;

  const server = createServer(
    { cert: door.certificate, key: door.key, minVersion: "TLSv1.3", handshakeTimeout: HELLO_MS },
    (socket) => {
      socket.on("error", () => {});
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      meet(socket).catch((error: unknown) => end({ kind: "failed", error }));
    },
  );
  const knocking = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    knocking.add(socket);
    socket.once("close", () => knocking.delete(socket));
    const [oldest] = knocking;
    if (knocking.size > MOST_CONNECTIONS) oldest?.destroy();
  });
  server.on("tlsClientError", (_error: Error, socket: TLSSocket) => socket.destroy());
  await listening(server, options.listen);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : options.listen.port;
  const timer = setTimeout(() => end({ kind: "expired" }), options.validMs);

  /** Nobody else can use the code from now on. */
  function close(but: TLSSocket | null): void {
    clearTimeout(timer);
    server.close();
    for (const socket of sockets) if (socket !== but) socket.destroy();
  }

  function end(result: InvitationEnd): void {
    if (isOver) return;
    isOver = true;
    close(result.kind === "joined" || result.kind === "failed" ? taker : null);
    resolve(result);
  }

  async function meet(socket: TLSSocket): Promise<void> {
    const from = socket.remoteAddress ?? "somewhere";
    const channel = createChannel(socket, STRANGER_BYTES);
    const hello = fromJoiner(await channel.receive(HELLO_MS));
    if (hello?.kind !== "hello" || isOver) {
      channel.destroy();
      return;
    }
    const expected = proofOf({ secret, fingerprint }, provenWords(hello));
    if (!isSame(expected, Buffer.from(hello.proof, "base64url"))) {
      channel.destroy();
      wrong += 1;
      const left = MOST_WRONG - wrong;
      tell(
        `Somebody came from ${from} with a wrong code${left > 0 ? `; after ${left} more the invitation is void` : ""}.`,
      );
      if (left <= 0) end({ kind: "void" });
      return;
    }
    const key = await requestedKey(hello.request);
    const refusal = key === null ? damaged() : refusalOf(hello, options);
    if (refusal !== null || key === null) {
      tell(`${hello.node} (${from}) cannot join: ${refusal?.detail} The invitation stays open.`);
      channel.send({ kind: "refused", ...(refusal ?? damaged()) });
      channel.end();
      return;
    }
    if (taker !== null || isOver) {
      channel.destroy();
      return;
    }
    taker = socket;
    close(socket);
    await admit(channel, hello, key, from);
  }

  async function admit(channel: Channel, hello: Hello, key: string, from: string): Promise<void> {
    const peer: Joined = { name: hello.node, address: await whereIs(hello, from, options) };
    tell(`${peer.name} (${from}) has proved the code. Waiting until it is confirmed and written there.`);
    channel.send({
      kind: "parcel",
      version: options.version,
      node,
      address: options.linkAddress,
      yours: peer.address,
      now: now(),
      authority: options.authority,
      certificate: await issueNodeCertificate(options.authority, peer.name, key, now()),
      ...(hello.certificates ? options.shared : withoutCertificates(options.shared)),
    } satisfies Parcel);
    const answer = fromJoiner(await channel.receive(ANSWER_MS));
    if (isOver) return;
    if (answer?.kind !== "written") {
      channel.destroy();
      end({ kind: answer?.kind === "declined" ? "declined" : "broken_off", name: peer.name });
      return;
    }
    try {
      options.settle(peer);
    } catch (error) {
      channel.send({ kind: "settled", failure: error instanceof Error ? error.message : String(error) });
      channel.end();
      end({ kind: "failed", error });
      return;
    }
    channel.send({ kind: "settled", failure: null });
    channel.end();
    end({ kind: "joined", peer });
  }

  return {
    code: encodeInvitation({ host: options.host, port, fingerprint, secret }),
    port,
    ended,
    withdraw: () => end({ kind: "withdrawn" }),
  };
}

/** Why a node that has proved the code cannot join, before it was given anything; null: it can. */
function refusalOf(hello: Hello, { node, version, forgotten }: InvitationOptions) {
  if (hello.node.toLowerCase() === node.toLowerCase()) {
    return { code: "pair_same_name", detail: `Both nodes are called ${node}.` };
  }
  if (forgotten?.name === hello.node) {
    return { code: "pair_forgotten", detail: forgottenText(node, hello.node, forgotten.database) };
  }
  if (hello.address !== null && hostAndPort(hello.address) === null) {
    return { code: "pair_refused", detail: "What it says of its address is no host and port." };
  }
  const versions = compareVersions(version, hello.version);
  return versions === null || versions.joins ? null : { code: "pair_versions", detail: versions.text };
}

function damaged() {
  return { code: "pair_refused", detail: "Its request for a certificate is damaged." };
}

/** Where the other node's link is: as somebody said, by its name if that can be looked up, else where it came from. */
async function whereIs(hello: Hello, from: string, options: InvitationOptions): Promise<string> {
  const said = options.peer ?? hello.address;
  if (said !== null) return said;
  // A name of digits is looked up as an address, and is none that the configuration takes.
  const named = linkAddress(hello.node);
  const isFound = named !== null && (await options.resolves(named.host));
  return hostPortText({ host: isFound ? named.host : from.replace(/^::ffff:/, ""), port: PAIR_PORT });
}

async function listening(
  server: ReturnType<typeof createServer>,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (error: Error & { readonly code?: unknown }) => {
    const place = hostPortText({ host: address, port });
    reject(
      error.code === "EADDRINUSE"
        ? new BellError(
            "listen_in_use",
            `${place} is in use, perhaps by the running node's own link. Name another port with --port, or stop what holds it.`,
            error,
          )
        : new BellError(
            "listen_failed",
            `The invitation cannot listen on ${place} (${String(error.code)}).`,
            error,
          ),
    );
  });
  server.listen(port, address, resolve);
  await promise;
  server.on("error", () => {});
}
