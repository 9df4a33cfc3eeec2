import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "bun";
import { routeKey } from "../../src/delivery/apns/sender.ts";
import type { Sender } from "../../src/delivery/sender.ts";
import { apnsRefusal } from "../../src/rehearsal/apns/simulator.ts";
import { createAuthority, issueApnsCertificate } from "../../src/rehearsal/certificates.ts";
import { createApnsKey } from "../../src/rehearsal/credentials.ts";
import { APP, ring, until } from "./helpers.ts";
import { type AppSetup, apns, credentials, type SetupOptions, sendersFor, TOKEN } from "./providers.ts";

const OTHER = "cd".repeat(32);
const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

type Simulated = Awaited<ReturnType<typeof apns>>;

async function apple(more: Parameters<typeof apns>[0] = {}): Promise<Simulated> {
  const simulated = await apns(more);
  endings.push(() => simulated.simulator.stop());
  return simulated;
}

async function senderTo(url: string, setup: AppSetup = {}, options: SetupOptions = {}): Promise<Sender> {
  const [first] = await sendersFor([{ apnsUrl: url, ...setup }], options);
  const sender = first!.sender;
  endings.push(() => sender.stop());
  return sender;
}

describe("ringing over APNs", () => {
  test("sets the badge with a token key, and does nothing that Apple would hold against it", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    expect(await sender.send(ring({ badge: 12 }))).toEqual({ kind: "accepted" });
    expect(await sender.send(ring({ reason: "changed", badge: 0 }))).toEqual({ kind: "accepted" });
    for (const reason of ["calendar", "folder", "test"] as const) {
      expect(await sender.send(ring({ reason, badge: null }))).toEqual({ kind: "accepted" });
    }
    expect(simulator.lastBadge(TOKEN)).toBe(0);
    expect(simulator.history(TOKEN).map((push) => push.reason)).toEqual([
      "mail",
      "changed",
      "calendar",
      "folder",
      "test",
    ]);
    expect(simulator.history(TOKEN)[0]?.apnsId).toBe(ring().apnsId);
    expect(simulator.violations()).toEqual([]);
    expect(simulator.totals().connections).toBe(1);
  });

  test("lets 500 rings at once through without an offence against the stream limits", async () => {
    const { simulator, url } = await apple();
    const tokens = Array.from({ length: 500 }, (_, at) => at.toString(16).padStart(64, "0"));
    for (const token of tokens) simulator.devices.register(token, APP);
    const sender = await senderTo(url);
    const verdicts = await Promise.all(tokens.map((token, at) => sender.send(ring({ token, badge: at }))));
    expect(verdicts.filter((verdict) => verdict.kind !== "accepted")).toEqual([]);
    expect(tokens.every((token, at) => simulator.lastBadge(token) === at)).toBe(true);
    expect(simulator.violations()).toEqual([]);
  });

  test("shares connection and provider token between apps with one key", async () => {
    const second = "com.example.calendar";
    const { key } = await credentials();
    const { simulator, url } = await apple({ keys: [{ ...key, topics: [APP, second] }] });
    simulator.devices.register(OTHER, second);
    const senders = await sendersFor([{ apnsUrl: url }, { id: second, apnsUrl: url }]);
    for (const { sender } of senders) endings.push(() => sender.stop());
    expect(await senders[0]!.sender.send(ring())).toEqual({ kind: "accepted" });
    expect(await senders[1]!.sender.send(ring({ app: second, token: OTHER }))).toEqual({ kind: "accepted" });
    expect(simulator.totals().connections).toBe(1);
  });

  test("keeps apps with different keys apart: each has a connection of its own", async () => {
    const second = "com.example.calendar";
    const { key } = await credentials();
    const other = await createApnsKey((count) => Buffer.alloc(count, 9));
    const keys = [
      { ...key, topics: [APP] },
      { ...other, topics: [second] },
    ];
    const { simulator, url } = await apple({ keys });
    simulator.devices.register(OTHER, second);
    const { privateKey, keyId, teamId } = other;
    const credential = { type: "key", privateKey, keyId, teamId } as const;
    const senders = await sendersFor([{ apnsUrl: url }, { id: second, apnsUrl: url, credential }]);
    for (const { sender } of senders) endings.push(() => sender.stop());
    expect(await senders[0]!.sender.send(ring())).toEqual({ kind: "accepted" });
    expect(await senders[1]!.sender.send(ring({ app: second, token: OTHER }))).toEqual({ kind: "accepted" });
    expect(simulator.totals().connections).toBe(2);
    expect(simulator.violations()).toEqual([]);
  });

  test("is warm before the first ring, and connects anew when it is renewed", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    sender.warm();
    await until(() => simulator.totals().connections === 1, "a connection");
    expect(await sender.send(ring())).toEqual({ kind: "accepted" });
    sender.renew();
    await until(() => simulator.totals().connections === 2, "another connection");
    expect(await sender.send(ring())).toEqual({ kind: "accepted" });
    expect(simulator.totals().connections).toBe(2);
    expect(simulator.violations()).toEqual([]);
  });

  test("goes to Apple's host for the environment, on the port that is set", () => {
    const credential = { type: "key", privateKey: "", keyId: "ABC123DEFG", teamId: "DEF123GHIJ" } as const;
    const of = (environment: "production" | "sandbox", port: 443 | 2197) =>
      routeKey(
        { environment, topic: APP, port, url: null, credential: { ...credential, file: "" } },
        credential,
      );
    expect(of("production", 443)).toBe("https://api.push.apple.com DEF123GHIJ ABC123DEFG");
    expect(of("production", 2197)).toBe("https://api.push.apple.com:2197 DEF123GHIJ ABC123DEFG");
    expect(of("sandbox", 443)).toBe("https://api.sandbox.push.apple.com DEF123GHIJ ABC123DEFG");
  });

  test("says what became of a dead, an unknown and a foreign token", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    const { renewedAt } = ring();
    simulator.devices.unregister(TOKEN, renewedAt + 1000);
    expect(await sender.send(ring())).toEqual({ kind: "token_dead", reason: "Unregistered" });
    simulator.devices.expire(TOKEN, renewedAt - 1000);
    expect(await sender.send(ring())).toEqual({ kind: "token_doubtful", reason: "ExpiredToken" });
    expect(await sender.send(ring({ token: OTHER }))).toEqual({
      kind: "token_bad",
      reason: "BadDeviceToken",
    });
    simulator.devices.register(OTHER, "com.example.other");
    expect(await sender.send(ring({ token: OTHER }))).toEqual({
      kind: "configuration",
      reason: "DeviceTokenNotForTopic",
      personal: true,
    });
  });

  test("calls a wrong key a matter of configuration", async () => {
    const { url } = await apple();
    const { key } = await credentials();
    const stranger = await createApnsKey((count) => Buffer.alloc(count, 7));
    const wrong = {
      type: "key",
      privateKey: stranger.privateKey,
      keyId: key.keyId,
      teamId: key.teamId,
    } as const;
    const sender = await senderTo(url, { credential: wrong });
    expect(await sender.send(ring())).toEqual({
      kind: "configuration",
      reason: "InvalidProviderToken",
      personal: false,
    });
  });

  test("mints once when its token is called expired, leaves the wedged connections, and sends again", async () => {
    const halfHour = 30 * 60_000;
    const now = Math.floor(Date.now() / halfHour) * halfHour + 29 * 60_000;
    const apples = { ahead: 0 };
    const { simulator, url } = await apple({ now: () => now + apples.ahead });
    const tokens = Array.from({ length: 300 }, (_, at) => at.toString(16).padStart(64, "0"));
    for (const token of tokens) simulator.devices.register(token, APP);
    const sender = await senderTo(url, {}, { now: () => now });
    const first = await Promise.all(tokens.map((token) => sender.send(ring({ token }))));
    expect(first.every((verdict) => verdict.kind === "accepted")).toBe(true);
    // Apple's clock says that the token, issued at the half hour, is 74 minutes old; a fresh one is 45.
    apples.ahead = 45 * 60_000;
    const again = await Promise.all(tokens.map((token) => sender.send(ring({ token, badge: 9 }))));
    expect(again.filter((verdict) => verdict.kind !== "accepted")).toEqual([]);
    expect(simulator.violations()).toEqual([]);
  });

  test("calls it configuration when a fresh token is expired too: then the clock is wrong", async () => {
    const { url } = await apple();
    const sender = await senderTo(url, {}, { now: () => Date.now() - 2 * 3_600_000 });
    expect(await sender.send(ring())).toEqual({
      kind: "configuration",
      reason: "ExpiredProviderToken",
      personal: false,
    });
  });

  test("sends again on another connection after Shutdown, and gives up for now after a second one", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    expect(await sender.send(ring())).toEqual({ kind: "accepted" });
    simulator.misbehave(apnsRefusal("Shutdown"), { next: 1 });
    expect(await sender.send(ring({ badge: 4 }))).toEqual({ kind: "accepted" });
    expect(simulator.totals().connections).toBe(2);
    simulator.misbehave(apnsRefusal("Shutdown"), { next: 2 });
    expect(await sender.send(ring({ badge: 5 }))).toMatchObject({ kind: "transient", reason: "Shutdown" });
  });

  test("sends the same apns-id on every try", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    simulator.misbehave({ kind: "goaway", processed: "unanswered" });
    expect(await sender.send(ring())).toEqual({ kind: "accepted" });
    const ids = new Set(simulator.history(TOKEN).map((push) => push.apnsId));
    expect(simulator.history(TOKEN).length).toBe(2);
    expect([...ids]).toEqual([ring().apnsId]);
  });

  test("is unreachable during an outage and back after it", async () => {
    const { simulator, url } = await apple();
    const sender = await senderTo(url);
    expect(await sender.send(ring())).toEqual({ kind: "accepted" });
    await simulator.stop();
    expect(await sender.send(ring())).toMatchObject({ kind: "unreachable" });
    await simulator.start();
    await until(
      async () => (await sender.send(ring())).kind === "accepted",
      "the ring to be accepted",
      8_000,
    );
  });

  test("sets the badge with a certificate, as PEM and as .p12", async () => {
    const authority = await createAuthority("Apple");
    const { simulator, url } = await apple({ clientAuthority: authority.certificate });
    const issued = await issueApnsCertificate(authority, { topic: APP });
    const pem = await senderTo(url, {
      credential: {
        type: "pem",
        certificate: issued.certificate,
        privateKey: issued.key,
        expiresAt: Date.now() + 86_400_000,
      },
    });
    expect(await pem.send(ring({ badge: 1 }))).toEqual({ kind: "accepted" });
    const directory = mkdtempSync(join(tmpdir(), "inboxbell-p12-"));
    endings.push(() => rmSync(directory, { recursive: true }));
    await Bun.write(join(directory, "cert.pem"), issued.certificate);
    await Bun.write(join(directory, "key.pem"), issued.key);
    const made = spawn({
      cmd: [
        "openssl",
        "pkcs12",
        "-export",
        "-in",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-out",
        "push.p12",
        "-passout",
        "pass:secret",
      ],
      cwd: directory,
    });
    expect(await made.exited).toBe(0);
    const pfx = Buffer.from(await Bun.file(join(directory, "push.p12")).arrayBuffer());
    const p12 = await senderTo(url, { credential: { type: "p12", pfx, passphrase: "secret" } });
    expect(await p12.send(ring({ badge: 2 }))).toEqual({ kind: "accepted" });
    expect(simulator.lastBadge(TOKEN)).toBe(2);
    expect(simulator.violations()).toEqual([]);
    const wrong = await senderTo(url, { credential: { type: "p12", pfx, passphrase: "wrong" } });
    expect(await wrong.send(ring())).toEqual({
      kind: "configuration",
      reason: "credential",
      personal: false,
    });
  });
});
