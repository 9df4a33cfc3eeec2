// What is wrong with a listener's certificate or a push certificate, each found by its own name.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FindingCode } from "../../../src/cli/doctor/findings.ts";
import { createAuthority, issueApnsCertificate } from "../../../src/rehearsal/certificates.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { type Defects, forge } from "./forge.ts";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";

let clinic: Clinic;
let good: Readonly<Record<string, string>>;
const file = (name: string) => join(clinic.props.directory, name);
const NAMES = ["tls/reg.pem", "tls/reg.key", "inboxbell.yaml"];

beforeAll(async () => {
  clinic = await openClinic();
  good = Object.fromEntries(NAMES.map((name) => [name, readFileSync(file(name), "utf8")]));
});
afterEach(async () => {
  await clinic.down();
  for (const [name, text] of Object.entries(good)) writeFileSync(file(name), text);
});
afterAll(() => clinic.stop());

async function present(defects: Defects): Promise<void> {
  const forged = await forge(defects);
  writeFileSync(file("tls/reg.pem"), forged.certificate);
  writeFileSync(file("tls/reg.key"), forged.key);
}

const CASES: readonly (readonly [what: string, FindingCode, Defects, seen: string])[] = [
  ["has expired", "certificate_expired", { from: -20, until: -1 }, "expired on"],
  ["is not valid yet", "certificate_not_yet_valid", { from: 2 }, "not valid before"],
  ["expires within a month", "certificate_expires_soon", { until: 10 }, "expires on"],
  ["is for another name", "certificate_name_mismatch", { name: "other.test" }, "is for other.test"],
  ["is signed with SHA-1", "certificate_weak", { hash: "SHA-1" }, "SHA-1"],
  ["is on a curve that Windows does not take", "certificate_curve", { kind: "p521" }, "secp521r1"],
  ["is for clients only", "certificate_purpose", { purpose: "clientAuth" }, "serverAuth"],
  ["is valid for longer than iPhones allow", "certificate_long_lived", { until: 830 }, "831 days"],
  [
    "comes without its intermediate authority",
    "certificate_chain_incomplete",
    { orphan: true },
    "Doctor middle",
  ],
];

describe("doctor, of a certificate that", () => {
  for (const [what, code, defects, seen] of CASES) {
    test(`${what}, says ${code} and nothing else of it`, async () => {
      await present(defects);
      await clinic.up();
      const result = await clinic.look();
      expect(complaints(result)).toEqual([code]);
      expect(only(result, code).seen).toContain(seen);
    });
  }

  test("has a key that is too short, says certificate_weak or that it cannot be served", async () => {
    await present({ kind: "rsa-1024" });
    const codes = complaints(await clinic.look());
    expect(codes.some((code) => code === "certificate_weak" || code === "certificate_unusable")).toBe(true);
  });

  test("belongs to another key, says certificate_key_mismatch", async () => {
    writeFileSync(file("tls/reg.key"), (await forge()).key);
    expect(complaints(await clinic.look())).toContain("certificate_key_mismatch");
  });

  test("is none, says certificate_unusable", async () => {
    writeFileSync(file("tls/reg.pem"), "nothing\n");
    expect(only(await clinic.look(), "certificate_unusable").seen).toContain("holds no certificate");
  });
});

describe("doctor, of a push certificate that", () => {
  async function usePushCertificate(days: number): Promise<void> {
    const authority = await createAuthority("Simulated Apple");
    const pushed = await issueApnsCertificate(authority, { topic: APP, days });
    writeFileSync(file("push.pem"), pushed.certificate + pushed.key, { mode: 0o600 });
    clinic.edit((text) => text.replace(/key: \{ file: AuthKey.*\}/, "certificate: { file: push.pem }"));
  }

  test("has expired, says push_certificate_expired", async () => {
    await usePushCertificate(-1);
    const codes = complaints(await clinic.look());
    expect(codes).toContain("push_certificate_expired");
    expect(codes).not.toContain("config_problem");
  });

  test("expires within a month, says push_certificate_expires_soon", async () => {
    await usePushCertificate(10);
    expect(complaints(await clinic.look())).toContain("push_certificate_expires_soon");
  });
});
