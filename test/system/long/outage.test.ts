// A longer run of the compiled binary: rehearsal at a higher rate, which has to lose nothing and break no rule.
import { expect, test } from "bun:test";
import { join } from "node:path";

const binary = process.env.INBOXBELL_BINARY ?? join(import.meta.dir, "..", "..", "..", "dist", "inboxbell");

test("a busy rehearsal of twenty seconds with 600 phones loses nothing", async () => {
  const child = Bun.spawn([binary, "rehearse", "--for", "20s", "--phones", "600", "--rate", "60", "--json"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect(await child.exited, err).toBe(0);
  const summary = JSON.parse(out) as { lost: number; notifications: number; violations: string[] };
  expect(summary).toMatchObject({ lost: 0, violations: [] });
  expect(summary.notifications).toBeGreaterThan(800);
}, 90_000);
