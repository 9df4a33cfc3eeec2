// What a node remembers of its role, beside its database.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dropEpochFile, epochFilePath, openEpochFile, recallPeer } from "../../src/pair/epoch-file.ts";

let directory: string;
let database: string;
const failures: unknown[] = [];
const open = () => openEpochFile(database, (error) => failures.push(error));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-epoch-"));
  database = join(directory, "inboxbell.db");
  failures.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a database that is there is the pair's first; one that has yet to be made is unseeded, also after a restart", async () => {
  writeFileSync(database, "");
  expect((await open()).current).toEqual({ epoch: 0, seeding: "seeded", forgotten: null });
  rmSync(database);
  expect((await open()).current.seeding).toBe("unseeded");
  // The process ended after it had made its database, and before it had any row.
  writeFileSync(database, "");
  expect((await open()).current.seeding).toBe("unseeded");
});

test("a database that is lost is unseeded again, and its epoch stays", async () => {
  writeFileSync(database, "");
  const file = await open();
  await file.save({ epoch: 7 });
  rmSync(database);
  expect((await open()).current).toEqual({ epoch: 7, seeding: "unseeded", forgotten: null });
});

test("changes are kept in order, and an epoch never falls", async () => {
  writeFileSync(database, "");
  const file = await open();
  const saved = await Promise.all([
    file.save({ epoch: 5 }),
    file.save({ epoch: 3, seeding: "reseeding" }),
    file.save({ forgotten: "bell-b" }),
  ]);
  expect(saved).toEqual([true, true, true]);
  expect((await open()).current).toEqual({ epoch: 5, seeding: "reseeding", forgotten: "bell-b" });
  recallPeer(database);
  expect((await open()).current).toEqual({ epoch: 5, seeding: "reseeding", forgotten: null });
  expect(statSync(epochFilePath(database)).mode & 0o777).toBe(0o600);
  dropEpochFile(database);
  expect(existsSync(epochFilePath(database))).toBe(false);
});

test("what cannot be written is said, and what was there stays", async () => {
  writeFileSync(database, "");
  const file = await open();
  expect(await file.save({ epoch: 1 })).toBe(true);
  const before = readFileSync(epochFilePath(database), "utf8");
  // In the way of the new file, also for root.
  rmSync(`${epochFilePath(database)}.new`, { force: true });
  await Bun.write(join(`${epochFilePath(database)}.new`, "in the way"), "");
  expect(await file.save({ epoch: 2 })).toBe(false);
  expect([file.current.epoch, failures.length]).toEqual([1, 1]);
  expect(readFileSync(epochFilePath(database), "utf8")).toBe(before);
  rmSync(`${epochFilePath(database)}.new`, { recursive: true });
  expect(await file.save({ epoch: 2 })).toBe(true);
});

test("a damaged file is told by its name, and not taken for another", async () => {
  writeFileSync(database, "");
  for (const text of ["", "{}", '{"format":"inboxbell-pair-1","epoch":-1,"seeding":"seeded"}', "\0\0\0"]) {
    writeFileSync(epochFilePath(database), text);
    chmodSync(epochFilePath(database), 0o600);
    const error = await open().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "pair_file" });
    expect(String(error)).toContain(epochFilePath(database));
  }
});
