// A node of a pair whose process stood still for so long that the other one may have replaced it: with nobody to hear
// that from, it does nothing until it has waited as long as the other one would have.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { until } from "./helpers.ts";
import { type PairScene, setPairScene } from "./pair-scene.ts";

// `takeover_after` as it is by default.
const TAKEOVER_MS = 3_000;
let scene: PairScene;
beforeAll(async () => {
  scene = await setPairScene("thaw");
  await scene.begin();
}, 60_000);
afterAll(() => scene.stop());

test("an active node that goes on after it stood still is no active node before takeover_after, if it hears nobody", async () => {
  const { active, passive } = await scene.roles();
  for (const node of [active, passive]) node.running.kill("SIGSTOP");
  await Bun.sleep(TAKEOVER_MS + 500);
  active.running.kill("SIGCONT");
  const wokenAt = performance.now();
  expect(await active.get("/primary")).toEqual({ status: 503, body: "ROLE=PASSIVE\n" });
  expect((await active.get("/readyz")).status).toBe(503);
  const { here, alarms } = await active.status();
  expect([here.role, here.serving, here.rings]).toEqual(["active", false, false]);
  expect(alarms).toContain("frozen");
  await until(async () => (await active.get("/primary")).status === 200, "it goes on alone");
  // From its waking, which was a moment before it was asked first.
  expect(performance.now() - wokenAt).toBeGreaterThan(TAKEOVER_MS - 500);
  passive.running.kill("SIGCONT");
  await until(async () => (await passive.get("/readyz")).status === 200, "the other one serves");
  expect(await scene.roles()).toEqual({ active, passive });
}, 60_000);
