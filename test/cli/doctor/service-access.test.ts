// Files that root can read and the service cannot, as `doctor` tells of them when root runs it. The node's directory is
// none of those that the delivered unit hides; its user is nobody.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("doctor, run by root for a service of another user (root)", () => {
  let clinic: Clinic;
  const file = (name: string) => join(clinic.props.directory, name);
  const beyondStopped = async () => {
    const stopped = ["node_not_running", "public_unreachable"];
    return complaints(await clinic.look()).filter((code) => !stopped.includes(code));
  };

  beforeAll(async () => {
    clinic = await openClinic({ parent: "/var/lib" });
    const own = [
      "",
      ...readdirSync(clinic.props.directory),
      "tls/reg.key",
      "tls/reg.pem",
      "tls/ews.key",
      "tls/ews.pem",
    ];
    for (const name of own) chownSync(file(name), NOBODY, NOBODY);
  });
  afterAll(() => clinic.stop());

  test("has nothing to say where he owns them", async () => {
    expect(await beyondStopped()).toEqual([]);
  });

  test("tells of a push key that root has copied, and the command that it names ends it", async () => {
    const key = file("AuthKey.p8");
    chownSync(key, 0, 0);
    chmodSync(key, 0o600);
    expect(await beyondStopped()).toEqual(["service_denied"]);
    const { level, seen, remedy } = only(await clinic.look(), "service_denied");
    expect(level).toBe("failure");
    expect(seen).toStartWith(
      `${key} cannot be read by the service's user nobody: ${key} is root:root, mode 0600 (`,
    );
    expect(remedy).toBe(`Run chgrp nogroup ${key} && chmod 0640 ${key}`);
    expect(Bun.spawnSync(["sh", "-c", remedy?.replace("Run ", "") ?? ""]).exitCode).toBe(0);
    expect(await beyondStopped()).toEqual([]);
  });

  test("warns of a file below a directory that the delivered unit hides", async () => {
    const elsewhere = mkdtempSync("/tmp/ib-doctor-");
    const key = join(elsewhere, "AuthKey.p8");
    writeFileSync(key, readFileSync(file("AuthKey.p8")), { mode: 0o600 });
    try {
      clinic.edit((text) => text.replace("file: AuthKey.p8", `file: ${key}`));
      expect(await beyondStopped()).toEqual(["service_hidden"]);
      const { level, remedy } = only(await clinic.look(), "service_hidden");
      expect(level).toBe("warning");
      expect(remedy).toStartWith("Name a copy instead: install -o root -g inboxbell -m 0640 ");
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });
});
