import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Api, newPhone, START, startApi } from "./helpers.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi({ sharedRoute: true });
});
afterAll(() => api.stop());

interface FolderAnswer {
  name: string;
  kind: string;
  state: string;
  callback_url: string;
}

function folderOf(answer: { json: { folders: FolderAnswer[] } }, name = "inbox"): FolderAnswer {
  return answer.json.folders.find((folder) => folder.name === name)!;
}

function generationOf(answer: { json: { folders: FolderAnswer[] } }, name = "inbox"): number {
  const check = api.keyring.checkCapability(folderOf(answer, name).callback_url.split("/").at(-1)!);
  if (check.kind !== "valid") throw new Error(check.kind);
  return check.capability.generation;
}

const subscription = (id: string) => api.keyring.mac("subscription", id);

test("asking for a new subscription opens a new callback URL for that folder only", async () => {
  const phone = newPhone(api);
  const folders = [{ kind: "inbox" }, { kind: "calendar" }];
  const first = await phone.put(START, { folders });
  const second = await phone.renew(START + 1, {
    folders: [{ kind: "inbox", new_subscription: true }, { kind: "calendar" }],
  });
  expect(generationOf(second)).toBe(START + 1);
  expect(folderOf(second).callback_url).not.toBe(folderOf(first).callback_url);
  expect(folderOf(second, "calendar")).toEqual(folderOf(first, "calendar"));
  const third = await phone.renew(START + 2, { folders });
  expect(third.json.folders).toEqual(second.json.folders);
});

test("what was heard on the old callback URL stays until the new one is heard", async () => {
  const phone = newPhone(api);
  await phone.put(START);
  const heard = {
    boundGeneration: START,
    subscriptionMac: subscription("old"),
    watermarkMac: api.keyring.mac("watermark", "w"),
    lastHeardAt: START + 5,
    folderMac: api.keyring.mac("folder", "learnt"),
    folderLearnt: true,
  };
  await api.folder(phone.id, heard);
  expect((await phone.get()).json).toMatchObject({
    state: "live",
    folders: [{ name: "inbox", state: "live", last_heard_at: new Date(START + 5).toISOString() }],
  });
  const renewed = await phone.renew(START + 10, { folders: [{ kind: "inbox", new_subscription: true }] });
  expect(folderOf(renewed).state).toBe("expected");
  expect(await api.stored(phone.id)).toMatchObject({ ...heard, generation: START + 10 });
});

test("a folder that was lost is expected again once the app asks for a new subscription, and only then", async () => {
  const phone = newPhone(api);
  await phone.put(START);
  for (const [at, lost] of [{ failedAt: START + 1 }, { silentAt: START + 1 }].entries()) {
    const revision = START + 10 * (at + 1);
    await api.folder(phone.id, {
      ...lost,
      boundGeneration: (await api.stored(phone.id)).generation,
      lastHeardAt: START,
      asks: 4,
      askedAt: START + 5,
    });
    const renewed = await phone.renew(revision);
    expect(folderOf(renewed).state).toBe(at === 0 ? "failed" : "silent");
    expect(await api.stored(phone.id)).toMatchObject({ asks: 4 });
    const again = await phone.renew(revision + 1, { folders: [{ kind: "inbox", new_subscription: true }] });
    expect(folderOf(again).state).toBe("expected");
    expect((await phone.get()).json.state).toBe("expected");
    // When it was asked last stays known: a subscription that is lost again and again rings no more often for it.
    expect(await api.stored(phone.id)).toMatchObject({
      failedAt: null,
      silentAt: null,
      asks: 0,
      askedAt: START + 5,
    });
  }
});

test("a folder left out is removed, and comes back with a new callback URL", async () => {
  const phone = newPhone(api);
  await phone.put(START, { folders: [{ kind: "inbox" }, { kind: "calendar" }] });
  const without = await phone.renew(START + 1);
  expect(without.json.folders.map((folder: FolderAnswer) => folder.name)).toEqual(["inbox"]);
  const back = await phone.renew(START + 2, { folders: [{ kind: "inbox" }, { kind: "calendar" }] });
  expect(generationOf(back, "calendar")).toBe(START + 2);
  expect(generationOf(back, "inbox")).toBe(START);
});

test("a folder that changes its kind gets a new callback URL, and its old folder id is dropped", async () => {
  const phone = newPhone(api);
  await phone.put(START, { folders: [{ name: "main", kind: "inbox", folder_id: "AAMk=" }] });
  const changed = await phone.renew(START + 1, { folders: [{ name: "main", kind: "other" }] });
  expect(folderOf(changed, "main").kind).toBe("other");
  expect(generationOf(changed, "main")).toBe(START + 1);
  expect((await api.stored(phone.id, "main")).folderMac).toBeNull();
});

test("a folder id that was given is kept while the app says nothing else, as a keyed hash", async () => {
  const phone = newPhone(api);
  await phone.put(START, { folders: [{ kind: "inbox", folder_id: "AAMk=" }] });
  await phone.renew(START + 1);
  const given = { folderMac: api.keyring.mac("folder", "AAMk="), folderLearnt: false };
  expect(await api.stored(phone.id)).toMatchObject(given);
  // For a new subscription without an id it serves until the new one is heard, as one that was learnt does.
  await phone.renew(START + 2, { folders: [{ kind: "inbox", new_subscription: true }] });
  expect(await api.stored(phone.id)).toMatchObject({ ...given, folderLearnt: true });
  await phone.renew(START + 3, { folders: [{ kind: "inbox", folder_id: "BBBB=" }] });
  expect(await api.stored(phone.id)).toMatchObject({
    folderMac: api.keyring.mac("folder", "BBBB="),
    folderLearnt: false,
  });
});

test("the state asks for a new subscription when a folder failed, fell silent or ended, and says dead when the token is", async () => {
  const phone = newPhone(api);
  await phone.put(START);
  expect((await phone.get()).json.state).toBe("expected");
  await api.folder(phone.id, { boundGeneration: START, lastHeardAt: START, failedAt: START + 1 });
  expect((await phone.get()).json).toMatchObject({ state: "resubscribe", folders: [{ state: "failed" }] });
  await api.folder(phone.id, { failedAt: null, silentAt: START + 2, asks: 3, askedAt: START + 2 });
  expect((await phone.get()).json).toMatchObject({ state: "resubscribe", folders: [{ state: "silent" }] });
  await api.folder(phone.id, { silentAt: null, endedGeneration: START });
  expect((await phone.get()).json).toMatchObject({ state: "resubscribe", folders: [{ state: "ended" }] });
  await phone.ring();
  const [ring] = await api.store.begin([phone.id]);
  await api.store.settle([
    { ring: ring!, kind: "dead", outcome: "BadDeviceToken", at: api.time.now, ends: false },
  ]);
  expect((await phone.get()).json).toMatchObject({
    state: "dead",
    last_ring: { reasons: ["test"], outcome: "BadDeviceToken", at: new Date(api.time.now).toISOString() },
  });
  api.time.now += 1000;
  const renewed = await phone.renew(START + 1, {
    token: "d4".repeat(32),
    folders: [{ kind: "inbox", new_subscription: true }],
  });
  expect(folderOf(renewed).state).toBe("expected");
  expect((await phone.get()).json.state).toBe("expected");
});

test("the shared callback URL is told only where it is switched on", async () => {
  const found = await api.call("GET", "/v1/discovery");
  expect(found.json.ews.shared_callback_url).toBe("https://bell.test:9443/ews");
});

test("a SubscriptionId brought by the app is noted with its status frequency", async () => {
  const phone = newPhone(api);
  const answer = await phone.put(START, {
    subscriptions: [{ id: "sub-a", folder: "inbox", status_frequency_minutes: 5 }],
  });
  expect(answer.status).toBe(201);
  expect(await api.store.findSubscription(subscription("sub-a"))).toEqual({
    registrationId: phone.id,
    folder: "inbox",
    generation: START,
  });
  expect(await api.stored(phone.id)).toMatchObject({ boundGeneration: START, statusFrequencyMinutes: 5 });
  // What was heard on it counts on when the app says the same again.
  await api.folder(phone.id, { lastHeardAt: START + 7 });
  await phone.renew(START + 1, { subscriptions: [{ id: "sub-a", folder: "inbox" }] });
  expect(await api.stored(phone.id)).toMatchObject({ lastHeardAt: START + 7, statusFrequencyMinutes: 5 });
  const other = await phone.renew(START + 2, { subscriptions: [{ id: "sub-b", folder: "inbox" }] });
  expect(folderOf(other).state).toBe("expected");
  expect(await api.store.findSubscription(subscription("sub-a"))).toBeNull();
});

test("another SubscriptionId for a folder that has ended begins anew", async () => {
  const phone = newPhone(api);
  await phone.put(START, { subscriptions: [{ id: "ended-1", folder: "inbox" }] });
  await api.folder(phone.id, { endedGeneration: START });
  const same = await phone.renew(START + 1, { subscriptions: [{ id: "ended-1", folder: "inbox" }] });
  expect(folderOf(same).state).toBe("ended");
  const other = await phone.renew(START + 2, { subscriptions: [{ id: "ended-2", folder: "inbox" }] });
  expect(folderOf(other).state).toBe("expected");
  expect(await api.stored(phone.id)).toMatchObject({ generation: START + 2, boundGeneration: START + 2 });
});

test("a SubscriptionId that is noted on another registration is refused, and nothing changes", async () => {
  const [one, two] = [newPhone(api), newPhone(api)];
  await one.put(START, { subscriptions: [{ id: "taken", folder: "inbox" }] });
  const refused = await two.put(START, {
    folders: [{ kind: "inbox" }, { kind: "calendar" }],
    subscriptions: [
      { id: "free", folder: "calendar" },
      { id: "taken", folder: "inbox" },
    ],
  });
  expect(refused.status).toBe(409);
  expect(refused.json).toMatchObject({ code: "subscription_bound", field: "/subscriptions/1/id" });
  expect((await two.get()).status).toBe(401);
  expect((await api.store.findSubscription(subscription("taken")))?.registrationId).toBe(one.id);
});

test("a SubscriptionId moves between the folders of one registration", async () => {
  const phone = newPhone(api);
  const folders = [{ kind: "inbox" }, { kind: "calendar" }];
  await phone.put(START, { folders, subscriptions: [{ id: "moving", folder: "inbox" }] });
  const moved = await phone.renew(START + 1, {
    folders,
    subscriptions: [{ id: "moving", folder: "calendar" }],
  });
  expect(moved.status).toBe(200);
  expect((await api.store.findSubscription(subscription("moving")))?.folder).toBe("calendar");
  expect((await api.stored(phone.id)).subscriptionMac).toBeNull();
});
