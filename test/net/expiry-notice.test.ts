// When the log speaks of a certificate that ends.
import { expect, test } from "bun:test";
import { createExpiryNotices, expiryStep } from "../../src/net/expiry-notice.ts";
import type { TlsIdentity } from "../../src/net/tls.ts";
import { createLogger } from "../../src/ops/log.ts";

const DAY = 86_400_000;
const NOW = 1_000 * DAY;

function identity(expiresAt: number, changes: Partial<TlsIdentity> = {}): TlsIdentity {
  return {
    certificate: "one",
    key: "",
    expiresAt,
    outOfDate: null,
    incomplete: null,
    subject: "CN=bell",
    ...changes,
  };
}

function notices() {
  const lines: { readonly level: string; readonly days?: number; readonly msg: string }[] = [];
  const log = createLogger("debug", "json", (line) => void lines.push(JSON.parse(line.replace(/^<\d>/, ""))));
  return { lines, ...createExpiryNotices(log) };
}

test("the steps are 30, 14, 7 days and one", () => {
  const steps = [40, 30.01, 30, 15, 14, 8, 7, 2, 1, 0.5, 0].map((days) => expiryStep(NOW + days * DAY, NOW));
  expect(steps).toEqual([null, null, 30, 30, 14, 14, 7, 7, 1, 1, 1]);
});

test("each step is told once, the last ones as errors, and the end itself", () => {
  const { tell, lines } = notices();
  const expiresAt = NOW + 40 * DAY;
  for (let hour = 0; hour <= 41 * 24; hour += 1)
    tell("exchange", identity(expiresAt), NOW + (hour * DAY) / 24);
  expect(lines.map(({ level, days }) => [level, days])).toEqual([
    ["warn", 30],
    ["warn", 14],
    ["error", 7],
    ["error", 1],
    ["error", undefined],
  ]);
  expect(lines.at(-1)?.msg).toContain("has expired");
});

test("a renewed certificate begins anew, and each listener has its own", () => {
  const { tell, lines } = notices();
  tell("exchange", identity(NOW + 5 * DAY), NOW);
  tell("registration", identity(NOW + 5 * DAY), NOW);
  tell("exchange", identity(NOW + 300 * DAY, { certificate: "two" }), NOW);
  expect(lines).toHaveLength(2);
  tell("exchange", identity(NOW + 300 * DAY, { certificate: "two" }), NOW + 295 * DAY);
  expect(lines).toHaveLength(3);
});

test("one that was out of date when it was read is told with its sentence", () => {
  const { tell, lines } = notices();
  const outOfDate = "The TLS certificate a.pem is not valid before 2030-01-01.";
  tell("exchange", identity(NOW + 300 * DAY, { outOfDate }), NOW);
  tell("exchange", identity(NOW + 300 * DAY, { outOfDate }), NOW);
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([["error", outOfDate]]);
});
