// What `doctor` finds of a live pair of the compiled binary, each made real. The tests follow on each other: each finds
// the pair as the one before left it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { askNode } from "../../src/ops/control.ts";
import { PAIR_VERBS } from "../../src/pair/status.ts";
import { createAuthority, nodeCertificate } from "../pair/certificates.ts";
import { doctor, type Sight } from "./doctor-report.ts";
import { binary, start, until } from "./helpers.ts";
import { type PairNode, type PairScene, setPairScene } from "./pair-scene.ts";

let scene: PairScene;
const look = (node: PairNode): Promise<Sight> => doctor(node.configFile, join(scene.directory, "tmp"));
/** Codes beyond that of the link's certificates, which are good for a day only. */
const beyond = ({ codes }: Sight) => codes.filter((code) => code !== "certificate_expires_soon");
const whole = () => {
  const both = () => Promise.all([scene.a.status(), scene.b.status()]);
  let seen: Awaited<ReturnType<typeof both>> | null = null;
  return until(
    async () => {
      seen = await both();
      return seen.every((each) => each.protected && each.here.serving);
    },
    () => `both nodes are protected: ${JSON.stringify(seen)}`,
  );
};

beforeAll(async () => {
  scene = await setPairScene("doctor-pair");
}, 60_000);
afterAll(() => scene.stop());

test("an empty second node without the first: it is not ready, and says why and what to do", async () => {
  await scene.b.up();
  scene.turnTo(scene.b);
  let sight: Sight | null = null;
  await until(
    async () => {
      sight = await look(scene.b);
      return sight.codes.includes("pair_alarm");
    },
    () => `the alarm; ${JSON.stringify(sight?.results.filter(({ level }) => level !== "ok"))}`,
  );
  expect(sight!.exitCode).toBe(1);
  expect(beyond(sight!)).toEqual(
    expect.arrayContaining(["node_not_ready", "pair_disconnected", "pair_alarm"]),
  );
  expect(sight!.only("node_not_ready").seen).toStartWith("pair: ");
  const { seen, remedy } = sight!.only("pair_alarm");
  expect([seen, remedy]).toEqual(["no_active", expect.stringContaining("inboxbell pair first")]);
});

test("a pair: the link's certificate that ends soon is told once, and nothing else", async () => {
  await scene.a.up();
  await scene.a.ask(PAIR_VERBS.first);
  await whole();
  for (const node of [scene.a, scene.b]) {
    scene.turnTo(node);
    const sight = await look(node);
    expect([sight.codes, sight.exitCode]).toEqual([["certificate_expires_soon"], 0]);
    expect(sight.results.filter(({ level }) => level !== "ok")).toHaveLength(1);
    expect(sight.only("certificate_expires_soon").subject).toBe("certificate of the pair's link");
    expect(sight.results.find(({ hop }) => hop === "pair")?.seen).toContain("holds everything");
    const clocks = sight.results.filter(({ hop }) => hop === "clock").map(({ subject }) => subject);
    expect(clocks).toContain(`against node ${node === scene.a ? "bell-b" : "bell-a"}`);
  }
});

test("while one node is down: pair_disconnected, why, and what to do; its clock is not told of any more", async () => {
  scene.turnTo(scene.a);
  await scene.b.kill();
  await until(async () => (await scene.a.status()).here.role === "active", "a is active");
  const sight = await look(scene.a);
  expect([beyond(sight), sight.exitCode]).toEqual([["pair_disconnected"], 1]);
  const { seen, remedy } = sight.only("pair_disconnected");
  expect(seen).toMatch(/^127\.0\.0\.1:\d+ refuses the connection: nobody listens there$/);
  expect(remedy).toContain("Start the other node");
  expect(sight.results.some(({ subject }) => subject.startsWith("against node"))).toBe(false);
});

test("while answers do not wait for the node that has come back: pair_unprotected", async () => {
  await scene.b.up();
  await until(async () => (await scene.a.status()).link?.up === true, "the link is up");
  const sight = await look(scene.a);
  expect([beyond(sight), sight.exitCode]).toEqual([["pair_unprotected"], 0]);
  expect(sight.only("pair_unprotected").seen).toMatch(
    /^connected, and answers do not wait for it yet; \d+ rows? (is|are) on this node only$/,
  );
  await scene.b.kill();
});

// The program faketime stays beside what it starts: the library alone leaves one process to end.
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
test.skipIf(!existsSync(FAKETIME))(
  "where the clocks of the two are apart: pair_clocks_apart, on either node (faketime)",
  async () => {
    scene.b.running = start([binary, "serve", "--config", scene.b.configFile], {
      temporary: join(scene.directory, "tmp"),
      env: { LD_PRELOAD: FAKETIME, FAKETIME: "+3m", FAKETIME_DONT_FAKE_MONOTONIC: "1" },
    });
    await until(
      async () => (await askNode(scene.b.socket, "ping").catch(() => null)) === "pong",
      "b answers",
    );
    await whole();
    await until(async () => (await scene.a.status()).clockSkewMs !== null, "the clocks were compared");
    const here = await look(scene.a);
    expect([beyond(here), here.exitCode]).toEqual([["pair_clocks_apart"], 0]);
    expect(here.only("pair_clocks_apart")).toMatchObject({
      subject: "against node bell-b",
      seen: "this clock is 3 min slow",
    });
    // Which of the two is right, the providers tell: this look has the right clock.
    expect(here.results.filter(({ hop, level }) => hop === "clock" && level === "ok").length).toBeGreaterThan(
      0,
    );
    expect((await look(scene.b)).only("pair_clocks_apart").seen).toBe("this clock is 3 min fast");
    await scene.b.kill();
  },
  60_000,
);

test("where the two are of different pairs: pair_disconnected, and what to look at", async () => {
  const stranger = await nodeCertificate(await createAuthority("Another pair"), "bell-b");
  const file = (name: string) => join(scene.b.directory, "pair", name);
  const write = (name: string, text: string) => writeFileSync(file(name), text, { mode: 0o600 });
  write("ca.pem", stranger.ca);
  write("node.pem", stranger.certificate);
  write("node.key", stranger.key);
  await scene.b.up();
  const rejected = (sight: Sight) => sight.codes.includes("pair_disconnected") && sight;
  let sight: Sight | false = false;
  await until(
    async () => {
      sight = rejected(await look(scene.a));
      return sight !== false && !/refuses the connection/.test(sight.only("pair_disconnected").seen);
    },
    () => `a is refused by b, which said ${scene.b.running.lines.slice(-5).join("\n")}`,
  );
  const { seen, remedy } = (sight as unknown as Sight).only("pair_disconnected");
  expect(seen).toMatch(/do not take each other for a pair/);
  expect(remedy).toContain("pair.tls");
}, 60_000);
