// What hostile clients do to the public listeners, one entry a kind. Each goes through one attempt and says what is
// wrong with how the listener took it.
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { ask, open, type Target } from "./client.ts";

export interface Field {
  readonly exchangePort: number;
  readonly registrationPort: number;
  /** Callback paths of registrations that nobody minds. */
  readonly capabilityPaths: readonly string[];
  /** A notification, as Exchange posts it. */
  readonly notification: string;
  /** From 0 up to but not including 1, repeatable. */
  readonly random: () => number;
  /** Whether the siege is over: what takes long looks at it. */
  isOver(): boolean;
}

export interface Attack {
  readonly name: string;
  /** How many do it at once, and how long each rests between two attempts, milliseconds. */
  readonly workers: number;
  readonly restMs: number;
  /** Throws an error that says which rule the listener broke. */
  attempt(field: Field): Promise<void>;
}

// The listener's limits (src/net/limits.ts), handshake and headers and body, with time for a busy machine.
const HANDSHAKE_MS = 10_000 + 3000;
const HEADERS_MS = HANDSHAKE_MS + 10_000;
const BODY_MS = HEADERS_MS + 30_000;

function pick<T>(field: Field, items: readonly T[]): T {
  const item = items[Math.floor(field.random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** Hostile clients come from 60 addresses, Exchange and the phones from another one. */
function from(field: Field): string {
  return `127.0.0.${2 + Math.floor(field.random() * 60)}`;
}

function exchange(field: Field, tls = true): Target {
  return { port: field.exchangePort, tls, from: from(field) };
}

function either(field: Field, tls = true): Target {
  const port = field.random() < 0.5 ? field.exchangePort : field.registrationPort;
  return { port, tls, from: from(field) };
}

function post(field: Field, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Buffer {
  const all = {
    Host: "bell.corp.example",
    "Content-Type": "text/xml; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "Close",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${pick(field, field.capabilityPaths)} HTTP/1.1\r\n${lines.join("")}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

function expectStatus(answer: string, ...statuses: readonly number[]): void {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
  // 503: the allowance of that callback URL is used up. 0: the connection had to make room for another.
  if (!statuses.includes(status) && status !== 503 && status !== 0) {
    throw new Error(`answered ${status} instead of ${statuses.join(" or ")}`);
  }
}

/** Feeds a connection a byte at a time until it is closed; it must not live longer than allowed. */
async function trickle(field: Field, target: Target, start: string, byte: string, limitMs: number) {
  const client = await open(target);
  if (!client.isClosed) client.socket.write(start);
  const timer = setInterval(() => {
    if (field.isOver()) client.socket.destroy();
    else if (!client.isClosed) client.socket.write(byte);
  }, 500);
  const { livedMs, answer } = await client.end;
  clearInterval(timer);
  if (livedMs > limitMs) throw new Error(`lived ${Math.round(livedMs)} ms`);
  if (answer.startsWith("HTTP/1.1 2")) throw new Error("got an answer to half a request");
}

/** Changes, removes, repeats or inserts bytes, one to eight times. */
export function mutate(bytes: Buffer, random: () => number): Buffer {
  let mutated = Buffer.from(bytes);
  const times = 1 + Math.floor(random() * 8);
  for (let n = 0; n < times && mutated.length > 0; n += 1) {
    const at = Math.floor(random() * mutated.length);
    const to = Math.min(mutated.length, at + 1 + Math.floor(random() * 40));
    const [before, middle, after] = [mutated.subarray(0, at), mutated.subarray(at, to), mutated.subarray(to)];
    switch (Math.floor(random() * 5)) {
      case 0:
        mutated = Buffer.concat([
          before,
          Buffer.from([Math.floor(random() * 256)]),
          mutated.subarray(at + 1),
        ]);
        break;
      case 1:
        mutated = Buffer.concat([before, after]);
        break;
      case 2:
        mutated = Buffer.concat([before, middle, middle, after]);
        break;
      case 3:
        mutated = Buffer.concat([
          before,
          Buffer.from(["\r\n", "\0", "\n", " ", "<", "\xff", ": "][at % 7] ?? "", "latin1"),
          mutated.subarray(at),
        ]);
        break;
      default:
        mutated = Buffer.concat([after, before, middle]);
    }
  }
  return mutated;
}

/** Mutated requests may wait for bytes that never come: nobody waits for their deadline. */
async function askBriefly(target: Target, bytes: Buffer): Promise<string> {
  const client = await open(target);
  if (!client.isClosed) client.socket.write(bytes);
  const timer = setTimeout(() => client.socket.destroy(), 300);
  const { answer } = await client.end;
  clearTimeout(timer);
  return answer;
}

const REGISTRATION = JSON.stringify({
  app: "com.example.mail",
  platform: "apns",
  token: "ab".repeat(32),
  secret: "abcdefghijklmnopqrstuvwxyz012345",
  revision: 1,
  folders: [{ kind: "inbox" }],
});

export const ATTACKS: readonly Attack[] = [
  {
    name: "slow headers",
    workers: 60,
    restMs: 100,
    attempt: (field) => trickle(field, either(field), "POST /ews/a HTTP/1.1\r\nHost: x\r\n", "A", HEADERS_MS),
  },
  {
    name: "slow body",
    workers: 60,
    restMs: 100,
    attempt: (field) =>
      trickle(field, exchange(field), `${post(field, "", { "Content-Length": "900000" })}`, "<", BODY_MS),
  },
  {
    name: "half-open handshake",
    workers: 60,
    restMs: 100,
    attempt: (field) => trickle(field, either(field, false), "\x16\x03\x01\x02\x00\x01", "", HANDSHAKE_MS),
  },
  {
    name: "connections that say nothing, and reset",
    workers: 8,
    restMs: 50,
    async attempt(field) {
      const client = await open(either(field, field.random() < 0.3));
      if (!client.isClosed && field.random() < 0.5) client.socket.write("POST / HT");
      if (!client.isClosed) client.socket.resetAndDestroy();
      await client.end;
    },
  },
  {
    name: "a body of 5 MB",
    workers: 1,
    restMs: 1500,
    attempt: async (field) =>
      expectStatus(await ask(exchange(field), post(field, Buffer.alloc(5_000_000, "<a>"))), 200),
  },
  {
    name: "a body that claims 1 GB",
    workers: 2,
    restMs: 500,
    async attempt(field) {
      const answer = await ask(exchange(field), post(field, "<a>", { "Content-Length": "1000000000" }));
      if (answer !== "") throw new Error("got an answer");
    },
  },
  {
    name: "a compressed body",
    workers: 2,
    restMs: 300,
    attempt: async (field) =>
      expectStatus(
        await ask(
          exchange(field),
          // One that would grow a thousand times.
          post(field, gzipSync(Buffer.alloc(5_000_000, "a")), { "Content-Encoding": "gzip" }),
        ),
        200,
      ),
  },
  {
    name: "a chunked body with trailers",
    workers: 2,
    restMs: 300,
    async attempt(field) {
      const chunked = "5\r\n<a />\r\n0\r\nContent-Length: 4\r\nX-Trailer: 1\r\n\r\n";
      const head =
        "Host: x\r\nTransfer-Encoding: chunked\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n";
      const path = pick(field, field.capabilityPaths);
      expectStatus(await ask(exchange(field), `POST ${path} HTTP/1.1\r\n${head}${chunked}`), 411);
    },
  },
  {
    name: "two lengths of one body",
    workers: 2,
    restMs: 300,
    attempt: async (field) =>
      expectStatus(
        await ask(either(field), post(field, "0\r\n\r\n", { "Transfer-Encoding": "chunked" })),
        400,
      ),
  },
  {
    name: "pipelined requests",
    workers: 2,
    restMs: 300,
    async attempt(field) {
      const one = post(field, "<a/>", { Connection: "keep-alive" });
      const answer = await ask(exchange(field), Buffer.concat([one, one, one]));
      if ((answer.match(/HTTP\/1\.1 /g) ?? []).length > 1) throw new Error("more than one was answered");
    },
  },
  {
    name: "the preface of HTTP/2",
    workers: 2,
    restMs: 300,
    attempt: async (field) => expectStatus(await ask(either(field), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505),
  },
  {
    name: "plain HTTP on the TLS port",
    workers: 2,
    restMs: 300,
    async attempt(field) {
      const answer = await ask(either(field, false), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
      if (answer.includes("HTTP")) throw new Error("got an answer in clear text");
    },
  },
  {
    name: "the header of a proxy that nobody trusts",
    workers: 2,
    restMs: 300,
    async attempt(field) {
      const answer = await ask(
        either(field, false),
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /livez HTTP/1.1\r\n\r\n",
      );
      if (answer.includes("HTTP")) throw new Error("got an answer in clear text");
    },
  },
  {
    name: "renegotiation",
    workers: 1,
    restMs: 2000,
    async attempt(field) {
      const child = Bun.spawn(
        ["openssl", "s_client", "-tls1_2", "-connect", `127.0.0.1:${field.exchangePort}`],
        {
          stdin: new Blob(["R\n"]),
          stdout: "pipe",
          stderr: "pipe",
        },
      );
      const [out, errors] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      // It may have had to make room for another.
      if (errors.includes("errno=")) return;
      if (!(out + errors).includes("RENEGOTIATING"))
        throw new Error(`openssl did not ask: ${errors.slice(0, 200)}`);
      if (/verify return.*RENEGOTIATING.*verify return/s.test(errors)) throw new Error("was renegotiated");
    },
  },
  {
    name: "invalid UTF-8",
    workers: 2,
    restMs: 300,
    async attempt(field) {
      const at = Math.floor(field.random() * field.notification.length);
      const body = Buffer.concat([
        Buffer.from(field.notification.slice(0, at)),
        Buffer.from([0xc0, 0xaf, 0xff, 0xed, 0xa0, 0x80]),
        Buffer.from(field.notification.slice(at)),
      ]);
      expectStatus(await ask(exchange(field), post(field, body)), 200);
    },
  },
  {
    name: "mutated notifications",
    workers: 6,
    restMs: 60,
    async attempt(field) {
      const answer = await askBriefly(exchange(field), mutate(post(field, field.notification), field.random));
      expectStatus(answer, 200, 400, 404, 411, 414, 417, 431, 501, 505);
    },
  },
  {
    name: "notifications with a mutated body",
    workers: 4,
    restMs: 60,
    attempt: async (field) =>
      expectStatus(
        await ask(exchange(field), post(field, mutate(Buffer.from(field.notification), field.random))),
        200,
      ),
  },
  {
    name: "forged callback URLs",
    workers: 4,
    restMs: 60,
    async attempt(field) {
      const forged = `POST /ews/${randomBytes(90).toString("base64url")} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      expectStatus(await ask(exchange(field), forged), 404);
    },
  },
  {
    name: "mutated registrations",
    workers: 4,
    restMs: 100,
    async attempt(field) {
      const id = `00000000-0000-4000-8000-${randomBytes(6).toString("hex")}`;
      const bytes = Buffer.from(
        `PUT /v1/registrations/${id} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${REGISTRATION.length}\r\nAuthorization: Bearer ${randomBytes(12).toString("base64url")}\r\nConnection: close\r\n\r\n${REGISTRATION}`,
      );
      const target = { port: field.registrationPort, tls: true, from: from(field) };
      const answer = await askBriefly(target, mutate(bytes, field.random));
      if (/^HTTP\/1\.1 (2|500)/.test(answer)) throw new Error(`answered ${answer.slice(0, 12)}`);
    },
  },
];
