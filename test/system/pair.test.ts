// Two nodes of the compiled binary as a pair: one rings, both answer, and either goes on without the other. The tests
// follow on each other: each finds the pair as the one before left it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { PAIR_VERBS } from "../../src/pair/status.ts";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { askRaw, until } from "./helpers.ts";
import { type PairNode, type PairScene, setPairScene } from "./pair-scene.ts";

let scene: PairScene;
let anna: Phone;
let ben: Phone;

beforeAll(async () => {
  scene = await setPairScene("pair");
  await scene.begin();
}, 60_000);
afterAll(() => scene.stop());

const deliver = (phone: Phone) => scene.exchange.mailbox(phone.mailbox).deliver();
const shows = (phone: Phone, badge: number) =>
  until(
    () => phone.badge === badge,
    () => `${phone.name} shows ${badge}; it shows ${phone.badge}`,
    10_000,
  );
const isProtected = () =>
  until(async () => {
    const both = await Promise.all([scene.a.status(), scene.b.status()]);
    return both.every((each) => each.protected && each.lagRows === 0);
  }, "both nodes hold the same");
/** How often the phone was rung with this badge. */
const rung = (phone: Phone, badge: number) => phone.pushes.filter((push) => push.badge === badge).length;

async function ask(node: PairNode, method: string, path: string, bearer?: string): Promise<string> {
  const authorization = bearer === undefined ? "" : `Authorization: Bearer ${bearer}\r\n`;
  return await askRaw(
    node.ports.registration,
    scene.props.ca,
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}Connection: close\r\n\r\n`,
  );
}

test("two nodes that start together are one active and one passive, and say so to a load balancer", async () => {
  const { active, passive } = await scene.roles();
  expect(await active.get("/primary")).toEqual({ status: 200, body: "ROLE=ACTIVE\n" });
  expect(await passive.get("/primary")).toEqual({ status: 503, body: "ROLE=PASSIVE\n" });
  for (const node of [active, passive]) expect((await node.get("/readyz")).status).toBe(200);
  const status = await passive.status();
  expect(status.peer).toMatchObject({ name: active.name, role: "active", seeding: "seeded" });
  expect(status.lastTakeover?.by).toBe(active.name);
  expect(status.alarms).toEqual([]);
  const metrics = (await passive.get("/metrics")).body;
  for (const line of ["pair_role 0", "pair_connected 1", "pair_protected 1", "pair_lag_rows 0"]) {
    expect(metrics).toContain(`inboxbell_${line}\n`);
  }
});

test("a phone that registers with the passive node, and what Exchange posts there, is rung once, by the active one", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(passive);
  anna = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
  ben = scene.addPhone({ platform: "fcm", mailbox: "ben", tellsInbox: true });
  await Promise.all([anna.enrol(), ben.enrol()]);
  deliver(anna);
  deliver(ben);
  await Promise.all([shows(anna, 1), shows(ben, 1)]);
  await isProtected();
  expect([rung(anna, 1), rung(ben, 1)]).toEqual([1, 1]);
  const rang = (node: PairNode) => node.running.lines.filter((line) => line.includes('"Rang."')).length;
  expect([rang(active), rang(passive)]).toEqual([2, 0]);
});

test("answers say that both nodes hold what they rest on", async () => {
  const { passive } = await scene.roles();
  const { path, certificate } = callback(anna);
  for (const node of [scene.a, scene.b]) {
    // A body that cannot be used wakes the phone, which takes a commit.
    const answer = await askRaw(
      node.ports.exchange,
      certificate,
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx`,
    );
    expect(answer).toStartWith("HTTP/1.1 200 OK");
    expect(answer).toContain("\r\nInboxbell-Durable: pair\r\n");
  }
  expect(await ask(passive, "GET", "/v1/registrations/00000000-0000-4000-8000-000000000000")).toContain(
    " 401 ",
  );
});

test("a registration that is deleted at the passive node ends at the active one", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(passive);
  const gone = scene.addPhone({ platform: "apns", mailbox: "carl", tellsInbox: true });
  await gone.enrol();
  deliver(gone);
  await shows(gone, 1);
  const subscribed = () => scene.exchange.subscriptions().filter((each) => each.mailbox === "carl").length;
  await gone.unregister();
  deliver(gone);
  await scene.exchange.idle();
  // The passive one judges nobody.
  expect(subscribed()).toBe(1);
  scene.turnTo(active);
  deliver(gone);
  await until(() => subscribed() === 0, "the subscription ended");
});

test("switching by hand loses no request and doubles no ring", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(passive);
  const answer = await active.ask(PAIR_VERBS.switch);
  expect(answer).toMatchObject({ result: "done" });
  expect(await scene.roles()).toEqual({ active: passive, passive: active });
  for (const badge of [2, 3]) {
    deliver(ben);
    await shows(ben, badge);
  }
  // And back, asked of the node that is to be active, while mail comes.
  const back = active.ask(PAIR_VERBS.switch, { to: "here" });
  deliver(ben);
  expect(await back).toMatchObject({ result: "done" });
  await shows(ben, 4);
  expect(await scene.roles()).toEqual({ active, passive });
  await isProtected();
  expect([2, 3, 4].map((badge) => rung(ben, badge))).toEqual([1, 1, 1]);
  expect(scene.exchange.statistics().failures).toEqual({});
});

test("a node that is told to stop hands over first", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(passive);
  expect((await active.running.stop()).code).toBe(0);
  expect((await passive.get("/primary")).status).toBe(200);
  const { here, lastTakeover } = await passive.status();
  expect([here.role, lastTakeover?.why]).toEqual(["active", "switched"]);
  deliver(ben);
  await shows(ben, 5);
  // What happened meanwhile is caught up with.
  await active.up();
  await isProtected();
  expect(await scene.roles()).toEqual({ active: passive, passive: active });
});

test("the process of the active node is killed: the other one is active within a second and rings what is owed", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(active);
  await scene.apns.stop();
  deliver(anna);
  await scene.exchange.idle();
  await isProtected();
  await scene.apns.start();
  const badge = (anna.badge ?? 0) + 1;
  const killedAt = performance.now();
  await active.kill();
  await until(async () => (await passive.get("/primary")).status === 200, "it is active");
  expect(performance.now() - killedAt).toBeLessThan(1_500);
  await shows(anna, badge);
  expect((await passive.status()).lastTakeover).toMatchObject({ by: passive.name, why: "peer_gone" });
  // Alone it answers for one node only, and ends nobody's subscription.
  scene.turnTo(passive);
  await ben.unregister();
  deliver(ben);
  await scene.exchange.idle();
  expect(scene.exchange.subscriptions().some((each) => each.mailbox === "ben")).toBe(true);
  expect((await passive.get("/metrics")).body).toContain("inboxbell_pair_protected 0\n");
  // Nor does it tell a phone that it is unknown: the other one might know it.
  const unknown = [
    "GET",
    `/v1/registrations/${crypto.randomUUID()}`,
    "a-secret-of-a-phone-elsewhere",
  ] as const;
  const early = await ask(passive, ...unknown);
  expect([early.includes(" 503 "), early.includes("not_known_yet")]).toEqual([true, true]);
  await active.up();
  await isProtected();
  expect(await scene.roles()).toEqual({ active: passive, passive: active });
  // It waits for the other one again, and so it may.
  await until(async () => (await passive.status()).waiting, "answers wait for both", 20_000);
  await until(async () => (await ask(active, ...unknown)).includes(" 401 "), "both know who is unknown");
  expect(await ask(passive, ...unknown)).toContain(" 401 ");
  deliver(ben);
  await until(
    () => !scene.exchange.subscriptions().some((each) => each.mailbox === "ben"),
    "the subscription ended",
  );
}, 60_000);

test("the end of a subscription is not told while the other node may lack what it rests on", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(active);
  const gone = scene.addPhone({ platform: "fcm", mailbox: "dora", tellsInbox: true });
  await gone.enrol();
  deliver(gone);
  await shows(gone, 1);
  await gone.unregister();
  await isProtected();
  const lives = () => scene.exchange.subscriptions().some((each) => each.mailbox === "dora");
  passive.running.kill("SIGSTOP");
  // Something to commit that the other node does not get: a body that cannot be used wakes its phone.
  const { path, certificate } = callback(anna);
  const body = "Host: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
  const unread = askRaw(active.ports.exchange, certificate, `POST ${path} HTTP/1.1\r\n${body}`);
  await Bun.sleep(300);
  deliver(gone);
  await scene.exchange.idle();
  passive.running.kill("SIGCONT");
  expect(await unread).toContain("\r\nInboxbell-Durable: node\r\n");
  expect(lives()).toBe(true);
  await until(async () => (await active.status()).protected, "answers wait for both", 20_000);
  expect(await scene.roles()).toEqual({ active, passive });
  deliver(gone);
  await until(() => !lives(), "the subscription ended");
}, 60_000);

test("an active node that stands still is replaced, and yields when it goes on, without a ring of its own", async () => {
  const { active, passive } = await scene.roles();
  scene.turnTo(passive);
  active.running.kill("SIGSTOP");
  await until(async () => (await passive.get("/primary")).status === 200, "the other one is active");
  expect((await passive.status()).lastTakeover).toMatchObject({ by: passive.name, why: "peer_silent" });
  const badge = (anna.badge ?? 0) + 1;
  deliver(anna);
  await shows(anna, badge);
  active.running.kill("SIGCONT");
  await until(async () => (await active.get("/primary")).status === 503, "it yields");
  await until(async () => (await active.status()).link?.up === true, "the link is up");
  await until(async () => (await active.get("/readyz")).status === 200, "it serves");
  expect(await scene.roles()).toEqual({ active: passive, passive: active });
  const rang = active.running.lines.filter((line) => line.includes('"Rang."')).length;
  await until(async () => (await passive.status()).lagRows === 0, "both hold the same");
  expect(rung(anna, badge)).toBe(1);
  expect(active.running.lines.filter((line) => line.includes('"Rang."')).length).toBe(rang);
});

test("no rule of Exchange, Apple or Google was broken by either node", () => {
  expect(scene.violations()).toEqual([]);
});

/** The path of a phone's callback URL, and what a client of the node trusts. */
function callback(phone: Phone): { readonly path: string; readonly certificate: string } {
  return { path: new URL(scene.callbackUrl(phone)).pathname, certificate: scene.props.ca };
}
