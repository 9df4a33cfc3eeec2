import { expect, test } from "bun:test";
import type { Secrets } from "../../src/config/types.ts";
import type { Logger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { createPushCertificates } from "../../src/push-certificates.ts";

const DAY_MS = 86_400_000;

test("a push certificate that ends soon is told at each step once, and its gauge is set", async () => {
  const metrics = createMetrics({ version: "1", commit: "c" });
  const time = { now: 1_760_000_000_000 };
  const expiresAt = time.now + 40 * DAY_MS;
  const secrets: Secrets = {
    apps: new Map([
      ["com.example.mail", { apns: { type: "pem", certificate: "", privateKey: "", expiresAt }, fcm: null }],
    ]),
    enrolmentSecrets: [],
    egressCa: null,
    egressProxyPassword: null,
  };
  const lines: string[] = [];
  const write = (level: string) => (fields: { days?: number }, text: string) =>
    void lines.push(`${level} ${fields.days ?? ""} ${text.split(".")[0]}`);
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: write("warn"),
    error: write("error"),
    child: () => log,
  };
  const watch = createPushCertificates({ secrets: () => secrets, log, metrics, now: () => time.now });
  for (let day = 0; day <= 41; day += 1) {
    await watch.look();
    await watch.look();
    time.now += DAY_MS;
  }
  expect(lines).toEqual([
    "warn 30 The push certificate expires soon",
    "warn 14 The push certificate expires soon",
    "error 7 The push certificate expires soon",
    "error 1 The push certificate expires soon",
    "error  The push certificate has expired",
  ]);
  const text = await metrics.registry.metrics();
  expect(text).toContain(`inboxbell_credential_expiry_seconds{name="apns com.example.mail"} -86400`);
});
