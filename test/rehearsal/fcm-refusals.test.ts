// Each error of Google's table is given by the simulated FCM, in Google's shape, for the request that Google gives
// it for.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createFcmToken, createServiceAccount } from "../../src/rehearsal/credentials.ts";
import { type FcmReason, SHAPES } from "../../src/rehearsal/fcm/refusal.ts";
import { fcmRefusal } from "../../src/rehearsal/fcm/simulator.ts";
import {
  assertion,
  type Client,
  connect,
  type JwtOptions,
  NOON,
  PROJECT,
  type Reply,
  random,
  startFcm,
} from "./provider-helpers.ts";

const MINUTE = 60_000;
const FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest";
const QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const proven = new Set<FcmReason>();

type Fcm = Awaited<ReturnType<typeof startFcm>>;
let fcm: Fcm;
let client: Client;
let bearer: string;

beforeAll(async () => {
  fcm = await startFcm();
  client = await connect(fcm.url);
  bearer = await bearerFor(client);
});
afterAll(async () => {
  client.end();
  await fcm.simulator.stop();
});

function askToken(
  to: Client,
  atMs: number,
  options: JwtOptions = {},
  form: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const body = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: assertion(atMs, options),
    ...form,
  });
  const headers = { ":path": "/token", "content-type": "application/x-www-form-urlencoded" };
  return to.request(headers, body.toString());
}

async function bearerFor(to: Client, atMs = NOON, options: JwtOptions = {}): Promise<string> {
  const reply = await askToken(to, atMs, options);
  expect(reply.status).toBe(200);
  const { access_token: token, expires_in: seconds, token_type: type } = JSON.parse(reply.body);
  expect([seconds, type]).toEqual([3599, "Bearer"]);
  return token;
}

function post(
  body: string | Buffer,
  authorization: string | undefined = `Bearer ${bearer}`,
  project = PROJECT,
  to = client,
): Promise<Reply> {
  return to.request(
    {
      ":path": `/v1/projects/${project}/messages:send`,
      "content-type": "application/json",
      ...(authorization === undefined || authorization === "" ? {} : { authorization }),
    },
    body,
  );
}

const message = (change: Readonly<Record<string, unknown>> = {}) => ({
  token: fcm.token,
  data: { reason: "mail", unread: "3" },
  android: { priority: "high", ttl: "3600s", notification: { title_loc_key: "t", body_loc_key: "b" } },
  ...change,
});
const send = (change: Readonly<Record<string, unknown>> = {}) =>
  post(JSON.stringify({ message: message(change) }));

interface Fault {
  readonly code: number;
  readonly message: string;
  readonly status: string;
  readonly details?: readonly Readonly<Record<string, unknown>>[];
}
const faultOf = (reply: Reply): Fault => JSON.parse(reply.body).error;
const detailOf = (reply: Reply, type: string) =>
  faultOf(reply).details?.find((detail) => detail["@type"] === type);
const fieldOf = (reply: Reply): string | undefined => {
  const [violation] = (detailOf(reply, BAD_REQUEST)?.fieldViolations ?? []) as { field: string }[];
  return violation?.field;
};

function expectRefused(reply: Reply, reason: FcmReason, errorCode?: string): void {
  const shape = SHAPES[reason];
  expect(reply.status).toBe(shape.status);
  expect(faultOf(reply)).toMatchObject({ code: shape.status, status: shape.code });
  expect(detailOf(reply, FCM_ERROR)?.errorCode).toBe(errorCode);
  expect(reply.headers["content-type"]).toStartWith("application/json");
  proven.add(reason);
}

test("FCM accepts a right message and names it", async () => {
  const reply = await send();
  expect(reply.status).toBe(200);
  expect(JSON.parse(reply.body).name).toMatch(new RegExp(`^projects/${PROJECT}/messages/[0-9a-f]+$`));
  expect(fcm.simulator.history(fcm.token)).toEqual([
    {
      token: fcm.token,
      data: { reason: "mail", unread: "3" },
      reason: "mail",
      unread: 3,
      priority: "high",
      visible: true,
      shown: { title_loc_key: "t", body_loc_key: "b" },
      ttlSeconds: 3600,
      validateOnly: false,
      at: NOON,
    },
  ]);
});

test("FCM reads both spellings of a name and of a priority, and null as absent", async () => {
  for (const android of [
    { priority: "HIGH", notification: { titleLocKey: "t" } },
    { priority: "normal", restrictedPackageName: "com.example.mail" },
    { priority: "NORMAL", ttl: "0.5s", collapse_key: null, notification: null },
  ]) {
    expect((await send({ android })).status).toBe(200);
  }
  expect(fcm.simulator.violations()).toEqual([]);
});

test("FCM checks a message that is only to be validated, and rings nothing", async () => {
  const before = fcm.simulator.totals().accepted;
  const reply = await post(JSON.stringify({ message: message(), validate_only: true }));
  expect(JSON.parse(reply.body).name).toEndWith("/fake_message_id");
  expectRefused(
    await post(JSON.stringify({ message: message({ token: "x" }), validateOnly: true })),
    "INVALID_TOKEN",
    "INVALID_ARGUMENT",
  );
  expect(fcm.simulator.totals().accepted).toBe(before);
});

test("FCM takes a message for a topic, which has no phones here", async () => {
  expect((await send({ token: undefined, topic: "news" })).status).toBe(200);
});

/** What is wrong with the message, the field that the answer names, and how to make it. */
const UNREADABLE: readonly (readonly [string, string, () => unknown])[] = [
  ["an unknown field", "message", () => message({ priority: "high" })],
  ["a field of the old API", "", () => ({ to: fcm.token })],
  ["an unknown field of android", "message.android", () => message({ android: { badge: 3 } })],
  ["a number in data", "message.data[1].value", () => message({ data: { reason: "mail", unread: 3 } })],
  ["a boolean in data", "message.data[0].value", () => message({ data: { unread: true } })],
  ["data as a list", "message.data", () => message({ data: ["mail"] })],
  ["a token as a number", "message.token", () => message({ token: 7 })],
  ["ttl as a number", "message.android.ttl", () => message({ android: { ttl: 3600 } })],
  [
    "arguments that are no list",
    "message.android.notification.body_loc_args",
    () => message({ android: { notification: { body_loc_args: "x" } } }),
  ],
];

const UNWANTED: readonly (readonly [string, string, () => unknown])[] = [
  ["no recipient", "message", () => message({ token: undefined })],
  ["two recipients", "message", () => message({ topic: "news" })],
  ["a malformed topic", "message.topic", () => message({ token: undefined, topic: "/topics/news" })],
  ["ttl without unit", "message.android.ttl", () => message({ android: { ttl: "3600" } })],
  ["a negative ttl", "message.android.ttl", () => message({ android: { ttl: "-1s" } })],
  ["a ttl of five weeks", "message.android.ttl", () => message({ android: { ttl: "3024000s" } })],
  ["an unknown priority", "message.android.priority", () => message({ android: { priority: "10" } })],
  ["a priority in mixed case", "message.android.priority", () => message({ android: { priority: "High" } })],
  ["data named from", "message.data", () => message({ data: { from: "x" } })],
  ["data named message_type", "message.data", () => message({ data: { message_type: "x" } })],
  ["data named google.x", "message.data", () => message({ data: { "google.x": "x" } })],
  ["data named gcm.x", "message.android.data", () => message({ android: { data: { "gcm.x": "x" } } })],
  ["more than 4096 bytes", "message", () => message({ data: { text: "x".repeat(4093) } })],
];

describe("FCM refuses", () => {
  for (const [what, field, make] of UNREADABLE) {
    test(`${what}: INVALID_ARGUMENT for ${field || "the request"}, without FcmError`, async () => {
      const before = fcm.simulator.violations().length;
      const reply = await post(JSON.stringify(field === "" ? make() : { message: make() }));
      expectRefused(reply, "INVALID_JSON");
      expect(fieldOf(reply)).toBe(field);
      expect(fcm.simulator.violations()).toHaveLength(before + 1);
    });
  }
  for (const [what, field, make] of UNWANTED) {
    test(`${what}: INVALID_ARGUMENT for ${field}`, async () => {
      const before = fcm.simulator.violations().length;
      const reply = await post(JSON.stringify({ message: make() }));
      expectRefused(reply, "INVALID_ARGUMENT", "INVALID_ARGUMENT");
      expect(fieldOf(reply)).toBe(field);
      expect(fcm.simulator.violations()).toHaveLength(before + 1);
    });
  }
  test("what is not JSON in UTF-8, or not an object", async () => {
    for (const body of ["", "{", "[]", "3", Buffer.from([0x7b, 0xff, 0x7d])]) {
      expectRefused(await post(body), "INVALID_JSON");
    }
    expectRefused(await post("{}"), "INVALID_ARGUMENT", "INVALID_ARGUMENT");
  });

  test("nothing that is just small enough: 4096 bytes of data", async () => {
    const reply = await send({ data: { text: "x".repeat(4092) }, android: {} });
    expect(reply.status).toBe(200);
  });

  test("a token that it never gave out, saying that it is the token", async () => {
    for (const token of [createFcmToken(random), "abc", ""]) {
      const reply = await send({ token });
      expectRefused(reply, "INVALID_TOKEN", "INVALID_ARGUMENT");
      expect(faultOf(reply).message).toBe("The registration token is not a valid FCM registration token");
    }
  });

  test("a token whose app is gone: UNREGISTERED, until it registers again", async () => {
    const token = createFcmToken(random);
    fcm.simulator.devices.unregister(token);
    expectRefused(await send({ token }), "UNREGISTERED", "UNREGISTERED");
    fcm.simulator.devices.register(token);
    expect((await send({ token })).status).toBe(200);
  });

  test("a token of another project: SENDER_ID_MISMATCH", async () => {
    const token = createFcmToken(random);
    fcm.simulator.devices.reassign(token);
    expectRefused(await send({ token }), "SENDER_ID_MISMATCH", "SENDER_ID_MISMATCH");
  });

  test("another project: NOT_FOUND without FcmError, so that no token dies of it", async () => {
    const reply = await post(JSON.stringify({ message: message() }), undefined, "another");
    expectRefused(reply, "WRONG_PROJECT");
    expect(faultOf(reply).details).toBeUndefined();
  });

  test("another path, in HTML", async () => {
    const reply = await client.request({ ":path": "/fcm/send" });
    expect([reply.status, reply.headers["content-type"]]).toEqual([404, "text/html; charset=UTF-8"]);
  });

  test("no credential, an unknown one, an expired one and one of too little scope", async () => {
    const body = JSON.stringify({ message: message() });
    const missing = await post(body, "");
    expectRefused(missing, "CREDENTIALS_MISSING");
    expect(missing.headers["www-authenticate"]).toContain("Bearer");
    expectRefused(await post(body, "key=AAAA"), "CREDENTIALS_MISSING");
    const unknown = await post(body, "Bearer ya29.invented");
    expectRefused(unknown, "UNAUTHENTICATED");
    expect(unknown.headers["www-authenticate"]).toContain('error="invalid_token"');
    const narrow = await bearerFor(client, NOON, {
      claims: { scope: "https://www.googleapis.com/auth/userinfo.email" },
    });
    expectRefused(await post(body, `Bearer ${narrow}`), "SCOPE_INSUFFICIENT");
    const other = await startFcm();
    const sender = await connect(other.url);
    const own = `Bearer ${await bearerFor(sender)}`;
    const ask = () => post(JSON.stringify({ message: { token: other.token } }), own, PROJECT, sender);
    expect((await ask()).status).toBe(200);
    other.clock.now += 60 * MINUTE;
    expectRefused(await ask(), "UNAUTHENTICATED");
    other.clock.now -= MINUTE;
    other.simulator.oauth.revoke();
    expectRefused(await ask(), "UNAUTHENTICATED");
    sender.end();
    await other.simulator.stop();
  });
});

describe("FCM's quotas", () => {
  async function limited(options: Parameters<typeof startFcm>[0]) {
    const own = await startFcm(options);
    const sender = await connect(own.url);
    const authorization = `Bearer ${await bearerFor(sender)}`;
    const second = createFcmToken(random);
    own.simulator.devices.register(second);
    return {
      ...own,
      second,
      ask: (token = own.token) =>
        post(JSON.stringify({ message: { token } }), authorization, PROJECT, sender),
      async end() {
        sender.end();
        await own.simulator.stop();
      },
    };
  }

  test("240 messages a minute for a device: the next is refused for this device only", async () => {
    const { ask, second, clock, end } = await limited({});
    for (let n = 0; n < 240; n += 1) expect((await ask()).status).toBe(200);
    const reply = await ask();
    expectRefused(reply, "DEVICE_QUOTA", "QUOTA_EXCEEDED");
    expect(JSON.stringify(detailOf(reply, QUOTA_FAILURE))).toContain("Device message rate");
    expect(reply.headers["retry-after"]).toBe("60");
    expect((await ask(second)).status).toBe(200);
    clock.now += MINUTE;
    expect((await ask()).status).toBe(200);
    await end();
  });

  test("a device's hour", async () => {
    const { ask, clock, end } = await limited({ deviceHourLimit: { count: 2, windowMs: 60 * MINUTE } });
    await ask();
    clock.now += 30 * MINUTE;
    await ask();
    expectRefused(await ask(), "DEVICE_QUOTA", "QUOTA_EXCEEDED");
    await end();
  });

  test("a project's minute: everybody is refused", async () => {
    const { ask, second, end } = await limited({ projectLimit: { count: 1, windowMs: MINUTE } });
    await ask();
    const reply = await ask(second);
    expectRefused(reply, "PROJECT_QUOTA");
    expect(detailOf(reply, ERROR_INFO)).toMatchObject({ reason: "RATE_LIMIT_EXCEEDED" });
    expect(reply.headers["retry-after"]).toBe("60");
    await end();
  });
});

describe("FCM writes down what it accepts but no good sender sends", () => {
  test("a collapse key", async () => {
    const before = fcm.simulator.violations().length;
    expect((await send({ android: { collapse_key: "mail" } })).status).toBe(200);
    expect(fcm.simulator.violations().slice(before)).toMatchObject([{ rule: "COLLAPSE_KEY" }]);
    expect(fcm.simulator.history(fcm.token).at(-1)?.collapseKey).toBe("mail");
  });

  test("high priority where nothing is shown", async () => {
    const before = fcm.simulator.violations().length;
    const android = { priority: "high" };
    await send({ android, data: { reason: "calendar" } });
    expect(fcm.simulator.violations().slice(before)).toMatchObject([{ rule: "HIGH_WITHOUT_NOTIFICATION" }]);
    await send({ android, data: { reason: "mail" } });
    expect(fcm.simulator.violations()).toHaveLength(before + 1);
  });
});

describe("on demand FCM answers", () => {
  const reasons: readonly (readonly [FcmReason, string | undefined])[] = [
    ["THIRD_PARTY_AUTH_ERROR", "THIRD_PARTY_AUTH_ERROR"],
    ["PERMISSION_DENIED", undefined],
    ["SERVICE_DISABLED", undefined],
    ["INTERNAL", "INTERNAL"],
    ["UNAVAILABLE", "UNAVAILABLE"],
    ["UNREGISTERED", "UNREGISTERED"],
  ];
  for (const [reason, errorCode] of reasons) {
    test(`${reason}, once, for a message that is right`, async () => {
      fcm.simulator.misbehave(fcmRefusal(reason));
      expectRefused(await send(), reason, errorCode);
      expect((await send()).status).toBe(200);
    });
  }

  test("with the retry-after that the test wants, in lower case", async () => {
    fcm.simulator.misbehave(fcmRefusal("UNAVAILABLE", { "retry-after": "7" }));
    expect((await send()).headers["retry-after"]).toBe("7");
  });
});

test("every error of the table has been given", () => {
  expect([...proven].sort()).toEqual((Object.keys(SHAPES) as FcmReason[]).sort());
});

describe("the token endpoint refuses", () => {
  const stranger = createServiceAccount(random, PROJECT);
  const seconds = NOON / 1000;
  const wrong: readonly (readonly [string, string, string, () => Promise<JwtOptions>])[] = [
    [
      "another key",
      "invalid_grant",
      "Invalid JWT Signature.",
      async () => ({ key: (await stranger).file.private_key }),
    ],
    [
      "another algorithm",
      "invalid_grant",
      "Invalid JWT Signature.",
      async () => ({ header: { alg: "RS512" } }),
    ],
    [
      "an unknown account",
      "invalid_grant",
      "account not found",
      async () => ({ claims: { iss: "x@y.example" } }),
    ],
    [
      "another audience",
      "invalid_grant",
      "audience",
      async () => ({ claims: { aud: "https://fcm.googleapis.com/" } }),
    ],
    [
      "an assertion for two hours",
      "invalid_grant",
      "60 minutes",
      async () => ({ claims: { exp: seconds + 7200 } }),
    ],
    [
      "an expired assertion",
      "invalid_grant",
      "60 minutes",
      async () => ({ claims: { iat: seconds - 7200, exp: seconds - 3600 } }),
    ],
    [
      "an assertion from the future",
      "invalid_grant",
      "60 minutes",
      async () => ({ claims: { iat: seconds + 600 } }),
    ],
    ["an assertion without end", "invalid_grant", "60 minutes", async () => ({ claims: { exp: undefined } })],
    ["no scope", "invalid_scope", "scope", async () => ({ claims: { scope: "" } })],
  ];
  for (const [what, error, description, make] of wrong) {
    test(`${what}: ${error}`, async () => {
      const reply = await askToken(client, NOON, await make());
      expect(reply.status).toBe(400);
      expect(JSON.parse(reply.body).error).toBe(error);
      expect(JSON.parse(reply.body).error_description).toContain(description);
    });
  }

  test("another grant, no assertion, what is none, and another content type", async () => {
    const refusals = [
      await askToken(client, NOON, {}, { grant_type: "password" }),
      await client.request(
        { ":path": "/token", "content-type": "application/x-www-form-urlencoded" },
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
      ),
      await askToken(client, NOON, {}, { assertion: "a.b.c" }),
      await client.request({ ":path": "/token", "content-type": "application/json" }, "{}"),
    ];
    expect(refusals.map(({ body }) => JSON.parse(body).error)).toEqual([
      "unsupported_grant_type",
      "invalid_request",
      "invalid_grant",
      "invalid_request",
    ]);
  });

  test("nothing of an assertion for its own address or for Google's", async () => {
    await bearerFor(client, NOON, { claims: { aud: fcm.tokenUrl } });
    await bearerFor(client, NOON, { claims: { aud: "https://oauth2.googleapis.com/token" } });
  });

  test("as a whole when told to, and only as often", async () => {
    fcm.simulator.misbehaveToken({ kind: "answer", status: 500, body: '{"error":"internal_failure"}' });
    expect((await askToken(client, NOON)).status).toBe(500);
    expect((await askToken(client, NOON)).status).toBe(200);
  });
});
