// Stopping the compiled binary while a ring is on its way: one signal lets it end, a second one does not wait, and
// neither loses anything.
import { afterEach, expect, test } from "bun:test";
import { connect } from "node:net";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import type { Misbehaviour } from "../../src/rehearsal/provider/misbehaviour.ts";
import { type Running, type Scene, setScene, until } from "./helpers.ts";

// Well below the time that a stop gives to rings on their way, well above what a stop without one takes.
const ANSWER_MS = 3_000;

let scene: Scene;
afterEach(() => scene.stop());

/** A node with one ring on its way, which Apple answers late or never. */
async function withRingOnItsWay(
  title: string,
  answer: Misbehaviour,
): Promise<{ node: Running; phone: Phone }> {
  scene = await setScene(title);
  const node = await scene.up();
  const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
  await phone.enrol();
  scene.exchange.mailbox("anna").deliver();
  await until(() => phone.badge === 1, "the phone was rung");
  scene.apns.misbehave(answer);
  scene.exchange.mailbox("anna").deliver();
  // New mail goes out at once after Exchange has its OK.
  await scene.exchange.idle();
  await Bun.sleep(300);
  return { node, phone };
}
const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

test("SIGTERM accepts no more, and lets the ring on its way end", async () => {
  const { node, phone } = await withRingOnItsWay("stop", { kind: "delay", ms: ANSWER_MS });
  node.kill("SIGTERM");
  await until(
    async () => !(await accepts(scene.props.ports.exchange)),
    "nothing is accepted any more",
    2_000,
  );
  expect(node.ended()).toBeNull();
  expect((await node.exited).code).toBe(0);
  expect(phone.badge).toBe(2);
  // It was noted: the next start has nothing to ring for.
  await scene.up();
  await Bun.sleep(500);
  expect(scene.apns.requests()).toHaveLength(2);
  expect(scene.violations()).toEqual([]);
}, 30_000);

test("a second signal ends at once, and the ring goes out again with the same id", async () => {
  const { node, phone } = await withRingOnItsWay("hurry", { kind: "lose-answer" });
  const from = performance.now();
  node.kill("SIGTERM");
  await Bun.sleep(200);
  node.kill("SIGTERM");
  await node.exited;
  expect(performance.now() - from).toBeLessThan(ANSWER_MS / 2);
  expect(scene.apns.requests()).toHaveLength(2);
  await scene.up();
  await until(() => scene.apns.requests().length === 3, "the ring goes out again");
  const [, before, after] = scene.apns.requests().map(({ id }) => id);
  expect(after).toBe(before!);
  expect(phone.badge).toBe(2);
  expect(scene.violations()).toEqual([]);
}, 30_000);
