// Folders over all registrations: their states in the counts and one by one, the walk over all of them, and what a
// database of an earlier version becomes.
import { afterEach, expect, test } from "bun:test";
import Database from "better-sqlite3";
import fc from "fast-check";
import { folderState } from "../../src/store/folder-state.ts";
import { MIGRATIONS } from "../../src/store/migrations.ts";
import type { Folder, FolderState } from "../../src/store/types.ts";
import { change, folder, id, keyring, openTestStore, register, settlement } from "./helpers.ts";

type Opened = Awaited<ReturnType<typeof openTestStore>>;
const opened: Opened[] = [];
async function open(options: Parameters<typeof openTestStore>[0] = {}): Promise<Opened> {
  const made = await openTestStore(options);
  opened.push(made);
  return made;
}
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

test("the counts and the state of a single folder agree, whatever is in the row", async () => {
  const { store, time } = await open();
  const time5 = fc.constantFrom(null, 5);
  const any: fc.Arbitrary<Partial<Folder>> = fc.record({
    generation: fc.integer({ min: 1, max: 3 }),
    boundGeneration: fc.integer({ min: 0, max: 3 }),
    endedGeneration: fc.integer({ min: 0, max: 3 }),
    lastHeardAt: time5,
    failedAt: time5,
    silentAt: time5,
  });
  const rows = fc.sample(any, { numRuns: 200, seed: 7 });
  const expected: Record<FolderState, number> = { expected: 0, live: 0, silent: 0, failed: 0, ended: 0 };
  for (const [n, row] of rows.entries()) {
    const written = folder("inbox", 1, row);
    expected[folderState(written)] += 1;
    await change(store, id(n), { folders: [written] });
  }
  expect((await store.counts(time.now)).subscriptions).toEqual(expected);
  expect(Object.values(expected).every((count) => count > 0)).toBe(true);
});

test("what the watch keeps of a folder is there after a restart", async () => {
  const all = await open();
  const written = folder("inbox", 10, {
    boundGeneration: 10,
    lastHeardAt: 7,
    serverMac: keyring.mac("server", "ex01.corp.example"),
    silentAt: 8,
    asks: 3,
    askedAt: 9,
  });
  await register(all.store, 1, "t", all.time.now);
  await change(all.store, id(1), { folders: [written] });
  await all.reopen();
  const [view] = await all.store.read([id(1)]);
  expect(view?.state).toMatchObject({ folders: [written] });
});

test("the walk meets every registration once, with its folders as they are now", async () => {
  const all = await open();
  for (let n = 1; n <= 25; n += 1) await register(all.store, n, `t${n}`, all.time.now);
  await change(all.store, id(3), { folders: [folder("calendar", 1)] });
  await change(all.store, id(4), { removeFolders: ["inbox"] });
  await change(all.store, id(5), { delete: { at: all.time.now } });
  // Heard of, and not registered.
  await change(all.store, id(90), { folders: [folder("inbox", 1)] });
  // Not written yet.
  await change(all.store, id(6), { folders: [folder("inbox", 1, { lastHeardAt: 77 })], lazy: true });
  const met = new Map<string, readonly string[]>();
  let last: string | null = null;
  for (let page = 0; page < 10; page += 1) {
    const phones = await all.store.walk(last, 4);
    for (const { registrationId, folders, app } of phones) {
      expect(met.has(registrationId)).toBe(false);
      expect(app).toBe("com.example.mail");
      met.set(
        registrationId,
        folders.map(({ name }) => name),
      );
      if (registrationId === id(6)) expect(folders[0]?.lastHeardAt).toBe(77);
    }
    last = phones.at(-1)?.registrationId ?? null;
    if (last === null) break;
  }
  expect(met.size).toBe(24);
  expect(met.get(id(3))).toEqual(["calendar", "inbox"]);
  expect(met.get(id(4))).toEqual([]);
  expect(met.has(id(5))).toBe(false);
  expect(met.has(id(90))).toBe(false);
});

test("the walk says whose token is dead, until it is renewed", async () => {
  const all = await open();
  await register(all.store, 1, "t", all.time.now);
  await change(all.store, id(1), { reasons: [{ reason: "test" }] });
  const [ring] = await all.store.begin([id(1)]);
  all.time.now += 5;
  await all.store.settle([settlement(ring!, "dead", all.time.now, { ends: false })]);
  expect(await all.store.walk(null, 9)).toMatchObject([{ dead: true }]);
  all.time.now += 5;
  await register(all.store, 1, "t", all.time.now, 2);
  expect(await all.store.walk(null, 9)).toMatchObject([{ dead: false }]);
});

test("a database of the version before keeps its folders; a failure of an older generation is over", async () => {
  const first = await open();
  await first.store.stop();
  const path = `${first.directory}/old.db`;
  const db = new Database(path);
  db.pragma("application_id = 0x42656c6c");
  for (const { number, sql } of MIGRATIONS) if (number < 3) db.exec(sql);
  db.pragma("user_version = 2");
  const insert = db.prepare(`
    INSERT INTO folder (registration, name, kind, generation, bound_generation, ended_generation, failed_at,
      last_heard_at, folder_learnt, status_frequency, version, seq) VALUES (?,?,'inbox',?,?,0,?,1,0,15,1,?)`);
  insert.run(Buffer.alloc(16, 1), "current", 10, 10, 5, 1);
  insert.run(Buffer.alloc(16, 1), "older", 20, 10, 5, 2);
  db.close();
  const migrated = await open({ path });
  const [view] = await migrated.store.read(["01010101-0101-0101-0101-010101010101"]);
  expect(view?.state).toMatchObject({
    folders: [
      { name: "current", failedAt: 5, silentAt: null, asks: 0, askedAt: null, serverMac: null },
      { name: "older", failedAt: null },
    ],
  });
  await first.store.start();
});
