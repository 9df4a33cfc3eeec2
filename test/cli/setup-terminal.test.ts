// `setup` on a terminal: a pseudo-terminal with somebody who types.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { createApnsKey } from "../../src/rehearsal/credentials.ts";

const root = join(import.meta.dir, "..", "..");
const LIMIT_MS = 20_000;

let directory: string;
const at = (...parts: string[]) => join(directory, ...parts);
const config = () => at("etc", "inboxbell.yaml");
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "ib-setup-"));
  mkdirSync(at("downloads"));
  const { privateKey } = await createApnsKey(randomBytes);
  writeFileSync(at("downloads", "AuthKey_ABCDE12345.p8"), privateKey, { mode: 0o644 });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/**
 * Types an answer whenever its question is asked, in any order.
 * @param answers what a question contains, and what is typed then; an array is typed one after the other
 */
async function converse(
  answers: Readonly<Record<string, string | readonly string[]>>,
  flags: readonly string[] = [],
): Promise<{ readonly code: number; readonly screen: string }> {
  let screen = "";
  let seen = 0;
  const waiting = new Map(Object.entries(answers).map(([question, typed]) => [question, [typed].flat()]));
  const decoder = new TextDecoder();
  const child = Bun.spawn(
    [
      ...[process.execPath, join(root, "src", "main.ts"), "setup", "--config", config()],
      ...["--state-directory", at("var"), "--socket", at("control.sock"), ...flags],
    ],
    {
      timeout: LIMIT_MS,
      terminal: {
        cols: 200,
        rows: 50,
        data(terminal, bytes) {
          screen += decoder.decode(bytes, { stream: true });
          // A question ends with a colon and a blank, after which the program waits.
          const asked = screen.slice(seen);
          if (!Bun.stripANSI(asked).endsWith(": ")) return;
          seen = screen.length;
          const [question, typed] = [...waiting].find(([each]) => asked.includes(each)) ?? ["", []];
          const next = typed.shift() ?? "";
          if (question !== "" && typed.length === 0) waiting.delete(question);
          terminal.write(next === "\u0003" ? next : `${next}\n`);
        },
      },
    },
  );
  return { code: await child.exited, screen };
}

const WHOLE = {
  "Phones reach it as": "push.corp.test",
  "Exchange reaches it as": "bell.corp.test",
  "Networks of the Exchange servers": "10.1.0.0/16",
  "Networks that phones come from": "10.9.0.0/16",
  "Make a private authority": "y",
  "bundle identifier": "com.corp.mail",
  "Apple team's ID": "TEAM123456",
};

describe("setup on a terminal", () => {
  test("asks for what is needed, says at once what cannot be used, and asks again", async () => {
    const { code, screen } = await converse({
      ...WHOLE,
      "Networks of the Exchange servers": ["10.1.0.0/99", "10.1.0.0/16"],
      "Apple's token key": ["/nowhere.p8", at("downloads", "AuthKey_ABCDE12345.p8")],
    });
    expect(screen).toContain("a prefix of IPv4 is 32 at most");
    expect(screen).toContain("there is no such file");
    expect(code).toBe(0);
    const loaded = loadConfig(config(), {});
    expect(loaded.public.exchangeUrl).toBe("https://bell.corp.test:9443");
    expect(loaded.apps[0]!.apns?.credential).toMatchObject({ keyId: "ABCDE12345", teamId: "TEAM123456" });
    expect(loaded.egress.proxy).toBeNull();
  });

  test("broken off with Ctrl-C has written nothing", async () => {
    const { code, screen } = await converse({
      "Phones reach it as": "push.corp.test",
      "Exchange reaches it as": "\u0003",
    });
    expect(screen).toContain("nothing was written");
    expect(code).toBe(1);
    expect(existsSync(at("etc"))).toBe(false);
  });

  test("run again keeps what an empty line leaves, and replaces only after a yes", async () => {
    const key = at("downloads", "AuthKey_ABCDE12345.p8");
    expect((await converse({ ...WHOLE, "Apple's token key": key })).code).toBe(0);
    const before = readFileSync(config(), "utf8");

    const nothing = await converse({});
    expect([nothing.code, readFileSync(config(), "utf8")]).toEqual([0, before]);
    expect(nothing.screen).toContain("Nothing had to be changed.");

    const no = await converse({ "HTTP proxy": "http://proxy.corp.test:3128" });
    expect([no.code, readFileSync(config(), "utf8")]).toEqual([1, before]);
    expect(no.screen).toContain("egress.proxy: (not set) -> http://proxy.corp.test:3128");

    const yes = await converse({ "HTTP proxy": "http://proxy.corp.test:3128", "Replace them?": "y" });
    expect(yes.code).toBe(0);
    expect(loadConfig(config(), {}).egress.proxy?.url).toBe("http://proxy.corp.test:3128");
  });
});
