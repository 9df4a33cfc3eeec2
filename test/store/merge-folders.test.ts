// A folder that changed on both nodes while they were apart: both end with the same one, in whichever order they hear of
// each other.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Folder } from "../../src/store/types.ts";
import { change, folder, id, keyring, register } from "./helpers.ts";
import { type Apart, meet, openApart, WAYS } from "./meeting.ts";

const OLD = keyring.mac("subscription", "old");
const NEW = keyring.mac("subscription", "new");

let apart: Apart;
beforeEach(async () => {
  apart = await openApart();
  await register(apart.a.store, 1, "token-1", apart.a.time.now);
  await meet(apart, "a first");
});
afterEach(() => apart.close());

type Node = Apart["a"];

const write = (node: Node, wanted: Folder) => change(node.store, id(1), { folders: [wanted] });
const heard = (generation: number, bound: number, at: number, subscriptionMac: Buffer, more = {}) =>
  folder("inbox", generation, { boundGeneration: bound, lastHeardAt: at, subscriptionMac, ...more });

async function foldersOf(node: Node): Promise<readonly Folder[]> {
  const [view] = await node.store.read([id(1)]);
  return view?.state.kind === "present" ? view.state.folders : [];
}

/** The folders, which are the same on both nodes. */
async function common(): Promise<readonly Folder[]> {
  const [here, there] = [await foldersOf(apart.a), await foldersOf(apart.b)];
  expect(here).toEqual(there);
  return here;
}

/** A registration's renewal, with or without a folder. */
const renew = (node: Node, revision: number, folders: { folders?: Folder[]; removeFolders?: string[] }) =>
  change(node.store, id(1), {
    registration: {
      app: "com.example.mail",
      platform: "apns",
      token: "token-1",
      secretHash: keyring.mac("secret", "secret-1"),
      subjectMac: null,
      revision,
      locale: null,
      renewedAt: node.time.now,
    },
    ...folders,
  });

describe.each(WAYS)("nodes that meet, %s:", (way) => {
  test.each(["a", "b"] as const)(
    "the new subscription heard at %s outdoes a later heartbeat of the old one",
    async (name) => {
      const [newer, older] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
      await write(newer, heard(2, 2, 5_000, NEW));
      await write(older, heard(1, 1, 9_000, OLD));
      await meet(apart, way);
      expect(await common()).toMatchObject([
        { generation: 2, boundGeneration: 2, lastHeardAt: 5_000, subscriptionMac: NEW },
      ]);
    },
  );

  test.each(["a", "b"] as const)(
    "a new subscription asked for at %s keeps what the old one was heard with until it is heard itself",
    async (name) => {
      const [newer, older] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
      await write(newer, folder("inbox", 2));
      await write(older, heard(1, 1, 9_000, OLD));
      await meet(apart, way);
      expect(await common()).toMatchObject([
        { generation: 2, boundGeneration: 1, lastHeardAt: 9_000, subscriptionMac: OLD },
      ]);
    },
  );

  test.each(["a", "b"] as const)("of one subscription the later hearing counts, that at %s", async (name) => {
    const [later, earlier] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
    await write(later, heard(1, 1, 9_000, NEW));
    // Written last, and heard first.
    earlier.time.now += 60_000;
    await write(earlier, heard(1, 1, 5_000, OLD));
    await meet(apart, way);
    expect(await common()).toMatchObject([{ boundGeneration: 1, lastHeardAt: 9_000, subscriptionMac: NEW }]);
  });

  test.each(["a", "b"] as const)("a subscription that ended at %s has ended", async (name) => {
    const [ended, heardNode] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
    await write(ended, folder("inbox", 1, { endedGeneration: 1 }));
    heardNode.time.now += 60_000;
    await write(heardNode, heard(1, 1, 9_000, OLD));
    await meet(apart, way);
    expect(await common()).toMatchObject([{ endedGeneration: 1, lastHeardAt: 9_000 }]);
  });

  test.each(["a", "b"] as const)("a folder left out by the app at %s stays away", async (name) => {
    const [removing, hearing] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
    await renew(removing, 2, { removeFolders: ["inbox"] });
    hearing.time.now += 60_000;
    await write(hearing, heard(1, 1, 9_000, OLD));
    await meet(apart, way);
    expect(await common()).toEqual([]);
    for (const { store } of [apart.a, apart.b]) expect(await store.findSubscription(OLD)).toBeNull();
  });

  test.each(["a", "b"] as const)(
    "a folder wished for again at %s after it was left out is back",
    async (name) => {
      const [wishing, removing] = name === "a" ? [apart.a, apart.b] : [apart.b, apart.a];
      await renew(wishing, 3, { folders: [folder("inbox", 3)] });
      removing.time.now += 60_000;
      await renew(removing, 2, { removeFolders: ["inbox"] });
      await meet(apart, way);
      expect(await common()).toMatchObject([{ name: "inbox", generation: 3 }]);
    },
  );
});
