// What another node heard of a subscription counts here too: the store says so when it merges the rows.
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { HeardFolder } from "../../src/store/options.ts";
import { change, folder, id, keyring, openTestStore, register } from "./helpers.ts";

const SERVER = keyring.mac("folder", "EX01");
const heard: HeardFolder[] = [];
let here: Awaited<ReturnType<typeof openTestStore>>;
let there: Awaited<ReturnType<typeof openTestStore>>;

beforeEach(async () => {
  heard.length = 0;
  here = await openTestStore({ events: { heardElsewhere: (each) => heard.push(each) } });
  there = await openTestStore();
});
afterEach(async () => {
  await here.close();
  await there.close();
});

const hear = (at: number) =>
  change(there.store, id(1), {
    folders: [folder("inbox", 1, { boundGeneration: 1, lastHeardAt: at, serverMac: SERVER })],
  });
async function merged(): Promise<readonly HeardFolder[]> {
  heard.length = 0;
  await here.store.merge(await there.store.rowsAfter(0, 100));
  return [...heard];
}

test("a folder that was heard there and not here is told with its server, once", async () => {
  await register(there.store, 1, "token-1", 0);
  expect(await merged()).toEqual([]);
  await hear(5_000);
  expect(await merged()).toEqual([{ registrationId: id(1), folder: "inbox", serverMac: SERVER }]);
  expect(await merged()).toEqual([]);
  await hear(6_000);
  expect(await merged()).toHaveLength(1);
});

test("nothing is told of what this node heard later itself", async () => {
  await register(there.store, 1, "token-1", 0);
  await hear(5_000);
  await merged();
  await change(here.store, id(1), {
    folders: [folder("inbox", 1, { boundGeneration: 1, lastHeardAt: 9_000, serverMac: SERVER })],
  });
  await hear(8_000);
  expect(await merged()).toEqual([]);
});
