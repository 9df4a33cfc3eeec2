// Which control socket a verb speaks to.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlSocket } from "../../src/cli/socket.ts";
import { isBellError } from "../../src/errors.ts";

let directory: string;
let config: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-cli-"));
  config = join(directory, "inboxbell.yaml");
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("the control socket", () => {
  test("is that of the configuration, relative to it", () => {
    writeFileSync(config, "control: { socket: run/bell.sock }\n");
    expect(controlSocket({ config })).toBe(join(directory, "run/bell.sock"));
  });

  test("is that of a configuration which is wrong elsewhere, since the node was started with a good one", () => {
    writeFileSync(config, "control: { socket: bell.sock }\nlog: { levle: info }\nnode: 1\n");
    expect(controlSocket({ config })).toBe(join(directory, "bell.sock"));
  });

  test("is the delivered one where the configuration names none, or cannot be read as YAML", () => {
    for (const text of ["node: bell-a\n", "node: [\n", ""]) {
      writeFileSync(config, text);
      expect([text, controlSocket({ config })]).toEqual([text, "/run/inboxbell/control.sock"]);
    }
    expect(controlSocket({})).toBe("/run/inboxbell/control.sock");
  });

  test("is the one given, whatever the configuration says", () => {
    writeFileSync(config, "control: { socket: bell.sock }\n");
    expect(controlSocket({ config, socket: "/x/y.sock" })).toBe("/x/y.sock");
    expect(controlSocket({ config: join(directory, "none.yaml"), socket: "/x/y.sock" })).toBe("/x/y.sock");
  });

  test("of a configuration that was given and cannot be read is not guessed", () => {
    const missing = join(directory, "none.yaml");
    try {
      controlSocket({ config: missing });
      throw new Error("it was guessed");
    } catch (error) {
      expect([isBellError(error, "config_unreadable"), String(error)]).toEqual([
        true,
        expect.stringContaining(missing),
      ]);
    }
  });
});
