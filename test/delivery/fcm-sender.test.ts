import { afterEach, describe, expect, test } from "bun:test";
import type { Sender } from "../../src/delivery/sender.ts";
import { fcmRefusal } from "../../src/rehearsal/fcm/simulator.ts";
import type { Ring } from "../../src/store/types.ts";
import { ring, until } from "./helpers.ts";
import { type AppSetup, FCM_TOKEN, fcm, sendersFor } from "./providers.ts";

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function google(more: Parameters<typeof fcm>[0] = {}) {
  const simulated = await fcm(more);
  endings.push(() => simulated.simulator.stop());
  return simulated;
}

async function senderTo(url: string, tokenUrl: string, setup: AppSetup = {}): Promise<Sender> {
  const [first] = await sendersFor([{ fcmUrl: url, tokenUrl, ...setup }]);
  const sender = first!.sender;
  endings.push(() => sender.stop());
  return sender;
}

const bell = (more: Partial<Ring> = {}) => ring({ platform: "fcm", token: FCM_TOKEN, ...more });

describe("ringing over FCM", () => {
  test("tells the unread count, and does nothing that Google would hold against it", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    expect(await sender.send(bell({ badge: 12 }))).toEqual({ kind: "accepted" });
    expect(await sender.send(bell({ reason: "changed", badge: 3 }))).toEqual({ kind: "accepted" });
    for (const reason of ["calendar", "folder", "test"] as const) {
      expect(await sender.send(bell({ reason, badge: null }))).toEqual({ kind: "accepted" });
    }
    const folder = bell({ reason: "resubscribe", badge: null, folder: "inbox" });
    expect(await sender.send(folder)).toEqual({ kind: "accepted" });
    expect(simulator.lastUnread(FCM_TOKEN)).toBe(3);
    expect(simulator.violations()).toEqual([]);
  });

  test("asks for one access token for many rings at once", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    const verdicts = await Promise.all(
      Array.from({ length: 100 }, (_, at) => sender.send(bell({ badge: at }))),
    );
    expect(verdicts.every((verdict) => verdict.kind === "accepted")).toBe(true);
    expect(simulator.oauth.issued).toBe(1);
  });

  test("is warm before the first ring: connection and access token are there", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    sender.warm();
    await until(() => simulator.oauth.issued === 1 && simulator.totals().connections >= 2, "both");
    const { connections } = simulator.totals();
    expect(await sender.send(bell())).toEqual({ kind: "accepted" });
    expect(simulator.totals().connections).toBe(connections);
    expect(simulator.oauth.issued).toBe(1);
  });

  test("connects anew when it is renewed, with the access token that it has", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    expect(await sender.send(bell())).toEqual({ kind: "accepted" });
    const { connections } = simulator.totals();
    sender.renew();
    await until(() => simulator.totals().connections === connections + 1, "another connection");
    expect(await sender.send(bell())).toEqual({ kind: "accepted" });
    expect(simulator.oauth.issued).toBe(1);
  });

  test("gets a new access token once when its own is refused", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    expect(await sender.send(bell())).toEqual({ kind: "accepted" });
    simulator.oauth.revoke();
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => sender.send(bell())));
    expect(verdicts.every((verdict) => verdict.kind === "accepted")).toBe(true);
    expect(simulator.oauth.issued).toBe(2);
  });

  test("calls it configuration when a new access token is refused as well", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    simulator.misbehave(fcmRefusal("UNAUTHENTICATED"), { every: 1 });
    expect(await sender.send(bell())).toMatchObject({ kind: "configuration" });
    expect(simulator.oauth.issued).toBe(2);
  });

  test("calls it configuration when Google does not take the service account's key", async () => {
    const { url, tokenUrl } = await google({
      account: { clientEmail: "other@example", publicKey: await otherKey() },
    });
    const sender = await senderTo(url, tokenUrl);
    expect(await sender.send(bell())).toEqual({
      kind: "configuration",
      reason: "invalid_grant",
      personal: false,
    });
  });

  test("calls it configuration when the project is not found", async () => {
    const { url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl, { projectId: "another-project" });
    expect(await sender.send(bell())).toMatchObject({ kind: "configuration" });
  });

  test("says what became of a dead, a foreign and a malformed token", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    simulator.devices.unregister(FCM_TOKEN);
    expect(await sender.send(bell())).toEqual({ kind: "token_dead", reason: "UNREGISTERED" });
    simulator.devices.reassign(FCM_TOKEN);
    expect(await sender.send(bell())).toEqual({ kind: "token_dead", reason: "SENDER_ID_MISMATCH" });
    expect(await sender.send(bell({ token: "nonsense" }))).toEqual({
      kind: "token_dead",
      reason: "INVALID_ARGUMENT",
    });
  });

  test("hears how long a quota asks it to wait", async () => {
    const { simulator, url, tokenUrl } = await google();
    const sender = await senderTo(url, tokenUrl);
    simulator.misbehave(fcmRefusal("DEVICE_QUOTA", { "retry-after": "17" }));
    expect(await sender.send(bell())).toEqual({
      kind: "device_slow",
      reason: "QUOTA_EXCEEDED",
      retryAfterMs: 17_000,
    });
    simulator.misbehave(fcmRefusal("PROJECT_QUOTA"));
    expect(await sender.send(bell())).toMatchObject({ kind: "project_quota", retryAfterMs: 60_000 });
  });

  test("is unreachable when the token endpoint is", async () => {
    const { url } = await google();
    const sender = await senderTo(url, "https://localhost:1/token");
    expect(await sender.send(bell())).toMatchObject({ kind: "unreachable" });
  });
});

async function otherKey(): Promise<string> {
  const pair = await crypto.subtle.generateKey(
    {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    },
    true,
    ["sign", "verify"],
  );
  const der = Buffer.from(await crypto.subtle.exportKey("spki", pair.publicKey)).toString("base64");
  return `-----BEGIN PUBLIC KEY-----\n${der.match(/.{1,64}/g)?.join("\n")}\n-----END PUBLIC KEY-----\n`;
}
