import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Api, DAY_MS, newPhone, SECOND_ENROLMENT, START, startApi } from "./helpers.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

test("a new phone is registered and gets a callback URL for each folder", async () => {
  const phone = newPhone(api);
  const answer = await phone.put(START, {
    folders: [{ kind: "inbox" }, { kind: "calendar" }, { name: "team-box", kind: "other" }],
    locale: "pt-BR",
  });
  expect(answer.status).toBe(201);
  expect(answer.headers.get("inboxbell-durable")).toBe("node");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.json).toMatchObject({
    id: phone.id,
    revision: START,
    renew_before: new Date(START + 30 * DAY_MS).toISOString(),
    ews: { status_frequency_minutes: 15 },
  });
  expect(answer.json.ews.shared_callback_url).toBeUndefined();
  expect(answer.json.folders.map((folder: { name: string }) => folder.name)).toEqual([
    "calendar",
    "inbox",
    "team-box",
  ]);
  for (const folder of answer.json.folders) {
    expect(folder.state).toBe("expected");
    expect(folder.callback_url).toStartWith("https://bell.test:9443/ews/");
    const segment = folder.callback_url.split("/").at(-1);
    expect(api.keyring.checkCapability(segment)).toEqual({
      kind: "valid",
      capability: { registrationId: phone.id, folder: folder.name, generation: START },
    });
  }
});

test("an id in upper case is the same id", async () => {
  const phone = newPhone(api);
  const first = await api.call("PUT", `/v1/registrations/${phone.id.toUpperCase()}`, {
    body: {
      app: "com.example.mail",
      platform: "apns",
      token: "AB".repeat(32),
      secret: phone.secret,
      revision: START,
      folders: [{ kind: "inbox" }],
    },
    bearer: SECOND_ENROLMENT,
  });
  expect(first.status).toBe(201);
  expect(first.json.id).toBe(phone.id);
  expect((await phone.get()).status).toBe(200);
});

test("a repeat after a lost answer gets the same bytes and changes nothing, whatever else it says", async () => {
  const phone = newPhone(api);
  const first = await phone.put(START);
  api.time.now += 5000;
  const repeat = await phone.renew(START, { token: "ff".repeat(32), folders: [{ kind: "calendar" }] });
  expect(repeat.status).toBe(200);
  expect(repeat.text).toBe(first.text);
  expect(repeat.headers.get("inboxbell-durable")).toBe("node");
  const [view] = await api.store.read([phone.id]);
  if (view?.state.kind !== "present") throw new Error("not registered");
  expect(view.state.registration.tokenMac).toEqual(api.keyring.mac("token", "a1".repeat(32)));
  expect(view.state.folders.map((folder) => folder.name)).toEqual(["inbox"]);
});

test("a wish that arrives late is refused with the stored revision and changes nothing", async () => {
  const phone = newPhone(api);
  await phone.put(START);
  const second = await phone.renew(START + 10);
  const late = await phone.renew(START + 5, { folders: [{ kind: "calendar" }] });
  expect(late.status).toBe(409);
  expect(late.json).toMatchObject({ code: "stale_revision", stored_revision: START + 10 });
  expect((await phone.renew(START + 10)).text).toBe(second.text);
});

test("a phone renews with a new token, without the enrolment secret, and keeps its callback URL", async () => {
  const phone = newPhone(api);
  const first = await phone.put(START);
  api.time.now += DAY_MS;
  const renewed = await phone.renew(api.time.now, { token: "B2".repeat(32) });
  expect(renewed.status).toBe(200);
  expect(renewed.json.folders).toEqual(first.json.folders);
  expect(renewed.json.renew_before).toBe(new Date(api.time.now + 30 * DAY_MS).toISOString());
  const [view] = await api.store.read([phone.id]);
  if (view?.state.kind !== "present") throw new Error("not registered");
  expect(view.state.registration.tokenMac).toEqual(api.keyring.mac("token", "b2".repeat(32)));
});

test("two phones of one mailbox are independent", async () => {
  const [one, two] = [newPhone(api), newPhone(api)];
  await one.put(api.time.now, { folders: [{ kind: "inbox", folder_id: "AAMk=" }] });
  await two.put(api.time.now, {
    folders: [{ kind: "inbox", folder_id: "AAMk=" }],
    platform: "fcm",
    token: `x:${"y".repeat(140)}`,
  });
  expect((await one.delete()).status).toBe(204);
  expect((await two.get()).json).toMatchObject({ platform: "fcm", state: "expected" });
});

test("a token that moves to another registration is held by both, and the old one goes by its idle time", async () => {
  const [old, fresh] = [newPhone(api), newPhone(api)];
  await old.put(api.time.now);
  expect((await fresh.put(api.time.now + 1)).status).toBe(201);
  expect((await old.get()).status).toBe(200);
  expect((await fresh.get()).status).toBe(200);
});

test("a deleted id is spent: a PUT for it is answered 410, and deleting again is answered as the first time", async () => {
  const phone = newPhone(api);
  await phone.put(api.time.now);
  const gone = await phone.delete();
  expect(gone.status).toBe(204);
  expect(gone.text).toBe("");
  expect(gone.headers.get("inboxbell-durable")).toBe("node");
  expect((await phone.delete()).status).toBe(204);
  const again = await phone.put(api.time.now + 1000);
  expect(again.status).toBe(410);
  expect(again.json.code).toBe("spent");
  expect((await phone.get()).status).toBe(410);
  expect((await phone.ring()).status).toBe(410);
});

test("a registration that fell idle registers again as new, with the enrolment secret", async () => {
  const phone = newPhone(api);
  await phone.put(api.time.now);
  api.time.now += 61 * DAY_MS;
  await api.store.sweep(api.time.now, api.config.retention.idleRegistrationMs);
  expect((await phone.renew(api.time.now)).status).toBe(401);
  expect((await phone.put(api.time.now)).status).toBe(201);
});

test("a registration keeps its app and its platform", async () => {
  const phone = newPhone(api);
  await phone.put(api.time.now);
  const app = await phone.renew(api.time.now + 1, { app: "com.example.ios" });
  expect([app.status, app.json.field]).toEqual([422, "/app"]);
  const platform = await phone.renew(api.time.now + 1, { platform: "fcm", token: "z".repeat(140) });
  expect([platform.status, platform.json.field]).toEqual([422, "/platform"]);
});

test("a revision far ahead of the clock is refused, but never a repeat or a small step", async () => {
  const phone = newPhone(api);
  const far = await phone.put(api.time.now + 2 * DAY_MS);
  expect([far.status, far.json.field]).toEqual([422, "/revision"]);
  const ahead = api.time.now + DAY_MS - 1000;
  expect((await phone.put(ahead)).status).toBe(201);
  api.time.now -= 10 * DAY_MS;
  expect((await phone.renew(ahead)).status).toBe(200);
  expect((await phone.renew(ahead + 1)).status).toBe(200);
  api.time.now += 10 * DAY_MS;
});

test("a new registration and its end are logged with a keyed hash, never with id, token or secret", async () => {
  const phone = newPhone(api);
  api.lines.length = 0;
  await phone.put(api.time.now, { token: "c3".repeat(32) });
  await phone.delete();
  const text = api.lines.join("");
  const info = api.lines.filter((line) => line.includes('"level":"info"'));
  expect(info).toHaveLength(2);
  for (const line of info) expect(line).toContain(api.keyring.logId(phone.id));
  for (const secret of [phone.id, phone.secret, "c3c3c3c3", "enrolment-secret"])
    expect(text).not.toContain(secret);
});

test("answers are counted by status", async () => {
  const metric = await api.metrics.registrationAnswers.get();
  const statuses = metric.values.map((value) => String(value.labels.status));
  for (const status of ["200", "201", "204", "409", "410", "422"]) expect(statuses).toContain(status);
});
