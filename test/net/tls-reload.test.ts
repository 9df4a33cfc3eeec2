// Replacing a listener's certificate and allow list while clients connect all the time.
import { afterEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { isBellError } from "../../src/errors.ts";
import { makeIdentity, request, startListener, statuses, type TestListener, watch } from "./helpers.ts";

const one = await makeIdentity("ec");
const two = await makeIdentity("rsa");
const fingerprint = ({ certificate }: { readonly certificate: string }) =>
  new X509Certificate(certificate).fingerprint256;

const open: TestListener[] = [];
afterEach(async () => {
  for (const bell of open.splice(0)) await bell.stop();
});

async function start(options: Parameters<typeof startListener>[1] = {}): Promise<TestListener> {
  const bell = await startListener("tls", { tls: one, ...options });
  open.push(bell);
  return bell;
}

function dial(port: number, options: ConnectionOptions = {}): TLSSocket {
  return connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
}

const served = (socket: TLSSocket) => socket.getPeerX509Certificate()?.fingerprint256 ?? "none";

interface Visit {
  /** Fingerprint of the certificate that was served. */
  readonly certificate: string;
  readonly status: number | undefined;
  /** The socket's error, or null. */
  readonly failure: string | null;
}

/** A connection of its own, one request, and how it ended. */
function visit(port: number): Promise<Visit> {
  return new Promise((resolve) => {
    let received = "";
    let certificate = "none";
    let failure: string | null = null;
    const socket = dial(port);
    socket.once("secureConnect", () => {
      certificate = served(socket);
      socket.write(request("GET /"));
    });
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString("latin1");
    });
    socket.on("error", (error: Error & { code?: string }) => {
      failure = error.code ?? error.message;
    });
    socket.on("close", () => resolve({ certificate, status: statuses(received)[0], failure }));
  });
}

// Fifty clients in a process of their own, at once.
const CROWD = `
const { connect } = require("node:tls");
process.stdout.write("connecting");
const visit = () => new Promise((resolve) => {
  let answer = "";
  const socket = connect({ host: "127.0.0.1", port: Number(process.argv.at(-1)), rejectUnauthorized: false }, () =>
    socket.write("GET / HTTP/1.1\\r\\nHost: bell.test\\r\\nConnection: close\\r\\n\\r\\n"));
  socket.on("data", (bytes) => { answer += bytes; });
  socket.on("error", () => { answer = "failed"; });
  socket.on("close", () => resolve(answer.startsWith("HTTP/1.1 200 ")));
});
Promise.all(Array.from({ length: 50 }, visit)).then((all) => {
  const answered = all.filter(Boolean).length;
  process.stdout.write(answered + " answered, " + (all.length - answered) + " failed");
});
`;

describe("a renewed certificate", () => {
  test("is served to new connections, and an open connection lives on with the old one", async () => {
    const bell = await start();
    const old = await watch(dial(bell.port), "secureConnect");
    bell.listener.setTls(two);
    expect(await visit(bell.port)).toEqual({ certificate: fingerprint(two), status: 200, failure: null });
    old.send(request("GET /", { Connection: "keep-alive" }));
    await old.until("OK");
    old.send(request("GET /"));
    expect(statuses(await old.closed())).toEqual([200, 200]);
    expect(old.failure).toBeNull();
    old.destroy();
    bell.listener.setTls(one);
    expect((await visit(bell.port)).certificate).toBe(fingerprint(one));
  });

  test("costs none of the clients that connect all the time, over twenty renewals", async () => {
    const bell = await start();
    const visits: Visit[] = [];
    let isOver = false;
    const client = async () => {
      while (!isOver) visits.push(await visit(bell.port));
    };
    const clients = Array.from({ length: 12 }, client);
    for (let n = 1; n <= 20; n += 1) {
      await Bun.sleep(50);
      bell.listener.setTls(n % 2 === 1 ? two : one);
    }
    await Bun.sleep(50);
    isOver = true;
    await Promise.all(clients);
    expect(visits.filter((each) => each.status !== 200 || each.failure !== null)).toEqual([]);
    const certificates = new Set(visits.map((each) => each.certificate));
    expect(certificates).toEqual(new Set([fingerprint(one), fingerprint(two)]));
    expect(visits.length).toBeGreaterThan(100);
    expect(await bell.refused("handshake")).toBe(0);
  });

  test("costs none of the connections that the kernel holds for the listener", async () => {
    const bell = await start();
    const client = Bun.spawn([process.execPath, "-e", CROWD, String(bell.port)], { stdout: "pipe" });
    const reader = client.stdout.getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await next()).toBe("connecting");
    // Nothing is accepted while this turn of the event loop lasts: the crowd waits.
    const until = performance.now() + 200;
    while (performance.now() < until);
    bell.listener.setTls(two);
    expect(await next()).toBe("50 answered, 0 failed");
    await client.exited;
  });

  test("is spoken as the first one was: versions, order of suites, resumption", async () => {
    const bell = await start({ tls: two });
    bell.listener.setTls(one);
    const modern = dial(bell.port);
    await watch(modern, "secureConnect");
    expect(modern.getProtocol()).toBe("TLSv1.3");
    const suites = "ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256";
    const classic = dial(bell.port, { maxVersion: "TLSv1.2", ciphers: suites });
    let session: Buffer | undefined;
    classic.on("session", (ticket) => {
      session = ticket;
    });
    const first = await watch(classic, "secureConnect");
    expect(classic.getCipher().name).toBe("ECDHE-ECDSA-AES128-GCM-SHA256");
    first.send(request("GET /"));
    await first.closed();
    if (session === undefined) throw new Error("there was no session ticket");
    const again = dial(bell.port, { maxVersion: "TLSv1.2", ciphers: suites, session });
    await watch(again, "secureConnect");
    expect(again.isSessionReused()).toBe(true);
    const outdated = await watch(
      dial(bell.port, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1" }),
      "secureConnect",
    );
    expect(outdated.failure).toContain("PROTOCOL_VERSION");
    for (const socket of [modern, classic, again, outdated.socket]) socket.destroy();
  });

  test("ends the resumption of sessions that began with the old one", async () => {
    const bell = await start();
    const before = dial(bell.port, { maxVersion: "TLSv1.2" });
    let session: Buffer | undefined;
    before.on("session", (ticket) => {
      session = ticket;
    });
    const client = await watch(before, "secureConnect");
    client.send(request("GET /"));
    await client.closed();
    if (session === undefined) throw new Error("there was no session ticket");
    bell.listener.setTls(two);
    const after = dial(bell.port, { maxVersion: "TLSv1.2", session });
    await watch(after, "secureConnect");
    expect(after.isSessionReused()).toBe(false);
    expect(served(after)).toBe(fingerprint(two));
    for (const socket of [before, after]) socket.destroy();
  });

  test("that cannot be used leaves the old one in service", async () => {
    const bell = await start();
    const wrong = [
      { certificate: one.certificate, key: two.key },
      { certificate: "no certificate", key: one.key },
    ];
    for (const identity of wrong) {
      let code = "none";
      try {
        bell.listener.setTls(identity);
      } catch (error) {
        if (isBellError(error)) code = error.code;
      }
      expect(code).toBe("tls_invalid");
      expect(await visit(bell.port)).toEqual({ certificate: fingerprint(one), status: 200, failure: null });
    }
  });

  test("is served after a stop and a start of the listener, too", async () => {
    const bell = await start();
    await bell.listener.stop(0);
    bell.listener.setTls(two);
    const { port } = await bell.listener.start();
    expect((await visit(port)).certificate).toBe(fingerprint(two));
  });
});

test("a listener without TLS takes no certificate", async () => {
  const bell = await startListener("plain");
  open.push(bell);
  expect(() => bell.listener.setTls(one)).toThrow("speaks no TLS");
});

test("a new allow list holds for new connections", async () => {
  const bell = await start();
  const former = await watch(dial(bell.port), "secureConnect");
  bell.listener.setAllow(["192.0.2.0/24"]);
  expect(await visit(bell.port)).toMatchObject({ status: undefined });
  former.send(request("GET /"));
  expect(statuses(await former.closed())).toEqual([200]);
  former.destroy();
  expect(() => bell.listener.setAllow(["nonsense"])).toThrow("nonsense");
  expect(await visit(bell.port)).toMatchObject({ status: undefined });
  bell.listener.setAllow([]);
  expect(await visit(bell.port)).toMatchObject({ status: 200, failure: null });
});
