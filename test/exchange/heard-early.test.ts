// A node of a pair that hears Exchange before it has the registration from the other node: the count is not lost by it.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { folder, id, keyring } from "../store/helpers.ts";
import { folderChanged, inboxOf, openExchange, statusOf, write } from "./helpers.ts";

let here: Awaited<ReturnType<typeof openExchange>>;
let there: Awaited<ReturnType<typeof openExchange>>;
beforeEach(async () => {
  [here, there] = [await openExchange(), await openExchange()];
});
afterEach(async () => {
  await here.close();
  await there.close();
});

type Node = typeof here;
const send = async (from: Node, to: Node) => to.store.merge(await from.store.rowsAfter(0, 1_000));

/** Mail was read: no event of it says which folder is the inbox. */
const readElsewhere = (unread: number) =>
  write([{ events: [folderChanged("inbox-id", "root", unread, "w1")], previousWatermark: "w0" }]);

test("a count that is heard before the registration comes from the other node is rung once it does", async () => {
  await here.put(1, 10, [folder("inbox", 10, { folderMac: keyring.mac("folder", "inbox-id") })]);
  expect(statusOf(await there.post(inboxOf(1, 10), readElsewhere(4)))).toBe("OK");
  there.due.length = 0;
  await send(here, there);
  expect(there.due.map(({ registrationId }) => registrationId)).toEqual([id(1)]);
  expect(await there.ringAll(1)).toEqual([{ reason: "changed", badge: 4, folder: null }]);
  await send(there, here);
  expect(await here.ringAll(1)).toEqual([]);
});

test("it is rung by the other node, where that one hears of it first", async () => {
  await here.put(1, 10, [folder("inbox", 10, { folderMac: keyring.mac("folder", "inbox-id") })]);
  await there.post(inboxOf(1, 10), readElsewhere(4));
  here.due.length = 0;
  await send(there, here);
  expect(here.due.map(({ registrationId }) => registrationId)).toEqual([id(1)]);
  expect(await here.ringAll(1)).toEqual([{ reason: "changed", badge: 4, folder: null }]);
  await send(here, there);
  expect(await there.ringAll(1)).toEqual([]);
});

test("a sub-folder's count heard so early is nobody's badge", async () => {
  await here.put(1, 10, [folder("inbox", 10, { folderMac: keyring.mac("folder", "inbox-id") })]);
  const inSubFolder = [folderChanged("sub-id", "inbox-id", 9, "w1")];
  await there.post(inboxOf(1, 10), write([{ events: inSubFolder, previousWatermark: "w0" }]));
  await send(here, there);
  expect(await there.ringAll(1)).toEqual([{ reason: "changed", badge: null, folder: null }]);
});

test("where the inbox is learnt meanwhile, the count of then is the badge", async () => {
  await there.post(inboxOf(1, 10), readElsewhere(4));
  await there.post(
    inboxOf(1, 10),
    write([
      {
        events: [{ kind: "newMail", about: "item", parentFolderId: "inbox-id", watermark: "w2" }],
        previousWatermark: "w1",
      },
    ]),
  );
  await here.put(1, 10, [folder("inbox", 10)]);
  await send(here, there);
  expect(await there.ringAll(1)).toEqual([{ reason: "mail", badge: 4, folder: null }]);
});

test("a wish that was lost with a disk takes nothing of the older one with it, however new what is heard on it", async () => {
  await here.put(1, 10, [folder("inbox", 10, { folderMac: keyring.mac("folder", "inbox-id") })]);
  await there.post(inboxOf(1, 20), readElsewhere(4));
  await send(here, there);
  await send(there, here);
  for (const node of [here, there]) {
    expect(await node.folderOf(1)).toMatchObject({
      folderMac: keyring.mac("folder", "inbox-id"),
      statusFrequencyMinutes: 15,
      boundGeneration: 20,
    });
  }
  expect(await there.ringAll(1)).toEqual([{ reason: "changed", badge: 4, folder: null }]);
});
