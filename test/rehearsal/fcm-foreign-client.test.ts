// The simulated FCM is right about senders: Google's own client is accepted where Google accepts it, and refused
// where Google refuses it. Its token comes from the token endpoint by Google's own library.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { createFcmToken, createServiceAccount } from "../../src/rehearsal/credentials.ts";
import { fcmRefusal } from "../../src/rehearsal/fcm/simulator.ts";
import { runClient } from "./clients/run.ts";
import { authority, PROJECT, random, serviceAccount, startFcm } from "./provider-helpers.ts";

let fcm: Awaited<ReturnType<typeof startFcm>>;

beforeEach(async () => {
  // The client signs with the time of the real clock.
  fcm = await startFcm({ now: Date.now });
});
afterEach(() => fcm.simulator.stop());

interface Send {
  readonly message: Readonly<Record<string, unknown>>;
  readonly dryRun?: boolean;
  readonly overHttp2?: boolean;
}
interface Result {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
}

function send(sends: readonly Send[], account = serviceAccount.file): Promise<Result[]> {
  return runClient<Result[]>("firebase-admin.mjs", {
    port: fcm.port,
    ca: authority.certificate,
    account,
    sends: sends.map((each) => ({ ...each, message: { token: fcm.token, ...each.message } })),
  });
}

const mail = {
  data: { reason: "mail", unread: "3" },
  android: {
    priority: "high",
    ttl: 3_600_000,
    notification: { titleLocKey: "new_messages", bodyLocKey: "new_messages" },
  },
};

test("firebase-admin is accepted over HTTP/1.1 and HTTP/2, and the phone hears of its mail", async () => {
  const results = await send([
    { message: mail },
    { message: { data: { reason: "changed", unread: "2" } } },
    { message: { ...mail, data: { reason: "mail", unread: "4" } }, overHttp2: true },
  ]);
  for (const { name } of results) expect(name).toMatch(new RegExp(`^projects/${PROJECT}/messages/.+`));
  expect(fcm.simulator.history(fcm.token)).toMatchObject([
    { reason: "mail", unread: 3, priority: "high", visible: true, ttlSeconds: 3600 },
    { reason: "changed", unread: 2, priority: "normal", visible: false },
    { reason: "mail", unread: 4, priority: "high", visible: true },
  ]);
  expect(fcm.simulator.lastUnread(fcm.token)).toBe(4);
  expect(fcm.simulator.oauth.issued).toBe(1);
  expect(fcm.simulator.violations()).toEqual([]);
});

test("firebase-admin's dry run is accepted and rings nothing", async () => {
  const [result] = await send([{ message: mail, dryRun: true }]);
  expect(result?.name).toBe(`projects/${PROJECT}/messages/fake_message_id`);
  expect(fcm.simulator.history(fcm.token)).toEqual([]);
});

test("firebase-admin understands why a token is refused", async () => {
  const [gone, foreign] = [createFcmToken(random), createFcmToken(random)];
  fcm.simulator.devices.unregister(gone);
  fcm.simulator.devices.reassign(foreign);
  const sends = [gone, foreign, createFcmToken(random)].map((token) => ({ message: { ...mail, token } }));
  const codes = (await send([...sends, ...sends.map((each) => ({ ...each, overHttp2: true }))])).map(
    ({ code }) => code,
  );
  const expected = [
    "messaging/registration-token-not-registered",
    "messaging/mismatched-credential",
    "messaging/invalid-argument",
  ];
  expect(codes).toEqual([...expected, ...expected]);
});

test("firebase-admin is refused for data that FCM reserves and for a message that is too big", async () => {
  const results = await send([
    { message: { ...mail, data: { from: "me" } } },
    { message: { ...mail, data: { text: "x".repeat(4096) } } },
  ]);
  expect(results.map(({ code }) => code)).toEqual(Array(2).fill("messaging/invalid-argument"));
  expect(results.map(({ message }) => message)).toEqual([
    "Invalid data payload key: from",
    "Message is too big",
  ]);
});

test("firebase-admin with a collapse key is accepted, and it is written down against it", async () => {
  const [result] = await send([{ message: { ...mail, android: { ...mail.android, collapseKey: "mail" } } }]);
  expect(result?.name).toBeDefined();
  expect(fcm.simulator.violations()).toMatchObject([{ rule: "COLLAPSE_KEY" }]);
});

test("firebase-admin with another key, account or project is refused", async () => {
  const stranger = await createServiceAccount(random, PROJECT);
  const [wrongKey] = await send([{ message: mail }], stranger.file);
  expect(wrongKey?.code).toBe("app/invalid-credential");
  expect(wrongKey?.message).toContain("Invalid JWT Signature");
  const [wrongAccount] = await send([{ message: mail }], {
    ...serviceAccount.file,
    client_email: "someone@elsewhere.iam.gserviceaccount.com",
  });
  expect(wrongAccount?.message).toContain("account not found");
  const [wrongProject] = await send([{ message: mail }], { ...serviceAccount.file, project_id: "another" });
  expect(wrongProject?.message).toContain("Requested entity was not found");
  expect(fcm.simulator.history(fcm.token)).toEqual([]);
});

test("firebase-admin understands the errors that FCM gives on demand", async () => {
  const reasons = ["THIRD_PARTY_AUTH_ERROR", "DEVICE_QUOTA", "INTERNAL", "UNAVAILABLE"] as const;
  // The client waits for as long as `retry-after` says, unless that is more than a minute.
  for (const reason of reasons) fcm.simulator.misbehave(fcmRefusal(reason, { "retry-after": "3600" }));
  const results = await send(reasons.map(() => ({ message: mail })));
  expect(results.map(({ code }) => code)).toEqual([
    "messaging/third-party-auth-error",
    "messaging/message-rate-exceeded",
    "messaging/internal-error",
    "messaging/server-unavailable",
  ]);
});
