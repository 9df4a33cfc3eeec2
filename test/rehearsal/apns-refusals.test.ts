// Each reason of Apple's table is given by the simulated APNs for the request that Apple gives it for.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ApnsReason, REASONS } from "../../src/rehearsal/apns/refusal.ts";
import { apnsRefusal } from "../../src/rehearsal/apns/simulator.ts";
import { createAuthority, issueApnsCertificate } from "../../src/rehearsal/certificates.ts";
import { createApnsKey, createApnsToken } from "../../src/rehearsal/credentials.ts";
import {
  APP,
  apnsKey,
  authority,
  type Client,
  connect,
  NOON,
  type PushOptions,
  providerToken,
  push,
  random,
  reasonOf,
  startApns,
} from "./provider-helpers.ts";

const MINUTE = 60_000;
const SECONDS = NOON / 1000;
const proven = new Set<ApnsReason>();

type Apns = Awaited<ReturnType<typeof startApns>>;
let apns: Apns;
let client: Client;

beforeAll(async () => {
  apns = await startApns({ deviceLimit: { count: 500, windowMs: MINUTE } });
  client = await connect(apns.url);
});
afterAll(async () => {
  client.end();
  await apns.simulator.stop();
});

function payload(json: unknown): PushOptions {
  return { body: JSON.stringify(json) };
}
function sized(bytes: number): PushOptions {
  const empty = JSON.stringify({ aps: { badge: 1 }, x: "" });
  return payload({ aps: { badge: 1 }, x: "x".repeat(bytes - empty.length) });
}
function header(name: string, value: string | string[] | undefined): PushOptions {
  return { headers: { [name]: value } };
}
const background = { "apns-push-type": "background", "apns-priority": "5" };
const wake = JSON.stringify({ aps: { "content-available": 1 } });

/** What is wrong with the request, the reason for it, and how to make it. */
const WRONG: readonly (readonly [string, ApnsReason, PushOptions])[] = [
  ["another method", "MethodNotAllowed", header(":method", "GET")],
  ["another path", "BadPath", header(":path", "/4/device/00")],
  ["a query", "BadPath", header(":path", "/3/device/00?x=1")],
  ["no device token", "MissingDeviceToken", header(":path", "/3/device/")],
  ["a token that is not hex", "BadDeviceToken", header(":path", "/3/device/xyz")],
  ["a token nobody knows", "BadDeviceToken", header(":path", `/3/device/${"0".repeat(64)}`)],
  ["no apns-topic", "MissingTopic", header("apns-topic", undefined)],
  ["a malformed topic", "BadTopic", header("apns-topic", "not a topic")],
  ["another team's topic", "TopicDisallowed", header("apns-topic", "com.example.other")],
  ["a suffix of another push type", "TopicDisallowed", header("apns-topic", `${APP}.voip`)],
  ["no apns-push-type", "InvalidPushType", header("apns-push-type", undefined)],
  ["an unknown push type", "InvalidPushType", header("apns-push-type", "loud")],
  ["an upper-case apns-id", "BadMessageId", header("apns-id", "A87B6E0F-1111-4222-8333-444455556666")],
  ["an apns-id that is no UUID", "BadMessageId", header("apns-id", "17")],
  ["a priority of 7", "BadPriority", header("apns-priority", "7")],
  ["an expiry in words", "BadExpirationDate", header("apns-expiration", "tomorrow")],
  ["an expiry in milliseconds", "BadExpirationDate", header("apns-expiration", String(NOON + MINUTE))],
  ["an expiry in 1970", "BadExpirationDate", header("apns-expiration", "3600")],
  ["an expiry a second ago", "BadExpirationDate", header("apns-expiration", String(SECONDS - 1))],
  ["a negative expiry", "BadExpirationDate", header("apns-expiration", "-1")],
  ["a collapse id of 65 bytes", "BadCollapseId", header("apns-collapse-id", "x".repeat(65))],
  ["a header sent twice", "DuplicateHeaders", header("apns-collapse-id", ["a", "b"])],
  ["no payload", "PayloadEmpty", { body: "" }],
  ["4097 bytes", "PayloadTooLarge", sized(4097)],
  ["50 000 bytes", "PayloadTooLarge", sized(50_000)],
  ["a payload that is not JSON", "BadPayload", { body: "{badge: 1}" }],
  ["a payload that is not UTF-8", "BadPayload", { body: Buffer.from([0x22, 0xff, 0x22]) }],
  ["a payload without aps", "BadPayload", payload({ badge: 1 })],
  ["a badge as a string", "BadPayload", payload({ aps: { badge: "3" } })],
  ["a negative badge", "BadPayload", payload({ aps: { badge: -1 } })],
  ["half a badge", "BadPayload", payload({ aps: { badge: 1.5 } })],
  ["content-available: true", "BadPayload", payload({ aps: { "content-available": true } })],
  ["mutable-content without an alert", "BadPayload", payload({ aps: { "mutable-content": 1 } })],
  [
    "a background push of priority 10",
    "BadPriority",
    { headers: { ...background, "apns-priority": "10" }, body: wake },
  ],
  [
    "a background push of no stated priority",
    "BadPriority",
    { headers: { ...background, "apns-priority": undefined }, body: wake },
  ],
  [
    "a background push with a badge",
    "BadPayload",
    { headers: background, ...payload({ aps: { "content-available": 1, badge: 2 } }) },
  ],
  ["a background push that wakes nobody", "BadPayload", { headers: background, ...payload({ aps: {} }) }],
  ["no authorization", "MissingProviderToken", header("authorization", undefined)],
  ["a token without scheme", "InvalidProviderToken", header("authorization", providerToken(NOON))],
  ["something else than a JWT", "InvalidProviderToken", header("authorization", "bearer abc")],
];

describe("APNs refuses", () => {
  for (const [what, reason, options] of WRONG) {
    test(`${what}: ${reason}`, async () => {
      const before = apns.simulator.totals().accepted;
      const violations = apns.simulator.violations().length;
      const reply = await push(client, apns.token, NOON, options);
      expect(reasonOf(reply)).toBe(reason);
      expect(reply.status).toBe(REASONS[reason].status);
      expect(apns.simulator.totals().accepted).toBe(before);
      expect(apns.simulator.violations().length - violations).toBe(REASONS[reason].violation ? 1 : 0);
      proven.add(reason);
    });
  }

  test("nothing of a right request, and keeps its apns-id", async () => {
    for (const options of [
      {},
      { headers: { ...background, "apns-expiration": undefined }, body: wake },
      payload({ aps: { badge: 0 } }),
      payload({ aps: { alert: { "loc-key": "NEW_MESSAGES" }, sound: "default", "mutable-content": 1 } }),
      header("apns-expiration", "0"),
      header("apns-collapse-id", "x".repeat(64)),
      sized(4096),
      header("authorization", `Bearer ${providerToken(NOON)}`),
    ]) {
      const id = crypto.randomUUID();
      const reply = await push(client, apns.token, NOON, {
        ...options,
        headers: { ...(options as PushOptions).headers, "apns-id": id },
      });
      expect(reasonOf(reply)).toBe("accepted");
      expect(reply.headers["apns-id"]).toBe(id);
    }
  });

  test("a request without apns-id never: it makes one", async () => {
    const reply = await push(client, apns.token, NOON, header("apns-id", undefined));
    expect(reply.headers["apns-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("the token of another app: DeviceTokenNotForTopic", async () => {
    const token = createApnsToken(random);
    apns.simulator.devices.register(token, "com.example.other");
    expect(reasonOf(await push(client, token, NOON))).toBe("DeviceTokenNotForTopic");
    proven.add("DeviceTokenNotForTopic");
  });

  test("a dead token, saying since when in milliseconds", async () => {
    const [gone, expired] = [createApnsToken(random), createApnsToken(random)];
    for (const token of [gone, expired]) apns.simulator.devices.register(token, APP);
    apns.simulator.devices.unregister(gone, NOON - MINUTE);
    apns.simulator.devices.expire(expired, NOON - 2 * MINUTE);
    for (const [token, reason, since] of [
      [gone, "Unregistered", NOON - MINUTE],
      [expired, "ExpiredToken", NOON - 2 * MINUTE],
    ] as const) {
      const reply = await push(client, token, NOON);
      expect(reply.status).toBe(410);
      expect(JSON.parse(reply.body)).toEqual({ reason, timestamp: since });
      proven.add(reason);
    }
    apns.simulator.devices.register(gone, APP);
    expect(reasonOf(await push(client, gone, NOON))).toBe("accepted");
  });

  test("more pushes to one device than allowed, but not to another: TooManyRequests", async () => {
    const limited = await startApns({ deviceLimit: { count: 2, windowMs: MINUTE } });
    const sender = await connect(limited.url);
    const other = createApnsToken(random);
    limited.simulator.devices.register(other, APP);
    const send = async (token: string) => reasonOf(await push(sender, token, NOON));
    expect([await send(limited.token), await send(limited.token), await send(limited.token)]).toEqual([
      "accepted",
      "accepted",
      "TooManyRequests",
    ]);
    expect(await send(other)).toBe("accepted");
    limited.clock.now += MINUTE;
    expect(await send(limited.token)).toBe("accepted");
    proven.add("TooManyRequests");
    sender.end();
    await limited.simulator.stop();
  });
});

describe("a provider token is refused", () => {
  const stranger = createApnsKey(random);
  const wrong: readonly (readonly [string, () => Promise<string>])[] = [
    ["of another key", async () => providerToken(NOON, { key: (await stranger).privateKey })],
    ["of an unknown key id", async () => providerToken(NOON, { header: { kid: "AAAAAAAAAA" } })],
    ["without a key id", async () => providerToken(NOON, { header: { kid: undefined } })],
    ["of another team", async () => providerToken(NOON, { claims: { iss: "BBBBBBBBBB" } })],
    ["of another algorithm", async () => providerToken(NOON, { header: { alg: "RS256" } })],
    ["of no algorithm", async () => providerToken(NOON, { header: { alg: "none" } })],
    ["without a time", async () => providerToken(NOON, { claims: { iat: undefined } })],
    ["with a time in milliseconds", async () => providerToken(NOON, { claims: { iat: NOON } })],
  ];
  for (const [what, make] of wrong) {
    test(`${what}: InvalidProviderToken`, async () => {
      const reply = await push(client, apns.token, NOON, header("authorization", `bearer ${await make()}`));
      expect(reasonOf(reply)).toBe("InvalidProviderToken");
      expect(reply.status).toBe(403);
      proven.add("InvalidProviderToken");
    });
  }

  test("after 60 minutes, and its connection stays useless: ExpiredProviderToken", async () => {
    const { simulator, clock, token, url } = await startApns();
    const sender = await connect(url);
    const bearer = header("authorization", `bearer ${providerToken(NOON)}`);
    clock.now = NOON + 60 * MINUTE;
    expect(reasonOf(await push(sender, token, clock.now, { headers: { ...bearer.headers } }))).toBe(
      "accepted",
    );
    clock.now += 1000;
    expect(reasonOf(await push(sender, token, clock.now, bearer))).toBe("ExpiredProviderToken");
    expect(reasonOf(await push(sender, token, clock.now))).toBe("ExpiredProviderToken");
    const anew = await connect(url);
    expect(reasonOf(await push(anew, token, clock.now))).toBe("accepted");
    proven.add("ExpiredProviderToken");
    sender.end();
    anew.end();
    await simulator.stop();
  });

  test("if it is the second new one within 20 minutes, while the old one still works: TooManyProviderTokenUpdates", async () => {
    const { simulator, clock, token, url } = await startApns();
    const sender = await connect(url);
    const send = async (issuedAt: number) =>
      reasonOf(
        await push(sender, token, clock.now, header("authorization", `bearer ${providerToken(issuedAt)}`)),
      );
    expect(await send(NOON)).toBe("accepted");
    expect(await send(NOON + MINUTE)).toBe("accepted");
    expect(await send(NOON + 2 * MINUTE)).toBe("TooManyProviderTokenUpdates");
    expect(await send(NOON + MINUTE)).toBe("accepted");
    clock.now += 20 * MINUTE;
    expect(await send(clock.now)).toBe("accepted");
    proven.add("TooManyProviderTokenUpdates");
    sender.end();
    await simulator.stop();
  });

  test("never for being signed anew with the same time, as a restarted sender does", async () => {
    const { simulator, token, url } = await startApns();
    const sender = await connect(url);
    const tokens = new Set(Array.from({ length: 5 }, () => providerToken(NOON)));
    expect(tokens.size).toBe(5);
    for (const bearer of tokens) {
      expect(reasonOf(await push(sender, token, NOON, header("authorization", `bearer ${bearer}`)))).toBe(
        "accepted",
      );
    }
    sender.end();
    await simulator.stop();
  });

  test("on a connection that was first used with another key: UnrelatedKeyIdInToken", async () => {
    const second = await createApnsKey(random, { teamId: apnsKey.teamId });
    const { simulator, token, url } = await startApns({
      keys: [
        { ...apnsKey, topics: [APP] },
        { ...second, topics: [APP] },
      ],
    });
    const sender = await connect(url);
    expect(reasonOf(await push(sender, token, NOON))).toBe("accepted");
    const bearer = `bearer ${providerToken(NOON, { header: { kid: second.keyId }, key: second.privateKey })}`;
    const other = header("authorization", bearer);
    expect(reasonOf(await push(sender, token, NOON, other))).toBe("UnrelatedKeyIdInToken");
    const anew = await connect(url);
    expect(reasonOf(await push(anew, token, NOON, other))).toBe("accepted");
    proven.add("UnrelatedKeyIdInToken");
    sender.end();
    anew.end();
    await simulator.stop();
  });

  test("in the environment that its key is not for: BadEnvironmentKeyIdInToken", async () => {
    const { simulator, token, url } = await startApns({
      environment: "sandbox",
      keys: [{ ...apnsKey, topics: [APP], environments: ["production"] }],
    });
    const sender = await connect(url);
    expect(reasonOf(await push(sender, token, NOON))).toBe("BadEnvironmentKeyIdInToken");
    proven.add("BadEnvironmentKeyIdInToken");
    sender.end();
    await simulator.stop();
  });
});

describe("a client certificate", () => {
  async function answerTo(
    certificate: Awaited<ReturnType<typeof issueApnsCertificate>>,
    environment: "production" | "sandbox" = "production",
    options: PushOptions = {},
  ): Promise<string> {
    const { simulator, token, url } = await startApns({
      clientAuthority: authority.certificate,
      environment,
    });
    const sender = await connect(url, certificate);
    try {
      const headers = { authorization: undefined, ...options.headers };
      return reasonOf(await push(sender, token, NOON, { ...options, headers }));
    } finally {
      sender.end();
      await simulator.stop();
    }
  }

  test("of the app is accepted instead of a token, in both environments", async () => {
    const certificate = await issueApnsCertificate(authority, { topic: APP });
    expect(await answerTo(certificate)).toBe("accepted");
    expect(await answerTo(certificate, "sandbox")).toBe("accepted");
  });

  test("of the sandbox is refused in production: BadCertificateEnvironment", async () => {
    const certificate = await issueApnsCertificate(authority, { topic: APP, environment: "sandbox" });
    expect(await answerTo(certificate, "sandbox")).toBe("accepted");
    expect(await answerTo(certificate, "production")).toBe("BadCertificateEnvironment");
    proven.add("BadCertificateEnvironment");
  });

  test("of another app may not send to this one: TopicDisallowed", async () => {
    const certificate = await issueApnsCertificate(authority, { topic: "com.example.other" });
    expect(await answerTo(certificate)).toBe("TopicDisallowed");
  });

  test("that has expired or is another authority's is refused, whatever token comes with it: BadCertificate", async () => {
    const stranger = await createAuthority("Test authority");
    const bearer = header("authorization", `bearer ${providerToken(NOON)}`);
    for (const certificate of [
      await issueApnsCertificate(stranger, { topic: APP }),
      await issueApnsCertificate(authority, { topic: APP, now: Date.now() - 400 * 86_400_000, days: 365 }),
    ]) {
      expect(await answerTo(certificate)).toBe("BadCertificate");
      expect(await answerTo(certificate, "production", bearer)).toBe("BadCertificate");
    }
    proven.add("BadCertificate");
  });
});

describe("on demand APNs answers", () => {
  // These depend on what goes on inside Apple's service, not on the request.
  for (const reason of [
    "IdleTimeout",
    "Forbidden",
    "InternalServerError",
    "ServiceUnavailable",
    "Shutdown",
  ] as const) {
    test(`${reason}, once, for a request that is right`, async () => {
      apns.simulator.misbehave(apnsRefusal(reason));
      const reply = await push(client, apns.token, NOON);
      expect([reply.status, reasonOf(reply)]).toEqual([REASONS[reason].status, reason]);
      expect(reasonOf(await push(client, apns.token, NOON))).toBe("accepted");
      proven.add(reason);
    });
  }
});

test("every reason of the table has been given", () => {
  expect([...proven].sort()).toEqual((Object.keys(REASONS) as ApnsReason[]).sort());
});
