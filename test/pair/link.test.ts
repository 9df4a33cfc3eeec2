// The link by itself: who may be its other end, which connection is kept, and how the peer's end is noticed.
import { afterEach, describe, expect, test } from "bun:test";
import { connect as connectTcp, createServer as createTcpServer } from "node:net";
import { connect } from "node:tls";
import type { Connection } from "../../src/pair/connection.ts";
import { encodeFrame, type Frame, type Hello, PROTOCOL } from "../../src/pair/frames.ts";
import { createLink, type Link, type LinkOptions, type LinkState } from "../../src/pair/link.ts";
import { createOutbox } from "../../src/pair/outbox.ts";
import { type Authority, createAuthority, type NodeCertificate, nodeCertificate } from "./certificates.ts";
import { recordingLogger, until } from "./helpers.ts";
import { GREETING, meetAsStranger } from "./stranger.ts";

const authority: Authority = await createAuthority("Inboxbell pair");
const ofA = await nodeCertificate(authority, "bell-a");
const ofB = await nodeCertificate(authority, "bell-b");

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

interface Side {
  readonly link: Link;
  port: number;
  readonly ups: Connection[];
  readonly downs: Connection[];
  readonly frames: Frame[];
  readonly states: LinkState[];
  readonly logged: string[];
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function side(
  node: "bell-a" | "bell-b",
  listenPort: number,
  peerPort: number,
  identity: NodeCertificate,
  more: Partial<LinkOptions> = {},
): Promise<Side> {
  const [ups, downs, frames, states, logged]: [Connection[], Connection[], Frame[], LinkState[], string[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  const link = createLink({
    node,
    peerName: node === "bell-a" ? "bell-b" : "bell-a",
    listen: { address: "127.0.0.1", port: listenPort },
    peer: { host: "127.0.0.1", port: peerPort },
    identity,
    user: {
      greeting: async () => GREETING,
      up: (connection) => ups.push(connection),
      down: (connection) => downs.push(connection),
      frame: (_, frame) => frames.push(frame),
      changed: (state) => states.push(state),
    },
    state: () => ({ of: node }),
    timing: { beatMs: 40, silentMs: 400, helloMs: 600 },
    log: recordingLogger(logged),
    now: Date.now,
    monotonicNow: () => performance.now(),
    ...more,
  });
  const { port } = await link.start();
  ended.push(() => link.stop());
  return { link, port, ups, downs, frames, states, logged };
}

async function twoSides(certificateOfB: NodeCertificate = ofB, certificateOfA: NodeCertificate = ofA) {
  const [portA, portB] = [await freePort(), await freePort()];
  const a = await side("bell-a", portA, portB, certificateOfA);
  const b = await side("bell-b", portB, portA, certificateOfB);
  return { a, b };
}

const isUp = ({ link }: Side) => link.state.kind === "up";

async function stranger(port: number, hello?: Partial<Hello> | null) {
  const met = await meetAsStranger(port, ofB, hello);
  ended.push(() => met.socket.destroy());
  return met;
}

test("two nodes that dial each other at once end with one connection, the same on both", async () => {
  for (let round = 0; round < 5; round += 1) {
    const { a, b } = await twoSides();
    await until(() => isUp(a) && isUp(b), "up");
    await until(() => a.ups.length - a.downs.length === 1 && b.ups.length - b.downs.length === 1, "one each");
    await new Promise((resolve) => setTimeout(resolve, 150));
    const [atA, atB] = [a.ups.at(-1)!, b.ups.at(-1)!];
    expect(atA.isOpen && atB.isOpen).toBe(true);
    expect(atA.isDialled).toBe(!atB.isDialled);
    await a.link.stop();
    await b.link.stop();
  }
});

test("what the roles say travels in hello, in beats and in messages", async () => {
  const { a, b } = await twoSides();
  await until(() => isUp(a) && isUp(b) && b.frames.length > 2, "beats");
  expect(b.ups.at(-1)?.hello).toMatchObject({ node: "bell-a", state: { of: "bell-a" } });
  expect(b.frames.find((frame) => frame.kind === "beat")).toMatchObject({ state: { of: "bell-a" } });
  expect(a.link.send("yield", { epoch: 4 })).toBe(true);
  await until(() => b.frames.some((frame) => frame.kind === "message"), "the message");
  expect(b.frames.find((frame) => frame.kind === "message")).toMatchObject({
    name: "yield",
    body: { epoch: 4 },
  });
  const beats = b.frames.length;
  a.link.beat();
  await until(() => b.frames.length > beats, "a beat out of turn", 30);
});

test("a process that is gone is known to be within a fraction of a second: refused, not silent", async () => {
  const { a, b } = await twoSides();
  await until(() => isUp(a) && isUp(b), "up");
  const at = performance.now();
  await b.link.stop();
  await until(() => a.states.some((state) => state.kind === "down" && state.why === "refused"), "refused");
  expect(performance.now() - at).toBeLessThan(900);
});

test("a host that does not answer is silent, not refused", async () => {
  // Connects, as the kernel of a frozen process does, and says nothing.
  const frozen = createTcpServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => frozen.listen(0, "127.0.0.1", resolve));
  ended.push(() => frozen.close());
  const a = await side("bell-a", 0, (frozen.address() as { port: number }).port, ofA);
  await until(() => a.states.some((state) => state.kind === "down" && state.why === "silent"), "silent");
  expect(a.states.some((state) => state.kind === "down" && state.why === "refused")).toBe(false);
});

test("the link is up again by itself when the peer comes back", async () => {
  const { a, b } = await twoSides();
  await until(() => isUp(a) && isUp(b), "up");
  await b.link.stop();
  await until(() => !isUp(a), "down");
  const again = await side("bell-b", b.port, a.port, ofB);
  await until(() => isUp(a) && isUp(again), "up again", 2_000);
});

test("a peer that has gone silent on an open connection is noticed, and the connection is closed", async () => {
  const a = await side("bell-a", 0, await freePort(), ofA);
  const peer = await stranger(a.port);
  await until(() => isUp(a), "up");
  await until(
    () => a.states.some((state) => state.kind === "down" && state.why === "silent"),
    "silent",
    2_000,
  );
  await until(() => peer.isClosed, "closed");
});

test("a peer that does not read costs a bounded amount of memory, and the link to it ends", async () => {
  const a = await side("bell-a", 0, await freePort(), ofA);
  const peer = await stranger(a.port);
  await until(() => isUp(a), "up");
  const beats = setInterval(() => {
    peer.socket.write(encodeFrame({ kind: "beat", number: 1, at: 0, heard: null, state: null }));
  }, 50);
  ended.push(() => clearInterval(beats));
  peer.socket.pause();
  const body = "x".repeat(100_000);
  let sent = 0;
  while (isUp(a) && sent < 1_000) {
    a.link.send("big", body);
    sent += 1;
    if (sent % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(isUp(a)).toBe(false);
  // What the outbox keeps, and what the sockets of this machine take.
  expect(sent * body.length).toBeLessThan(32_000_000);
});

test("what is urgent goes before what is long", () => {
  const written: string[] = [];
  let isFree = false;
  const outbox = createOutbox((bytes) => {
    written.push(String(bytes));
    return isFree;
  });
  for (const text of ["page 1", "page 2", "page 3"]) outbox.put(Buffer.from(text), "rows");
  for (const text of ["ack 1", "ack 2"]) outbox.put(Buffer.from(text), "first", "ack");
  outbox.put(Buffer.from("yield"), "first");
  isFree = true;
  outbox.drained();
  // The first was on its way; of two acknowledgements the later says it all.
  expect(written).toEqual(["page 1", "ack 2", "yield", "page 2", "page 3"]);
  expect(outbox.waitingBytes).toBe(0);
});

test("a restarted peer's connection takes the place of the one that its old process left behind", async () => {
  const a = await side("bell-a", 0, await freePort(), ofA, {
    timing: { beatMs: 40, silentMs: 30_000, helloMs: 600 },
  });
  const old = await stranger(a.port);
  await until(() => a.ups.length === 1, "up");
  await stranger(a.port, { session: "s2" });
  await until(() => a.ups.length === 2, "the new process is taken");
  expect(a.downs).toEqual([a.ups[0]!]);
  await until(() => old.frames.some((frame) => frame.kind === "bye"), "the old one is told");
  expect(isUp(a)).toBe(true);
});

describe("nobody else is the peer", () => {
  test("a certificate of another authority", async () => {
    const other = await createAuthority("Inboxbell pair");
    const { a, b } = await twoSides(await nodeCertificate(other, "bell-b"));
    await until(() => a.link.state.kind === "down" && a.link.state.why === "rejected", "rejected");
    await until(() => b.link.state.kind === "down" && b.link.state.why === "rejected", "rejected");
    expect(a.ups.length + b.ups.length).toBe(0);
    expect(a.logged.some((line) => line.includes("is down") && line.includes("certificate"))).toBe(true);
  });

  test("the right authority's certificate for another name", async () => {
    const { a, b } = await twoSides(await nodeCertificate(authority, "bell-c"));
    await until(() => a.link.state.kind === "down" && a.link.state.why === "rejected", "rejected");
    expect(a.link.state).toMatchObject({ detail: expect.stringContaining('is not "bell-b". ') });
    await until(
      () => a.logged.some((line) => line.includes('not one for \\"bell-b\\"')),
      "told by the listening side",
    );
    expect(a.ups.length + b.ups.length).toBe(0);
  });

  test("no certificate", async () => {
    const a = await side("bell-a", 0, await freePort(), ofA);
    const socket = connect({ host: "127.0.0.1", port: a.port, servername: "bell-a", ca: [ofB.ca] });
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("close", resolve));
    expect(a.ups.length).toBe(0);
  });

  test("who calls itself otherwise than its certificate does", async () => {
    const a = await side("bell-a", 0, await freePort(), ofA);
    const peer = await stranger(a.port, { node: "bell-x" });
    await until(() => peer.frames.some((frame) => frame.kind === "bye"), "farewell");
    expect(a.ups.length).toBe(0);
  });

  test("who connects and says nothing, with or without TLS", async () => {
    const a = await side("bell-a", 0, await freePort(), ofA);
    const mute = await stranger(a.port, null);
    const raw = connectTcp(a.port, "127.0.0.1");
    let isClosed = false;
    raw.on("error", () => {});
    raw.on("close", () => {
      isClosed = true;
    });
    await until(() => mute.isClosed && isClosed, "both are ended", 3_000);
  });

  test("who speaks something else", async () => {
    const a = await side("bell-a", 0, await freePort(), ofA);
    const peer = await stranger(a.port, null);
    peer.socket.write("GET / HTTP/1.1\r\nHost: bell-a\r\n\r\n");
    await until(() => peer.isClosed, "closed");
    expect(a.logged.some((line) => line.includes("no frame"))).toBe(true);
  });
});

test("a peer of another major version is refused, and both are told why", async () => {
  const a = await side("bell-a", 0, await freePort(), ofA);
  const peer = await stranger(a.port, { major: PROTOCOL.major + 1 });
  await until(() => peer.frames.some((frame) => frame.kind === "bye"), "farewell");
  expect(peer.frames.find((frame) => frame.kind === "bye")).toMatchObject({
    code: "incompatible",
    detail: expect.stringContaining("has to be updated"),
  });
  await until(() => a.logged.some((line) => line.includes("has to be updated")), "logged");
  expect(a.ups.length).toBe(0);
});

test("a renewed certificate is used for the next connection, and the one that there is stays", async () => {
  const { a, b } = await twoSides();
  await until(() => isUp(a) && isUp(b), "up");
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [ups, next] = [a.ups.length, await createAuthority("Inboxbell pair")];
  a.link.setIdentity(await nodeCertificate(next, "bell-a"));
  b.link.setIdentity(await nodeCertificate(next, "bell-b"));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(a.ups.length).toBe(ups);
  a.ups.at(-1)?.close("test", "again");
  await until(() => a.ups.length > ups && isUp(a) && isUp(b), "up with the new ones");
});
