// Sends one notification: a TCP and TLS connection of its own, the request's bytes, the answer, and the end of the
// connection. Follows redirects as Exchange's HTTP client does. Judging the answer's text is left to answer.ts.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type TLSSocket } from "node:tls";
import { judgeAnswer, type RawAnswer, type Verdict } from "./answer.ts";
import { type AnswerReader, createAnswerReader } from "./answer-reader.ts";
import type { Clock } from "./clock.ts";
import { type RequestParts, renderPostHead, renderRedirectedGet } from "./request.ts";

/** Exchange gives up after this long, counted from before the connection is made. */
export const POST_TIMEOUT_MS = 60_000;

// Far below the 50 of .NET's client: a listener that redirects is wrong the first time already.
const MAX_REDIRECTS = 5;

export interface Wire {
  readonly clock: Clock;
  /** PEM of the authorities in the machine's root store. */
  readonly ca: string;
  /** Names that resolve to an address without DNS. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Simulated milliseconds. */
  readonly timeoutMs: number;
}

/** Posts `body` once and says what Exchange makes of the answer. Never rejects. */
export async function post(
  wire: Wire,
  parts: RequestParts,
  body: Buffer,
  signal: AbortSignal,
): Promise<Verdict> {
  const deadline = new AbortController();
  const cancel = wire.clock.after(wire.timeoutMs, () => deadline.abort());
  const either = AbortSignal.any([signal, deadline.signal]);
  try {
    return await follow(wire, parts, body, either);
  } catch (error) {
    if (deadline.signal.aborted) return { kind: "failed", why: "no answer in time" };
    if (signal.aborted) return { kind: "failed", why: "stopped" };
    if (error instanceof MalformedAnswer) return { kind: "failed", why: error.message, broke: "not_http" };
    return { kind: "failed", why: error instanceof Error ? error.message : String(error) };
  } finally {
    cancel();
  }
}

async function follow(wire: Wire, first: RequestParts, body: Buffer, signal: AbortSignal): Promise<Verdict> {
  let verdict = judgeAnswer(
    await exchange(wire, first.url, [renderPostHead(first, body.length), body], signal),
  );
  let parts = first;
  for (let hop = 0; verdict.kind === "redirect"; hop++) {
    if (hop === MAX_REDIRECTS) return { kind: "failed", why: "too many redirects", broke: "redirect" };
    const target = URL.parse(verdict.location, parts.url.href);
    if (target === null) return { kind: "failed", why: "redirect to no URL", broke: "redirect" };
    parts = { ...parts, url: target };
    verdict = {
      // Whatever the last answer says, the redirect itself stays on record.
      broke: "redirect",
      ...judgeAnswer(await exchange(wire, target, [renderRedirectedGet(parts)], signal)),
    };
  }
  return verdict;
}

/** The peer did not speak HTTP. */
class MalformedAnswer extends Error {}

function exchange(
  wire: Wire,
  url: URL,
  writes: readonly (string | Buffer)[],
  signal: AbortSignal,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new Error("aborted"));
      return;
    }
    const reader: AnswerReader = createAnswerReader();
    const socket = open(wire, url, () => {
      // Head and body travel in writes of their own, as .NET's client sends them.
      for (const piece of writes) socket.write(piece);
    });
    const abort = () => finish(new Error("aborted"));
    function finish(error: Error | null) {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      const answer = reader.answer();
      if (error === null && answer !== null) resolve(answer);
      else reject(error ?? new Error("connection closed before the answer was complete"));
    }
    function read(step: () => "more" | "done" | "malformed") {
      const state = step();
      if (state === "malformed") finish(new MalformedAnswer("the answer is not HTTP"));
      else if (state === "done") finish(null);
    }
    signal.addEventListener("abort", abort, { once: true });
    socket.on("data", (chunk: Buffer) => read(() => reader.read(chunk)));
    socket.on("end", () => read(() => reader.end()));
    socket.on("close", () => finish(null));
    socket.on("error", (error: Error) => finish(error));
  });
}

function open(wire: Wire, url: URL, ready: () => void): Socket | TLSSocket {
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const host = wire.hosts[name] ?? name;
  if (url.protocol === "http:") {
    return connectTcp({ host, port: Number(url.port || 80) }, ready);
  }
  const socket = connectTls({
    host,
    port: Number(url.port || 443),
    ca: wire.ca,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    // An address is not a server name (RFC 6066, section 3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
  });
  socket.on("secureConnect", () => {
    // Said again by hand: chain and dates are checked by the handshake, the name must fit as well.
    const wrongName = checkServerIdentity(name, socket.getPeerCertificate());
    if (!socket.authorized || wrongName !== undefined) {
      socket.destroy(wrongName ?? new Error("the certificate is not trusted"));
      return;
    }
    ready();
  });
  return socket;
}
