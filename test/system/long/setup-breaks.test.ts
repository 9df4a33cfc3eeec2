// `setup` broken off at every one of its questions, on a real terminal: it ends at once and in words, has written
// nothing, leaves the terminal as it was, and works when it is run again.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { binary, run } from "../helpers.ts";
import { answer, type Desk, type Step, setDesk } from "../interviewed.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const QUESTIONS = 19;

let desk: Desk;
beforeAll(async () => {
  desk = await setDesk();
});
afterAll(() => desk.remove());

async function breakOff(questions: number, key: string): Promise<void> {
  const typist = desk.sit();
  try {
    await answer(typist, desk.steps.slice(0, questions));
    await typist.sees(desk.steps[questions]?.[0] ?? "Next:");
    typist.type(key);
    expect(await typist.ended(5_000)).toBe(1);
    expect(typist.screen()).toContain("inboxbell: Broken off; nothing was written.\n");
    expect(typist.screen()).toContain("Run it again when you have the answers. (broken_off)\n");
    expect(typist.isUsual()).toBe(true);
    expect(existsSync(dirname(desk.config))).toBe(false);
  } finally {
    typist.close();
  }
}

describe("setup", () => {
  for (let at = 0; at < QUESTIONS; at += 1) {
    test(`ends at question ${at + 1} of ${QUESTIONS} with Ctrl-C, and with the end of the input`, async () => {
      await Promise.all([breakOff(at, CTRL_C), breakOff(at, CTRL_D)]);
    }, 60_000);
  }

  test("works when it is run again, to the last question of the list above", async () => {
    expect(desk.steps).toHaveLength(QUESTIONS);
    const typist = desk.sit();
    try {
      await answer(typist, desk.steps);
      expect(await typist.ended()).toBe(0);
      expect(typist.isUsual()).toBe(true);
    } finally {
      typist.close();
    }
    const checked = await run([binary, "check", "--config", desk.config], { temporary: desk.at("tmp") });
    expect([checked.code, checked.err]).toEqual([0, ""]);
  }, 60_000);

  test("run again over what is there and broken off where it asks whether to replace, changes nothing", async () => {
    const before = await Bun.file(desk.config).text();
    // An empty line keeps what is there. What stands beside a file is asked with a new file only.
    const kept = ["Its key ID", "team's ID", "Apple's environment", "File with its password"];
    const again = desk.steps
      .filter(([question]) => !kept.includes(question))
      .map(
        ([question]): Step => [question, question === "HTTP proxy" ? "http://other.corp.example:3128" : ""],
      );
    for (const key of [CTRL_C, CTRL_D]) {
      const typist = desk.sit();
      try {
        await answer(typist, again);
        await typist.sees("Replace them?");
        typist.type(key);
        expect(await typist.ended()).toBe(1);
        expect(typist.isUsual()).toBe(true);
      } finally {
        typist.close();
      }
      expect(await Bun.file(desk.config).text()).toBe(before);
    }
  }, 60_000);
});
