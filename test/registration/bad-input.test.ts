import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { type Api, ENROLMENT, newPhone, START, startApi, wish } from "./helpers.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const SECRET = "secret-of-bad-input-tests";

function put(body: unknown, path = `/v1/registrations/${randomUUID()}`) {
  return api.call("PUT", path, { body, bearer: ENROLMENT });
}

function putRaw(raw: string | Buffer, contentType: string | null = "application/json", more = {}) {
  return api.call("PUT", `/v1/registrations/${randomUUID()}`, {
    raw,
    bearer: ENROLMENT,
    headers: { ...(contentType === null ? {} : { "Content-Type": contentType }), ...more },
  });
}

const good = (more: Record<string, unknown> = {}) => wish(SECRET, START, more);

test("bodies that are not JSON in UTF-8 are malformed", async () => {
  const text = JSON.stringify(good());
  for (const raw of [
    text.slice(0, -1),
    `${text}}`,
    "nothing",
    "{'app':1}",
    "",
    " ",
    Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
    Buffer.concat([Buffer.from('{"app":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
    `${"[".repeat(60_000)}`,
  ]) {
    const answer = await putRaw(raw);
    expect([answer.status, answer.json.code]).toEqual([400, "malformed"]);
  }
});

test("JSON that is no object, or nests deeply, is a field error", async () => {
  for (const raw of ["null", "[]", "3", '"text"', `${"[".repeat(20_000)}${"]".repeat(20_000)}`]) {
    const answer = await putRaw(raw);
    expect([answer.status, answer.json.field]).toEqual([422, ""]);
  }
});

test("only application/json in UTF-8, without an encoding, is taken", async () => {
  const text = JSON.stringify(good());
  for (const type of [
    "text/plain",
    "application/xml",
    "application/jsonx",
    "application/json; charset=utf-16",
  ]) {
    const answer = await putRaw(text, type);
    expect([answer.status, answer.json.code]).toEqual([415, "unsupported_media_type"]);
    expect(answer.headers.get("accept")).toBe("application/json");
  }
  expect((await putRaw(Buffer.from(text), null)).status).toBe(415);
  expect((await putRaw(text, "application/json", { "Content-Encoding": "gzip" })).status).toBe(415);
  expect((await putRaw(text, "Application/JSON; charset=UTF-8")).status).toBe(201);
});

test("a body above the listener's limit is refused as too large", async () => {
  const answer = await fetch(`${api.base}/v1/registrations/${randomUUID()}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${ENROLMENT}` },
    body: JSON.stringify(good({ token: "a".repeat(70_000) })),
    tls: { ca: api.certificate },
  });
  expect(answer.status).toBe(413);
});

test("an unknown path is 404, and a known one tells which methods it takes", async () => {
  const id = randomUUID();
  for (const path of [
    "/",
    "/v1",
    "/v1/discovery/",
    "/v2/discovery",
    `/v1/registrations/${id}/rings`,
    "/ews/x",
  ]) {
    const answer = await api.call("GET", path);
    expect([answer.status, answer.json.code]).toEqual([404, "not_found"]);
  }
  for (const [method, path, allow] of [
    ["POST", "/v1/discovery", "GET, HEAD"],
    ["DELETE", "/v1/openapi.json", "GET, HEAD"],
    ["OPTIONS", "/v1/discovery", "GET, HEAD"],
    ["PATCH", `/v1/registrations/${id}`, "PUT, GET, HEAD, DELETE"],
    ["POST", `/v1/registrations/${id}`, "PUT, GET, HEAD, DELETE"],
    ["GET", `/v1/registrations/${id}/ring`, "POST"],
  ] as const) {
    const answer = await api.call(method, path);
    expect([answer.status, answer.json.code]).toEqual([405, "method_not_allowed"]);
    expect(answer.headers.get("allow")).toBe(allow);
  }
});

test("an id that is no UUID names the path's field on every route", async () => {
  for (const id of [
    "1",
    "00000000000040008000000000000001",
    "{00000000-0000-4000-8000-000000000001}",
    "%00",
    "%zz",
  ]) {
    const path = `/v1/registrations/${id}`;
    for (const answer of [
      await put(good(), path),
      await api.call("GET", path, { bearer: SECRET }),
      await api.call("DELETE", path, { bearer: SECRET }),
      await api.call("POST", `${path}/ring`, { bearer: SECRET }),
    ]) {
      expect([answer.status, answer.json.field]).toEqual([422, "uuid"]);
    }
  }
});

const folder = (more: Record<string, unknown>) => good({ folders: [{ kind: "inbox", ...more }] });
const seventeen = Array.from({ length: 17 }, (_, i) => ({ name: `f${i}`, kind: "other" }));
const two = [{ kind: "inbox" }, { kind: "calendar" }];

const WRONG: readonly (readonly [string, string, Record<string, unknown>])[] = [
  ["an unknown app", "/app", good({ app: "com.example.other" })],
  [
    "a platform that the app has not",
    "/platform",
    good({ app: "com.example.ios", platform: "fcm", token: "x".repeat(30) }),
  ],
  ["an unknown platform", "/platform", good({ platform: "wns" })],
  ["an unknown member", "", good({ colour: "red" })],
  ["a member named __proto__", "", JSON.parse(`{"__proto__":{"app":1},${JSON.stringify(good()).slice(1)}`)],
  ["a number where a text belongs", "/app", good({ app: 7 })],
  ["a text where a number belongs", "/revision", good({ revision: String(START) })],
  ["a revision of zero", "/revision", good({ revision: 0 })],
  ["a negative revision", "/revision", good({ revision: -5 })],
  ["a broken revision", "/revision", good({ revision: START + 0.5 })],
  ["a revision above what a number can hold", "/revision", good({ revision: 2 ** 53 })],
  ["a short secret", "/secret", good({ secret: "a".repeat(21) })],
  ["a long secret", "/secret", good({ secret: "a".repeat(129) })],
  ["a secret that is not base64url", "/secret", good({ secret: `${"a".repeat(30)}+/` })],
  ["an APNs token with other letters", "/token", good({ token: "xy".repeat(32) })],
  ["an APNs token with an odd number of digits", "/token", good({ token: "a".repeat(63) })],
  ["an APNs token with brackets", "/token", good({ token: `<${"a1".repeat(32)}>` })],
  ["an APNs token that is too long", "/token", good({ token: "a".repeat(402) })],
  ["an APNs token that is too short", "/token", good({ token: "abcdef" })],
  ["an FCM token as an APNs token", "/token", good({ token: `x:${"y".repeat(140)}` })],
  [
    "an FCM token with a slash",
    "/token",
    good({ platform: "fcm", token: `${"y".repeat(30)}/${"y".repeat(30)}` }),
  ],
  ["an FCM token with a space", "/token", good({ platform: "fcm", token: `${"y".repeat(30)} ` })],
  ["an FCM token that is too short", "/token", good({ platform: "fcm", token: "y".repeat(19) })],
  ["an FCM token that is too long", "/token", good({ platform: "fcm", token: "y".repeat(4097) })],
  ["no folder", "/folders", good({ folders: [] })],
  ["folders that are no list", "/folders", good({ folders: { 0: { kind: "inbox" } } })],
  ["too many folders", "/folders", good({ folders: seventeen })],
  ["a folder without a kind", "/folders/0/kind", good({ folders: [{ name: "a" }] })],
  ["an unknown kind", "/folders/0/kind", folder({ kind: "sent" })],
  ["a folder name in upper case", "/folders/0/name", folder({ name: "Inbox" })],
  ["a folder name that is too long", "/folders/0/name", folder({ name: "a".repeat(33) })],
  ["an empty folder name", "/folders/0/name", folder({ name: "" })],
  ["an unknown member of a folder", "/folders/0", folder({ path: "x" })],
  ["a new_subscription that is false", "/folders/0/new_subscription", folder({ new_subscription: false })],
  ["an empty folder id", "/folders/0/folder_id", folder({ folder_id: "" })],
  ["a folder id that is too long", "/folders/0/folder_id", folder({ folder_id: "a".repeat(1025) })],
  [
    "two folders of one name",
    "/folders/1/name",
    good({ folders: [{ kind: "calendar" }, { kind: "calendar" }] }),
  ],
  ["two inboxes", "/folders/1/kind", good({ folders: [{ kind: "inbox" }, { name: "b", kind: "inbox" }] })],
  [
    "a subscription of no folder",
    "/subscriptions/0/folder",
    good({ subscriptions: [{ id: "s", folder: "sent" }] }),
  ],
  [
    "two subscriptions of one folder",
    "/subscriptions/1/folder",
    good({
      subscriptions: [
        { id: "s", folder: "inbox" },
        { id: "t", folder: "inbox" },
      ],
    }),
  ],
  [
    "one subscription for two folders",
    "/subscriptions/1/id",
    good({
      folders: two,
      subscriptions: [
        { id: "s", folder: "inbox" },
        { id: "s", folder: "calendar" },
      ],
    }),
  ],
  [
    "a SubscriptionId that is too long",
    "/subscriptions/0/id",
    good({ subscriptions: [{ id: "s".repeat(1025), folder: "inbox" }] }),
  ],
  [
    "a status frequency of a day and more",
    "/subscriptions/0/status_frequency_minutes",
    good({ subscriptions: [{ id: "s", folder: "inbox", status_frequency_minutes: 1441 }] }),
  ],
  ["a locale that is none", "/locale", good({ locale: "de_DE" })],
  ["a locale that is too long", "/locale", good({ locale: `de${"-abcdefgh".repeat(4)}` })],
];

for (const [what, field, body] of WRONG) {
  test(`${what} is refused, naming the field`, async () => {
    const answer = await put(body);
    expect([answer.status, answer.json.code, answer.json.field]).toEqual([422, "invalid_field", field]);
    expect(answer.json.detail.length).toBeGreaterThan(10);
  });
}

test("every required member is named when it is missing", async () => {
  for (const name of ["app", "platform", "token", "secret", "revision", "folders"]) {
    const { [name]: _left, ...rest } = good() as Record<string, unknown>;
    const answer = await put(rest);
    expect([answer.status, answer.json.field]).toEqual([422, `/${name}`]);
    expect(answer.json.detail).toContain("missing");
  }
});

test("of members with the same name the last one counts", async () => {
  const text = JSON.stringify(good());
  const answer = await putRaw(`{"app":"com.example.other",${text.slice(1)}`);
  expect(answer.status).toBe(201);
});

test("tokens of both platforms are taken in the forms that the providers issue", async () => {
  for (const more of [
    { token: "0123456789abcdef".repeat(4) },
    { token: "0123456789ABCDEF".repeat(10) },
    { platform: "fcm", token: `dQw4w9WgXcQ_-1:APA91b${"Az09_-".repeat(22)}` },
    { platform: "fcm", token: `${"a".repeat(60)}.${"b".repeat(60)}` },
  ]) {
    expect((await put(good(more))).status).toBe(201);
  }
});

test("no value, and no name that the client made up, is repeated in an error or in the log", async () => {
  const marker = "MARKER7f3a";
  const junk = fc.oneof(
    fc.constant(marker),
    fc.constant([marker]),
    fc.constant({ [marker]: marker }),
    fc.constant(`${marker}${"x".repeat(5000)}`),
    fc.constant(`/${marker}~${marker}`),
  );
  const place = fc.constantFrom(
    ["app"],
    ["platform"],
    ["token"],
    ["secret"],
    ["revision"],
    ["folders"],
    ["subscriptions"],
    ["locale"],
    ["folders", "0"],
    ["folders", "0", "kind"],
    ["folders", "0", "name"],
    ["folders", "0", "new_subscription"],
    ["subscriptions", "0", "id"],
    ["subscriptions", "0", "folder"],
    [marker],
    ["folders", "0", marker],
    ["subscriptions", "0", `a/${marker}`],
  );
  api.lines.length = 0;
  await fc.assert(
    fc.asyncProperty(place, junk, fc.boolean(), async (path, value, isCut) => {
      const body: Record<string, unknown> = structuredClone(
        good({ subscriptions: [{ id: "s", folder: "inbox" }] }),
      );
      let target = body;
      for (const part of path.slice(0, -1)) target = target[part] as Record<string, unknown>;
      target[path.at(-1)!] = value;
      const text = JSON.stringify(body);
      const answer = await putRaw(isCut ? text.slice(0, -1) : text);
      if (answer.status >= 400) expect(answer.text).not.toContain(marker);
      expect(answer.headers.get("content-type")).not.toContain("html");
    }),
    { numRuns: 150 },
  );
  const path = await api.call("GET", `/v1/${marker}`);
  const id = await api.call("GET", `/v1/registrations/${marker}`, { bearer: marker });
  for (const answer of [path, id]) expect(answer.text).not.toContain(marker);
  expect(api.lines.join("")).not.toContain(marker);
});

test("after all that a good phone registers as ever", async () => {
  expect((await newPhone(api).put(START)).status).toBe(201);
});
