// The compiled binary as a person runs it: rehearsal from end to end, and the small verbs.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = process.env.INBOXBELL_BINARY ?? join(import.meta.dir, "..", "..", "dist", "inboxbell");

function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return runIn(tmpdir(), ...args);
}

/** @param temporary where it may write; a directory of its own shows what it leaves behind, and nobody else's files */
async function runIn(temporary: string, ...args: string[]) {
  const env = { ...process.env, TMPDIR: temporary };
  const child = Bun.spawn([binary, ...args], { stdout: "pipe", stderr: "pipe", env });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

describe("the compiled binary", () => {
  test("rings every phone of a rehearsal with the right badge and ends with 0", async () => {
    const temporary = mkdtempSync(join(tmpdir(), "ib-r-"));
    const { code, out } = await runIn(
      temporary,
      "rehearse",
      "--for",
      "4s",
      "--phones",
      "50",
      "--rate",
      "20",
      "--json",
    );
    const summary = JSON.parse(out) as {
      ok: boolean;
      lost: number;
      notifications: number;
      rings: number;
      violations: string[];
      applianceExit: number;
    };
    expect(summary).toMatchObject({ ok: true, lost: 0, violations: [], applianceExit: 0 });
    expect(summary.notifications).toBeGreaterThan(50);
    expect(summary.rings).toBeGreaterThan(50);
    expect(code).toBe(0);
    expect(readdirSync(temporary).filter((name) => name.startsWith("inboxbell-"))).toEqual([]);
    rmSync(temporary, { recursive: true });
  });

  test("says its version and commit", async () => {
    const { code, out } = await run("version", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ name: "inboxbell" });
    expect((JSON.parse(out) as { commit: string }).commit).toMatch(/^[0-9a-f]{12}$/);
  });

  test("answers usage errors with exit code 2 and a sentence", async () => {
    expect((await run("rehearse", "--for", "soon")).code).toBe(2);
    expect((await run("nonsense")).code).toBe(2);
    expect((await run("serve", "--nonsense")).code).toBe(2);
    expect((await run("pair", "nonsense")).code).toBe(2);
  });

  test("names a configuration that is missing and a node that is not running", async () => {
    const missing = join(tmpdir(), "inboxbell-no-such-file.yaml");
    const check = await run("check", "--config", missing);
    expect(check.code).toBe(1);
    expect(check.err + check.out).toContain(missing);
    const status = await run("status", "--socket", join(tmpdir(), "inboxbell-no-such.sock"));
    expect(status.code).toBe(1);
    expect(existsSync(join(tmpdir(), "inboxbell-no-such.sock"))).toBe(false);
  });
});
