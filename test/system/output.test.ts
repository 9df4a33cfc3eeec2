// The verbs of the compiled binary with a standard output that takes nothing, or not all: a script must not take half
// an answer for a whole one.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { binary, type Ended, type Running, run, type Scene, setScene } from "./helpers.ts";

let scene: Scene;
let appliance: Running;
let phone: Phone;
let passphrase: string;

beforeAll(async () => {
  scene = await setScene("output");
  appliance = await scene.up();
  phone = scene.addPhone({ platform: "apns", mailbox: "anna" });
  await phone.enrol();
  passphrase = join(scene.directory, "passphrase");
  writeFileSync(passphrase, "correct horse battery\n", { mode: 0o600 });
});
afterAll(() => scene.stop());

/** Runs a verb whose output a shell leads elsewhere; gives the verb's own exit code. */
async function led(shell: string, ...args: readonly string[]): Promise<Ended> {
  const command = ["bash", "-c", `"$0" "$@" ${shell}; exit "\${PIPESTATUS[0]}"`, binary, ...args];
  return await run(command, { temporary: join(scene.directory, "tmp") });
}

const config = () => ["--config", scene.props.configFile];
const file = (name: string) => join(scene.directory, name);

/** Every verb that prints a result beside a running node. */
const WHILE_IT_RUNS: readonly (readonly [string, () => readonly string[]])[] = [
  ["status", () => ["status", ...config()]],
  ["status --json", () => ["status", "--json", ...config()]],
  ["reload", () => ["reload", ...config()]],
  ["healthcheck", () => ["healthcheck", ...config()]],
  ["check", () => ["check", ...config()]],
  ["doctor --exchange", () => ["doctor", "--exchange", ...config()]],
  ["why", () => ["why", phone.registrationId, ...config()]],
  ["registrations", () => ["registrations", ...config()]],
  ["ring", () => ["ring", phone.registrationId, ...config()]],
  ["version", () => ["version"]],
  ["--version", () => ["--version"]],
  ["--help", () => ["--help"]],
  ["pair join --help", () => ["pair", "join", "--help"]],
  ["completion", () => ["completion", "zsh"]],
];

const TOLD = /^inboxbell: Standard output could not be written \(ENOSPC\)\.\n {2}.*\(output_unwritable\)\n$/;

describe("onto a full disk", () => {
  test.each(WHILE_IT_RUNS)("%s ends with 1 and says why", async (_, args) => {
    const { code, err } = await led("> /dev/full", ...args());
    expect([code, err]).toEqual([1, expect.stringMatching(TOLD)]);
  });

  test("a wrong command line still ends with 2, and what went wrong is told all the same", async () => {
    expect((await led("> /dev/full", "status", "--nonsense")).code).toBe(2);
    const nowhere = await led("> /dev/full", "status", "--json", "--socket", file("nobody.sock"));
    expect(nowhere.code).toBe(1);
    expect(nowhere.err).toMatch(/\(not_running\)\n.*Standard output.*\n.*\(output_unwritable\)\n$/);
  });

  test("backup, restore and migrate do what they were asked, and say that nobody was told", async () => {
    const backup = await led(
      "> /dev/full",
      "backup",
      file("a.backup"),
      "--passphrase-file",
      passphrase,
      ...config(),
    );
    expect([backup.code, backup.err]).toEqual([1, expect.stringMatching(TOLD)]);
    expect(statSync(file("a.backup")).size).toBeGreaterThan(1000);
    await appliance.stop();
    for (const args of [
      ["migrate", "--dry-run"],
      ["migrate"],
      ["restore", file("a.backup"), "--passphrase-file", passphrase],
    ]) {
      const { code, err } = await led("> /dev/full", ...args, ...config());
      expect([args[0], code, err]).toEqual([args[0], 1, expect.stringMatching(TOLD)]);
    }
    appliance = await scene.up();
  });
});

test("to somebody who has had enough a verb ends as it would have, and in silence", async () => {
  for (const args of [["status"], ["check"], ["why", phone.registrationId], ["registrations", "--json"]]) {
    const { code, err } = await led("| true", ...args, ...config());
    expect([args[0], code, err]).toEqual([args[0], 0, ""]);
  }
});
