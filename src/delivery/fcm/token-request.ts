// Carries the token requests of Google's library: to the configured address, by the configured way. They are rare,
// so each has a connection of its own, in HTTP/2 where the peer speaks it: http2-wrapper makes both look alike.
import { type ClientRequest, request } from "node:http";
import { connect } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import http2 from "http2-wrapper";
import { dial } from "../dial.ts";
import { DialError } from "../dial-error.ts";
import type { Transport } from "../transport.ts";

// Google's library names this address whatever else it is told.
const GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token";
// From the look-up of the address to the end of the answer, milliseconds. Google asks for at least 10 s.
const TIMEOUT_MS = 15_000;
// A token is about a thousand characters; more is no answer of Google's.
const MAX_ANSWER_BYTES = 65_536;

export interface TokenRequests {
  /** For Google's library. Rejects with a `code` where there is no answer. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Ends what is on its way. */
  stop(): void;
}

/** @param tokenUrl replaces Google's address, or null */
export function createTokenRequests(tokenUrl: string | null, transport: Transport): TokenRequests {
  const underWay = new Set<(code: string) => void>();

  async function carry(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const asked = input instanceof Request ? input.url : String(input);
    const url = new URL(asked === GOOGLE_TOKEN_URL && tokenUrl !== null ? tokenUrl : asked);
    const headers = new Headers(init.headers);
    const body = init.body === null || init.body === undefined ? "" : await new Response(init.body).text();
    if (!headers.has("content-type")) headers.set("content-type", "application/x-www-form-urlencoded");
    headers.set("content-length", String(Buffer.byteLength(body)));
    const method = init.method ?? "GET";
    return exchange(url, { method, headers: Object.fromEntries(headers.entries()), body });
  }

  function exchange(url: URL, asked: Asked): Promise<Response> {
    return new Promise((resolve, reject) => {
      let connected: Socket | null = null;
      const limit = setTimeout(() => fail(connected === null ? dialling.silence : "ETIMEDOUT"), TIMEOUT_MS);
      const settle = () => {
        clearTimeout(limit);
        underWay.delete(fail);
        dialling.abandon();
      };
      const fail = (code: string) => {
        settle();
        reject(new DialError(code));
      };
      underWay.add(fail);
      const dialling = dial(
        { origin: url.origin, transport, identity: null, protocol: "either", turn: 0 },
        {
          connected(socket) {
            connected = socket;
            ask(socket, url, asked, fail, (response) => {
              settle();
              resolve(response);
            });
          },
          failed: fail,
        },
      );
    });
  }

  return {
    fetch: carry,
    stop() {
      for (const end of [...underWay]) end("stopped");
    },
  };
}

interface Asked {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function ask(
  socket: Socket,
  url: URL,
  { method, headers, body }: Asked,
  fail: (code: string) => void,
  done: (response: Response) => void,
): void {
  const sent = open(socket, url, method, headers);
  sent.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? "ECONNRESET"));
  sent.once("response", (answer) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    answer.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) return fail("token_endpoint");
      return void chunks.push(chunk);
    });
    answer.on("error", () => fail("ECONNRESET"));
    answer.once("aborted", () => fail("ECONNRESET"));
    answer.once("end", () => {
      const type = answer.headers["content-type"] ?? "application/json";
      const status = answer.statusCode ?? 502;
      done(new Response(Buffer.concat(chunks), { status, headers: { "content-type": type } }));
    });
  });
  sent.end(body);
}

function open(
  socket: Socket,
  url: URL,
  method: string,
  headers: Readonly<Record<string, string>>,
): ClientRequest {
  if (socket instanceof TLSSocket && socket.alpnProtocol === "h2") {
    const session = connect(url.origin, { createConnection: () => socket });
    // What goes wrong with it is told by the request; unheard, it would end the process.
    session.on("error", () => {});
    const sent = http2.request(url, { method, headers: { ...headers }, h2session: session });
    sent.once("close", () => session.close());
    return sent;
  }
  return request({
    method,
    path: url.pathname + url.search,
    headers: { ...headers, host: url.host, connection: "close" },
    createConnection: () => socket,
  });
}
