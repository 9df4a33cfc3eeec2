// The layer rule is a lint rule; these tests show that it can fail, in every way an import can be written.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..", "..");
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-layers-"));
  cpSync(join(root, "biome.json"), join(directory, "biome.json"));
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  mkdirSync(join(directory, ".git"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** Lints one made-up file with the repository's own rules; returns what the linter printed, or "" if clean. */
async function lint(path: string, text: string): Promise<string> {
  const file = join(directory, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const biome = Bun.spawn(
    [
      join(root, "node_modules", ".bin", "biome"),
      "lint",
      "--vcs-enabled=false",
      "--only=style/noRestrictedImports",
      path,
    ],
    { cwd: directory, stdout: "pipe", stderr: "pipe" },
  );
  const output = (await new Response(biome.stdout).text()) + (await new Response(biome.stderr).text());
  const code = await biome.exited;
  rmSync(file);
  return code === 0 ? "" : output;
}

const forbidden: readonly (readonly [file: string, text: string])[] = [
  ["src/exchange/x.ts", 'import { createDispatcher } from "../delivery/dispatcher.ts";\ncreateDispatcher;\n'],
  [
    "src/exchange/x.ts",
    'import type { Dispatcher } from "../delivery/dispatcher.ts";\nexport type X = Dispatcher;\n',
  ],
  ["src/delivery/apns/x.ts", 'import { decide } from "../../exchange/decide.ts";\ndecide;\n'],
  ["src/registration/x.ts", 'export { decide } from "../exchange/decide.ts";\n'],
  ["src/registration/x.ts", 'export const x = () => import("../delivery/dispatcher.ts");\n'],
  ["src/store/x.ts", 'import { createListener } from "../net/listener.ts";\ncreateListener;\n'],
  ["src/keys/x.ts", 'import { createStore } from "../store/sqlite-store.ts";\ncreateStore;\n'],
  ["src/config/x.ts", 'import { createLogger } from "../ops/log.ts";\ncreateLogger;\n'],
  ["src/net/x.ts", 'import { createStore } from "../store/sqlite-store.ts";\ncreateStore;\n'],
  ["src/ops/x.ts", 'import { createListener } from "../net/listener.ts";\ncreateListener;\n'],
  [
    "src/delivery/x.ts",
    'import { createApnsSimulator } from "../rehearsal/apns/simulator.ts";\ncreateApnsSimulator;\n',
  ],
  ["src/backup/x.ts", 'import { createListener } from "../net/listener.ts";\ncreateListener;\n'],
  ["src/phones/x.ts", 'import { runProgram } from "../cli/run.ts";\nrunProgram;\n'],
  ["src/delivery/x.ts", 'import { createPhoneVerbs } from "../phones/verbs.ts";\ncreatePhoneVerbs;\n'],
  ["src/store/x.ts", 'import { createBackupVerbs } from "../backup/copies.ts";\ncreateBackupVerbs;\n'],
  ["src/exchange/x.ts", 'import { startAppliance } from "../appliance.ts";\nstartAppliance;\n'],
  ["src/appliance.ts", 'import { setStage } from "./rehearsal/stage/stage.ts";\nsetStage;\n'],
  ["src/errors.ts", 'import { createLogger } from "./ops/log.ts";\ncreateLogger;\n'],
];

describe("the layer rule", () => {
  for (const [file, text] of forbidden) {
    test(`refuses in ${file}: ${text.split("\n")[0]}`, async () => {
      expect(await lint(file, text)).toContain("Layer rule");
    });
  }

  test("allows what the design allows", async () => {
    const allowed =
      'import type { Store } from "../store/types.ts";\nimport { BellError } from "../errors.ts";\nexport type X = Store;\nBellError;\n';
    expect(await lint("src/exchange/x.ts", allowed)).toBe("");
    expect(
      await lint(
        "src/delivery/apns/x.ts",
        'import type { Ring } from "../../store/types.ts";\nexport type X = Ring;\n',
      ),
    ).toBe("");
  });
});
