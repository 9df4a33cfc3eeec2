// What a refused reload leaves in the log, and on the terminal of whoever asked for it.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { reloadText } from "../../src/cli/reload.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createReloader, type ReloadAnswer } from "../../src/reload.ts";
import { createWorkshop, furnish, GOOD, type Workshop } from "../config/helpers.ts";

let workshop: Workshop;
beforeEach(() => {
  workshop = createWorkshop();
  furnish(workshop);
});
afterEach(() => workshop.remove());

async function reload(text: string | null): Promise<{ answer: ReloadAnswer; logged: string[] }> {
  const file = text === null ? workshop.path("none.yaml") : workshop.write("i.yaml", text);
  const lines: string[] = [];
  const log = createLogger("info", "json", (line) => void lines.push(line));
  const reloader = createReloader({ file, env: {}, log, now: Date.now, apply: () => [] });
  const answer = await reloader.reload("test");
  await reloader.close();
  const logged = lines.map((line) => (JSON.parse(line) as { level: string; msg: string }).msg);
  return { answer, logged };
}

describe("a refused reload", () => {
  test("says in the log, too, what was meant and what to do", async () => {
    const { answer, logged } = await reload(
      GOOD.replace("ring: badge", "rnig: badge").replace("port: 9443", 'port: "9443"'),
    );
    expect(answer.ok).toBe(false);
    expect(logged).toEqual([
      "expected a whole number from 0 to 65535, found text; remove the quotes",
      'unknown key; did you mean "ring"?',
      "The configuration was not reloaded; the node goes on with the former one.",
    ]);
  });

  test("counts problems and warnings", async () => {
    const text = GOOD.replace("ring: badge", "rnig: badge").replace("allow: [10.1.0.0/16]", "allow: []");
    const { answer } = await reload(text);
    const end = reloadText({ ...answer, warnings: answer.problems })
      .split("\n")
      .at(-1);
    expect(end).toBe(
      "1 problem, 1 warning. Nothing was reloaded; the node goes on with the configuration that it has.",
    );
  });

  test("names a file that is not there once", async () => {
    const { answer, logged } = await reload(null);
    const shown = reloadText(answer);
    expect(shown.split(workshop.path("none.yaml"))).toHaveLength(2);
    expect(shown).toStartWith(`${workshop.path("none.yaml")}: there is no such file; `);
    expect(logged[0]).toStartWith("there is no such file; ");
  });
});
