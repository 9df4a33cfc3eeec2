// The passive node on a full disk that nobody has written to since, when the active one is lost: its turn has come.
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./helpers.ts";
import { createTwoNodes, type TwoNodes } from "./nodes.ts";

const RESERVE_BYTES = 4 * 1024 * 1024;
const isRoot = process.getuid?.() === 0;

let nodes: TwoNodes | null = null;
let disk = "";

afterEach(async () => {
  await nodes?.close();
  if (disk === "") return;
  Bun.spawnSync(["umount", "--lazy", disk]);
  rmSync(disk, { recursive: true, force: true });
});

test.skipIf(!isRoot)(
  "takes over on a full disk, with the room that the reserve made (needs root)",
  async () => {
    disk = mkdtempSync(join(tmpdir(), "inboxbell-disk-"));
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk]).exitCode).toBe(0);
    nodes = await createTwoNodes({ directoryOfB: disk, reserveBytes: RESERVE_BYTES });
    const { a, b } = nodes;
    await nodes.begin();
    if (a.pair.standing().role === "passive") expect(await a.pair.wish("switch_here")).toBe("done");
    await until(() => b.pair.standing().role === "passive", "the node with the small disk is passive");
    expect(() => writeFileSync(join(disk, "other"), Buffer.alloc(32 * 1024 * 1024))).toThrow("ENOSPC");
    await a.stop();
    await until(() => b.pair.standing().primary, "the other node takes over");
  },
);
