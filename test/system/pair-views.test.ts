// What the two nodes of a pair tell of themselves and of each other: in status, to whoever asks for readiness, and to a
// load balancer, which has to know within a second.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { PAIR_VERBS } from "../../src/pair/status.ts";
import { binary, run, until } from "./helpers.ts";
import { type PairNode, type PairScene, setPairScene } from "./pair-scene.ts";

const SECOND_MS = 1_000;
let scene: PairScene;
beforeAll(async () => {
  scene = await setPairScene("views");
  await scene.begin();
}, 60_000);
afterAll(() => scene.stop());

const says = async (node: PairNode) => (await node.get("/primary")).body.trim();
/** How long until both say so, milliseconds. */
async function timed(work: () => Promise<boolean>, what: string): Promise<number> {
  const from = performance.now();
  await until(work, what, 15_000);
  return performance.now() - from;
}
const screen = async (node: PairNode) =>
  (
    await run([binary, "pair", "status", "--config", node.configFile], {
      temporary: `${scene.directory}/tmp`,
    })
  ).out;

test("both show the same two nodes, roles, epoch, lag, last contact and last takeover", async () => {
  const { active } = await scene.roles();
  expect(await active.ask(PAIR_VERBS.switch)).toMatchObject({ result: "done" });
  await until(
    async () =>
      (await Promise.all([scene.a.status(), scene.b.status()])).every(
        (each) =>
          each.protected &&
          each.lagRows === 0 &&
          each.behindRows === 0 &&
          each.here.epoch === each.peer?.epoch,
      ),
    "both are quiet",
  );
  const now = await scene.roles();
  const [a, b] = await Promise.all([scene.a.status(), scene.b.status()]);
  expect([a.here.name, a.peer?.name, b.here.name, b.peer?.name]).toEqual([
    "bell-a",
    "bell-b",
    "bell-b",
    "bell-a",
  ]);
  expect([a.here.role, a.here.epoch]).toEqual([b.peer!.role, b.peer!.epoch]);
  expect([b.here.role, b.here.epoch]).toEqual([a.peer!.role, a.peer!.epoch]);
  expect(a.here.epoch).toBe(b.here.epoch);
  for (const each of [a, b]) {
    expect([each.link?.up, each.lagRows, each.behindRows]).toEqual([true, 0, 0]);
    expect(each.peer?.heardSecondsAgo).toBeLessThan(1);
    expect(each.lastTakeover).toMatchObject({ by: now.active.name, epoch: a.here.epoch, why: "switched" });
    expect(each.lastTakeover?.secondsAgo).toBeLessThan(30);
    expect(Math.abs(each.clockSkewMs ?? 1e9)).toBeLessThan(1_000);
  }
  for (const node of [scene.a, scene.b]) {
    const text = await screen(node);
    expect(text).toContain("PROTECTED");
    for (const word of ["bell-a", "bell-b", "active", "passive", "epoch", "last heard", "last takeover"]) {
      expect([node.name, word, text.includes(word)]).toEqual([node.name, word, true]);
    }
    expect(text).toContain(`${now.active.name} at `);
  }
}, 30_000);

test("metrics count a takeover on the node that took over, and the rows that a node which lags has not got yet", async () => {
  const metric = async (node: PairNode, name: string) => {
    const { body } = await node.get("/metrics");
    return Number(new RegExp(`^inboxbell_${name} (\\S+)$`, "m").exec(body)?.[1]);
  };
  const takeovers = (...nodes: readonly PairNode[]) =>
    Promise.all(nodes.map((node) => metric(node, "takeovers_total")));
  const { active: former, passive: next } = await scene.roles();
  const [given = -1, taken = -1] = await takeovers(former, next);
  expect(await former.ask(PAIR_VERBS.switch)).toMatchObject({ result: "done" });
  expect(await takeovers(former, next)).toEqual([given, taken + 1]);

  scene.turnTo(next);
  former.running.kill("SIGSTOP");
  // Not answered before the other node has it, or has been slow for so long that it counts as gone.
  const enrolled = scene.addPhone({ platform: "apns", mailbox: "anna" }).enrol();
  await until(async () => (await metric(next, "pair_lag_rows")) > 0, "the other node lacks the phone's rows");
  former.running.kill("SIGCONT");
  await enrolled;
  await until(
    async () =>
      (await metric(next, "pair_lag_rows")) === 0 &&
      (await metric(next, "pair_protected")) === 1 &&
      (await metric(former, "pair_connected")) === 1,
    "it has caught up",
  );
  expect(await takeovers(former, next)).toEqual([given, taken + 1]);
}, 60_000);

test("readyz?verbose has a line for each thing that was looked at, and of the other node what it lacks", async () => {
  const names = ["database", "pair", "other node", "providers", "delivery", "event loop"];
  const lines = async (node: PairNode) => (await node.get("/readyz?verbose")).body.trim().split("\n");
  for (const node of [scene.a, scene.b]) {
    const [all, verdict] = [await lines(node), (await lines(node)).at(-1)];
    expect(all.slice(0, -1).map((line) => /^ok {3}([^:]+): \S/.exec(line)?.[1])).toEqual(names);
    expect(verdict).toBe("ready");
  }
  const { active, passive } = await scene.roles();
  await passive.kill();
  await until(
    async () => (await lines(active)).some((line) => /^warn other node: \S/.test(line)),
    "it is missed",
  );
  // One node without the other works.
  expect(await active.get("/readyz")).toEqual({ status: 200, body: "ready\n" });
  await passive.up();
  await until(
    async () => {
      const status = await active.status();
      return (
        status.link?.up === true && status.lagRows === 0 && (await passive.get("/readyz")).status === 200
      );
    },
    "both are together",
    30_000,
  );
}, 60_000);

test("a load balancer is told the truth within a second of a switch, a death and an awakening", async () => {
  let { active, passive } = await scene.roles();
  const isTold = (now: PairNode, other: PairNode) => async () =>
    (await says(now)) === "ROLE=ACTIVE" && (await says(other)) === "ROLE=PASSIVE";
  expect(await active.ask(PAIR_VERBS.switch)).toMatchObject({ result: "done" });
  expect(await timed(isTold(passive, active), "both say the new roles")).toBeLessThan(SECOND_MS);
  [active, passive] = [passive, active];

  active.running.kill("SIGSTOP");
  await until(async () => (await says(passive)) === "ROLE=ACTIVE", "the other one took over", 15_000);
  active.running.kill("SIGCONT");
  expect(await timed(isTold(passive, active), "who woke up says that it is passive")).toBeLessThan(SECOND_MS);
  [active, passive] = [passive, active];
  await until(
    async () => (await passive.status()).link?.up === true && (await active.status()).link?.up === true,
    "the link is up",
  );
  await until(async () => (await passive.get("/readyz")).status === 200, "it serves");

  await active.kill();
  const told = await timed(async () => (await says(passive)) === "ROLE=ACTIVE", "the survivor says so");
  expect(told).toBeLessThan(SECOND_MS);
}, 60_000);
