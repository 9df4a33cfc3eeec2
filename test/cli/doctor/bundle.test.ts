// The support bundle: it can be sent to anybody, because no secret, token or id gets into it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeBundle } from "../../../src/cli/doctor/bundle.ts";
import { makeReport } from "../../../src/cli/doctor/report.ts";
import { createApnsToken, createFcmToken } from "../../../src/rehearsal/credentials.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { type Clinic, openClinic } from "./helpers.ts";

let clinic: Clinic;
const SECRETS = [
  "AuthKey.p8",
  "fcm.json",
  "enrolment.secret",
  "keys.json",
  "proxy.password",
  "tls/reg.key",
  "tls/ews.key",
];
const file = (name: string) => join(clinic.props.directory, name);
const read = (name: string) => readFileSync(file(name), "utf8");

beforeAll(async () => {
  clinic = await openClinic();
  writeFileSync(file("proxy.password"), "correct horse battery\n", { mode: 0o600 });
  clinic.edit((text) =>
    text.replace(
      "egress: {",
      "egress: { proxy: http://127.0.0.1:1, proxy_user: { name: bell, password_file: proxy.password }, no_proxy: [127.0.0.0/8],",
    ),
  );
  await clinic.up();
});
afterAll(() => clinic.stop());

/** The texts of a bundle, by name. */
async function bundle(name: string, log: string | null): Promise<ReadonlyMap<string, string>> {
  const examination = await clinic.look();
  const { configFile } = clinic.props;
  const report = makeReport(configFile, examination, Date.now());
  await writeBundle({ path: file(name), configFile, report, examination, log });
  const files = await new Bun.Archive(readFileSync(file(name))).files();
  const texts = await Promise.all([...files].map(async ([path, each]) => [path, await each.text()] as const));
  return new Map(texts);
}

describe("a support bundle", () => {
  test("holds what helps, readable by its owner alone", async () => {
    const files = await bundle("one.tar.gz", "a line\n");
    expect([...files.keys()].sort()).toEqual(
      ["configuration.json", "doctor.json", "doctor.txt", "log.txt", "machine.json", "status.json"].map(
        (name) => `inboxbell-support/${name}`,
      ),
    );
    expect(statSync(file("one.tar.gz")).mode & 0o777).toBe(0o600);
    expect(files.get("inboxbell-support/configuration.json")).toContain(APP);
    expect(files.get("inboxbell-support/status.json")).toContain('"ready": true');
    expect(files.get("inboxbell-support/log.txt")).toBe("a line\n");
  });

  test("has no secret in it, not even where a log had one", async () => {
    const texts = SECRETS.map(read);
    const registration = randomUUID();
    const capability = randomBytes(70).toString("base64url");
    const subscription = randomBytes(90).toString("base64");
    const apnsToken = createApnsToken(randomBytes);
    const fcmToken = createFcmToken(randomBytes);
    const bearer = randomBytes(24).toString("base64url");
    const log = [
      ...texts,
      // As a careless program quotes them.
      ...texts.map((text) => JSON.stringify({ text })),
      `POST /ews/${capability} from ${registration}`,
      `SubscriptionId ${subscription} rings ${apnsToken} and ${fcmToken}`,
      `Authorization: Bearer ${bearer} of jane.doe@corp.test`,
      "an innocent line",
    ].join("\n");
    const files = await bundle("two.tar.gz", log);
    const all = [...files.values()].join("\n");
    expect(all).toContain("an innocent line");
    const { apnsKey, serviceAccount } = clinic.props;
    const lines = texts.flatMap((text) => text.split("\n")).map((line) => line.trim());
    const keyLines = serviceAccount.file.private_key.split("\n");
    const secret = [...lines, ...keyLines].filter((line) => line.length >= 8 && !line.startsWith("-----"));
    expect(secret.length).toBeGreaterThan(60);
    const others = [
      ...[
        apnsKey.keyId,
        apnsKey.teamId,
        serviceAccount.file.client_email,
        serviceAccount.file.private_key_id,
      ],
      ...[registration, capability, subscription, apnsToken, fcmToken, bearer, "jane.doe"],
    ];
    expect([...secret, ...others].filter((text) => all.includes(text))).toEqual([]);
  });

  test("overwrites nothing", async () => {
    writeFileSync(file("three.tar.gz"), "mine");
    await expect(bundle("three.tar.gz", null)).rejects.toMatchObject({ code: "bundle_unwritable" });
    expect(read("three.tar.gz")).toBe("mine");
  });
});
