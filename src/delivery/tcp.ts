// A TCP connection to a host by any of its addresses, so that one dead address delays but never decides.
import { connect, isIP, type Socket } from "node:net";
import type { Lookup } from "./transport.ts";

// After so long without an answer the next address is tried beside it: RFC 8305 (Happy Eyeballs), section 5.
const NEXT_ADDRESS_MS = 250;
// Keeps idle ways open through firewalls that forget a silent connection after a few minutes, milliseconds.
const KEEP_ALIVE_MS = 60_000;

export interface TcpOptions {
  /** A name or an address; IPv6 may stand in brackets. */
  readonly host: string;
  readonly port: number;
  readonly lookup: Lookup;
  /** With which of the addresses to begin: 0 for the first, counted around. */
  readonly turn: number;
  readonly signal: AbortSignal;
}

/** @throws the last address's error, with its `code`; an `AbortError` after the signal */
export async function connectTcp(options: TcpOptions): Promise<Socket> {
  const { port, lookup, turn, signal } = options;
  const host = options.host.replace(/^\[(.*)\]$/, "$1");
  const found = isIP(host) === 0 ? await lookup(host) : [host];
  signal.throwIfAborted();
  const first = turn % Math.max(1, found.length);
  return race([...found.slice(first), ...found.slice(0, first)], port, signal);
}

function race(addresses: string[], port: number, signal: AbortSignal): Promise<Socket> {
  const trying = new Set<Socket>();
  let next: ReturnType<typeof setTimeout> | undefined;
  return new Promise<Socket>((resolve, reject) => {
    const finish = (winner: Socket | null) => {
      clearTimeout(next);
      signal.removeEventListener("abort", abandon);
      for (const socket of trying) if (socket !== winner) socket.destroy();
      trying.clear();
    };
    const abandon = () => {
      finish(null);
      reject(signal.reason);
    };
    const tryNext = (lastError: unknown) => {
      clearTimeout(next);
      const host = addresses.shift();
      if (host === undefined) {
        if (trying.size > 0) return;
        finish(null);
        reject(lastError);
        return;
      }
      const socket = connect({ host, port, noDelay: true });
      trying.add(socket);
      socket.on("error", (error) => {
        if (trying.delete(socket)) tryNext(error);
      });
      socket.once("connect", () => {
        if (!trying.has(socket)) return;
        finish(socket);
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
        resolve(socket);
      });
      if (addresses.length > 0) next = setTimeout(tryNext, NEXT_ADDRESS_MS, null);
    };
    signal.addEventListener("abort", abandon);
    tryNext(Object.assign(new Error("no address"), { code: "ENOTFOUND" }));
  });
}
