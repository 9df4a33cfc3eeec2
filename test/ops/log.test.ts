// The log stream: JSON lines that journald understands, text for a person at a terminal, nothing below the level.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, type LogFormat, type LogLevel, silentLogger } from "../../src/ops/log.ts";

function logger(level: LogLevel, format: LogFormat, forJournald = false) {
  const lines: string[] = [];
  return { log: createLogger(level, format, (line) => void lines.push(line), forJournald), lines };
}

describe("a JSON line", () => {
  test("has level, time, fields and a sentence, nothing about the machine, and is JSON from its first character", () => {
    const { log, lines } = logger("info", "json");
    const before = Date.now();
    log.info({ app: "com.example.mail", count: 3, ok: true, none: null }, "Rang.");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect(rest).toEqual({
      level: "info",
      app: "com.example.mail",
      count: 3,
      ok: true,
      none: null,
      msg: "Rang.",
    });
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Date.parse(String(time))).toBeGreaterThanOrEqual(before);
  });

  test("has the priority of its level before it where journald reads it", () => {
    const { log, lines } = logger("debug", "json", true);
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]({}, level);
    expect(lines.map((line) => line.slice(0, 3))).toEqual(["<7>", "<6>", "<4>", "<3>"]);
    expect(lines.map((line) => (JSON.parse(line.slice(3)) as { level: string }).level)).toEqual([
      "debug",
      "info",
      "warn",
      "error",
    ]);
  });

  test("stays one line whatever stands in a field, so that nobody can forge another", () => {
    const { log, lines } = logger("info", "json");
    log.warn({ reason: 'a\n<2>{"level":"fatal"}\r\u2028\u0000' }, "two\nlines");
    expect(lines).toHaveLength(1);
    expect(lines[0]!.trimEnd()).not.toContain("\n");
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "warn", msg: "two\nlines" });
  });

  test("leaves out a field without a value", () => {
    const { log, lines } = logger("info", "json");
    log.info({ address: undefined }, "Closed.");
    expect(lines[0]).not.toContain("address");
  });
});

test.each([
  ["debug", 4],
  ["info", 3],
  ["warn", 2],
  ["error", 1],
] as const)("level %s lets through %d of four levels", (level, count) => {
  for (const format of ["json", "text"] as const) {
    const { log, lines } = logger(level, format);
    for (const each of ["debug", "info", "warn", "error"] as const) log[each]({}, "A line.");
    expect(lines).toHaveLength(count);
  }
});

test("a child's lines all carry its fields, and its parent's do not", () => {
  const { log, lines } = logger("info", "json");
  log.child({ correlationId: "abc" }).child({ listener: "exchange" }).info({}, "Heard.");
  log.info({}, "Alone.");
  expect(JSON.parse(lines[0]!)).toMatchObject({ correlationId: "abc", listener: "exchange" });
  expect(lines[1]).not.toContain("abc");
});

test("a line of text shows time, level, sentence and fields, without a priority and without colour in a file", () => {
  const { log, lines } = logger("info", "text");
  log.warn({ app: "com.example.mail" }, "Paused.");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: Paused\..*"app":"com\.example\.mail".*\n$/);
});

test("the silent logger says nothing and needs nobody", () => {
  const child = silentLogger.child({ a: 1 });
  for (const level of ["debug", "info", "warn", "error"] as const) child[level]({}, "Nothing.");
  expect(child.child({})).toBe(silentLogger);
});

describe("the format auto", () => {
  let directory: string;
  let program: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "inboxbell-log-"));
    program = join(directory, "say.ts");
    const source = join(import.meta.dir, "..", "..", "src", "ops", "log.ts");
    writeFileSync(
      program,
      `import { createLogger } from ${JSON.stringify(source)};\ncreateLogger("info", "auto").info({ n: 1 }, "Ready.");\n`,
    );
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test("is JSON on standard error where that is no terminal", async () => {
    // As in a service's shell whose standard error was led elsewhere: the variable alone proves nothing.
    for (const env of [{}, { JOURNAL_STREAM: "8:123456" }]) {
      const child = Bun.spawn([process.execPath, program], {
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, ...env },
      });
      expect(await new Response(child.stdout).text()).toBe("");
      expect(await new Response(child.stderr).text()).toMatch(/^\{"level":"info".*"msg":"Ready\."\}\n$/);
    }
  });

  test("is JSON with a priority on the stream that systemd has connected to the journal", async () => {
    const journal = join(directory, "journal");
    const file = openSync(journal, "w");
    const { dev, ino } = fstatSync(file, { bigint: true });
    const child = Bun.spawn([process.execPath, program], {
      stdout: "ignore",
      stderr: file,
      env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` },
    });
    expect(await child.exited).toBe(0);
    closeSync(file);
    expect(readFileSync(journal, "utf8")).toMatch(/^<6>\{"level":"info".*"msg":"Ready\."\}\n$/);
  });

  const script = Bun.which("script");
  test.skipIf(script === null)("is coloured text on a terminal (script)", async () => {
    // `script` of bsdutils gives the command a terminal and copies what it shows.
    const child = Bun.spawn(
      [script!, "--quiet", "--return", "--command", `${process.execPath} ${program}`, "/dev/null"],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: { ...process.env, TERM: "xterm" } },
    );
    const shown = await new Response(child.stdout).text();
    expect(shown).toContain("Ready.");
    expect(shown).toContain("\u001b[");
    expect(shown).not.toMatch(/<6>|"level"/);
  });
});
