// A node that does not ring: nothing leaves it, nothing stalls on it, and when it may ring it rings all that is owed.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  accepted,
  dispatcherOver,
  type HandSender,
  handSender,
  STALLED_AFTER_MS,
  settled,
  until,
} from "./dispatcher-fixture.ts";

let sender: HandSender;
let scene: Awaited<ReturnType<typeof dispatcherOver>>;
let rings: boolean;

beforeEach(async () => {
  sender = handSender();
  rings = false;
  scene = await dispatcherOver([sender], undefined, { mayRing: () => rings });
  scene.dispatcher.start();
});
afterEach(() => scene.close());

test("what becomes due on it is not rung, is no stall, and costs no memory", async () => {
  for (let n = 1; n <= 5; n += 1) {
    await scene.register(n);
    await scene.mail(n, n);
  }
  for (let looks = 0; looks < 20; looks += 1) {
    scene.advance(STALLED_AFTER_MS / 4);
    await settled();
  }
  expect(sender.sent).toEqual([]);
  expect([sender.renewals, scene.dispatcher.stalled()]).toEqual([0, []]);
  expect(await scene.owed()).toBe(5);
  rings = true;
  sender.auto = () => accepted;
  scene.dispatcher.takeUp();
  scene.clock.advance(0);
  await until(() => sender.sent.length === 5, "all that was owed is rung");
  expect(sender.warmed).toBe(2);
});

test("rings on their way end when it may ring no more, and none begins for what came meanwhile", async () => {
  rings = true;
  for (let n = 1; n <= 2; n += 1) await scene.register(n);
  await scene.mail(1, 1);
  await until(() => sender.flying.length === 1, "a ring is on its way");
  rings = false;
  let isIdle = false;
  const idle = scene.dispatcher.idle().then(() => {
    isIdle = true;
  });
  // For the phone that is being rung, and for another one.
  await scene.mail(1, 2);
  await scene.mail(2, 1);
  await settled();
  expect([sender.sent.length, isIdle]).toEqual([1, false]);
  sender.flying[0]!.answer(accepted);
  await idle;
  await settled();
  expect(sender.sent.length).toBe(1);
  expect(await scene.owed()).toBe(2);
  await scene.dispatcher.idle();
});
