// The simulated APNs is right about senders: a client that nobody here wrote is accepted where Apple accepts it,
// and refused where Apple refuses it.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createAuthority,
  type IssuedCertificate,
  issueApnsCertificate,
} from "../../src/rehearsal/certificates.ts";
import { createApnsKey, createApnsToken } from "../../src/rehearsal/credentials.ts";
import { runClient } from "./clients/run.ts";
import { APP, apnsKey, authority, random, startApns } from "./provider-helpers.ts";

let apns: Awaited<ReturnType<typeof startApns>>;

// A new one each time: every client makes a provider token of its own, and APNs does not like many.
beforeEach(async () => {
  // The client signs with the time of the real clock.
  apns = await startApns({ now: Date.now, clientAuthority: authority.certificate });
});
afterEach(() => apns.simulator.stop());

interface Send {
  readonly token?: string;
  readonly notification: Readonly<Record<string, unknown>>;
}
interface Result {
  readonly sent?: true;
  readonly status?: number;
  readonly reason?: string;
  readonly timestamp?: number;
}

const badge = { topic: APP, pushType: "alert", badge: 5, priority: 10 };

function sendWith(identity: Readonly<Record<string, unknown>>, sends: readonly Send[]): Promise<Result[]> {
  return runClient<Result[]>("node-apn.mjs", {
    provider: { address: "localhost", port: apns.port, ca: [authority.certificate], ...identity },
    sends: sends.map((send) => ({ token: apns.token, ...send })),
  });
}

const tokenAuth = (key = apnsKey) => ({
  token: { key: key.privateKey, keyId: key.keyId, teamId: key.teamId },
});
const certificateAuth = ({ certificate, key }: IssuedCertificate) => ({ cert: certificate, key });

test("node-apn with the right key is accepted, and the phone shows its badge", async () => {
  const results = await sendWith(tokenAuth(), [
    { notification: badge },
    {
      notification: { ...badge, badge: 6, expiry: Math.floor(Date.now() / 1000) + 3600, collapseId: "mail" },
    },
    { notification: { topic: APP, pushType: "background", contentAvailable: true, priority: 5 } },
    { notification: { ...badge, badge: 0, id: "0b0d6e0c-5a3c-4b0e-8f4e-6f5a0a5b1c2d" } },
  ]);
  expect(results).toEqual(Array(4).fill({ sent: true }));
  const history = apns.simulator.history(apns.token);
  expect(history.map((push) => push.badge)).toEqual([5, 6, undefined, 0]);
  expect(history[3]?.apnsId).toBe("0b0d6e0c-5a3c-4b0e-8f4e-6f5a0a5b1c2d");
  expect(apns.simulator.lastBadge(apns.token)).toBe(0);
  expect(apns.simulator.violations()).toEqual([]);
});

test("node-apn is refused for a token that is dead, unknown, or another app's", async () => {
  const [dead, other] = [createApnsToken(random), createApnsToken(random)];
  const since = Date.now() - 1000;
  apns.simulator.devices.register(dead, APP);
  apns.simulator.devices.unregister(dead, since);
  apns.simulator.devices.register(other, "com.example.other");
  const results = await sendWith(tokenAuth(), [
    { notification: badge, token: dead },
    { notification: badge, token: createApnsToken(random) },
    { notification: badge, token: other },
  ]);
  expect(results).toEqual([
    { status: 410, reason: "Unregistered", timestamp: since },
    { status: 400, reason: "BadDeviceToken" },
    { status: 400, reason: "DeviceTokenNotForTopic" },
  ]);
});

test("node-apn is refused for what a notification may not be", async () => {
  const results = await sendWith(tokenAuth(), [
    { notification: { ...badge, topic: "com.example.other" } },
    { notification: { ...badge, topic: "" } },
    { notification: { ...badge, pushType: "" } },
    { notification: { ...badge, priority: 3 } },
    { notification: { ...badge, id: "0B0D6E0C-5A3C-4B0E-8F4E-6F5A0A5B1C2D" } },
    { notification: { ...badge, payload: { x: "x".repeat(4096) } } },
    { notification: { topic: APP, pushType: "background", contentAvailable: true, priority: 10 } },
    { notification: { ...badge, collapseId: "x".repeat(65) } },
    { notification: { ...badge, expiry: Date.now() } },
  ]);
  expect(results.map(({ reason }) => reason)).toEqual([
    "TopicDisallowed",
    "MissingTopic",
    "InvalidPushType",
    "BadPriority",
    "BadMessageId",
    "PayloadTooLarge",
    "BadPriority",
    "BadCollapseId",
    "BadExpirationDate",
  ]);
});

test("node-apn with a wrong key, key id or team is refused", async () => {
  const stranger = await createApnsKey(random);
  for (const key of [
    { ...apnsKey, privateKey: stranger.privateKey },
    { ...apnsKey, keyId: stranger.keyId },
    { ...apnsKey, teamId: stranger.teamId },
  ]) {
    const results = await sendWith(tokenAuth(key), [{ notification: badge }]);
    expect(results).toEqual([{ status: 403, reason: "InvalidProviderToken" }]);
  }
});

test("node-apn with a push certificate is accepted for its app only", async () => {
  const own = await issueApnsCertificate(authority, { topic: APP });
  const [right, wrong] = await sendWith(certificateAuth(own), [
    { notification: { ...badge, badge: 12 } },
    { notification: { ...badge, topic: "com.example.other" } },
  ]);
  expect(right).toEqual({ sent: true });
  expect(wrong?.reason).toBe("TopicDisallowed");
  expect(apns.simulator.lastBadge(apns.token)).toBe(12);
});

test("node-apn with a certificate that is foreign, expired or for the sandbox is refused", async () => {
  const stranger = await createAuthority("Test authority");
  const reasons = [];
  for (const certificate of [
    await issueApnsCertificate(stranger, { topic: APP }),
    await issueApnsCertificate(authority, { topic: APP, now: Date.now() - 400 * 86_400_000, days: 365 }),
    await issueApnsCertificate(authority, { topic: APP, environment: "sandbox" }),
  ]) {
    const [result] = await sendWith(certificateAuth(certificate), [{ notification: badge }]);
    reasons.push(result?.reason);
  }
  expect(reasons).toEqual(["BadCertificate", "BadCertificate", "BadCertificateEnvironment"]);
});

test.skipIf(Bun.which("openssl") === null)(
  "node-apn with a .p12 file is accepted (needs openssl)",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "bell-p12-"));
    try {
      const { certificate, key } = await issueApnsCertificate(authority, { topic: APP });
      writeFileSync(join(directory, "push.pem"), certificate + key, { mode: 0o600 });
      const openssl = Bun.spawn(
        ["openssl", "pkcs12", "-export", "-in", "push.pem", "-out", "push.p12", "-passout", "pass:secret"],
        { cwd: directory },
      );
      expect(await openssl.exited).toBe(0);
      const pfx = Buffer.from(await Bun.file(join(directory, "push.p12")).arrayBuffer()).toString("base64");
      const results = await sendWith({ pfx, passphrase: "secret" }, [{ notification: badge }]);
      expect(results).toEqual([{ sent: true }]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
