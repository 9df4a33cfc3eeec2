// A key file belongs to its database: a foreign one is refused before anything is written with it.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { isBellError } from "../../src/errors.ts";
import { generateKeys, type KeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { readKeyMark } from "../../src/store/key-mark.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import { id, register } from "../store/helpers.ts";

const NOW = 1_760_000_000_000;
let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-mark-"));
  path = join(directory, "inboxbell.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Opens the database with these keys and closes it; what it was refused with, or null. */
async function open(
  keys: KeyFile,
  use: (store: ReturnType<typeof createStore>) => unknown = () => {},
): Promise<{ code: string; message: string } | null> {
  const store = createStore({ path, keyring: createKeyring(keys), keyFile: "/x/keys.json", now: () => NOW });
  try {
    await store.start();
  } catch (error) {
    if (isBellError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  await use(store);
  await store.stop();
  return null;
}

const foreign = () => ({
  code: "keys_invalid",
  message: `The key file /x/keys.json does not belong to the database ${path}. Restore the key file that was saved with it.`,
});

/** As a database of a version that knew no mark. */
function forgetMark(): void {
  const db = new Database(path);
  db.exec("DELETE FROM meta WHERE key = 'keys'");
  db.close();
}

const rotate = (keys: KeyFile): KeyFile => {
  const next = generateKeys(1);
  return { ...keys, keys: [...keys.keys, ...next.keys], current: next.current };
};

test("a database opens with the keys that it was made with, and with no others, and is as before after a refusal", async () => {
  const keys = generateKeys(0);
  expect(await open(keys)).toBeNull();
  expect(await open(keys)).toBeNull();
  const before = readFileSync(path);
  expect(await open(generateKeys(0))).toEqual(foreign());
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(await open(keys)).toBeNull();
});

test("a rotation is taken over, after which the old key may go and the old key file is refused", async () => {
  const keys = generateKeys(0);
  expect(await open(keys)).toBeNull();
  const rotated = rotate(keys);
  expect(await open({ ...rotated, keys: rotated.keys.slice(1) })).toEqual(foreign());
  expect(await open(rotated)).toBeNull();
  expect(await open({ ...rotated, keys: rotated.keys.slice(1) })).toBeNull();
  expect(await open(keys)).toEqual(foreign());
});

test("a database without a mark is claimed by keys that open one of its tokens, and by no others", async () => {
  const keys = generateKeys(0);
  expect(await open(keys, (store) => register(store, 1, "aa".repeat(32), NOW))).toBeNull();
  forgetMark();
  expect(await open(generateKeys(0))).toEqual(foreign());
  expect(readKeyMark(path)).toBeNull();
  expect(await open(keys)).toBeNull();
  expect(await open(generateKeys(0))).toEqual(foreign());
});

test("one damaged token does not lock anybody out of a database without a mark", async () => {
  const keys = generateKeys(0);
  const fill = async (store: ReturnType<typeof createStore>) => {
    for (const n of [1, 2]) await register(store, n, "bb".repeat(32), NOW);
  };
  expect(await open(keys, fill)).toBeNull();
  forgetMark();
  const db = new Database(path);
  db.prepare("UPDATE registration SET token = zeroblob(80) WHERE id = ?").run(
    Buffer.from(id(1).replaceAll("-", ""), "hex"),
  );
  db.close();
  expect(await open(keys)).toBeNull();
});

test("the mark can be read beside a running node without disturbing it, and of what is no database is none", async () => {
  const keys = generateKeys(0);
  const keyring = createKeyring(keys);
  const told = await new Promise<string>((resolve) => {
    void open(keys, async () => {
      // In another process, as `check` is: closing a file gives up the process's locks on it.
      const source = join(import.meta.dir, "..", "..", "src", "store", "key-mark.ts");
      const child = Bun.spawn(
        [
          process.execPath,
          "-e",
          `import { readKeyMark } from ${JSON.stringify(source)}; process.stdout.write(String(readKeyMark(${JSON.stringify(path)})));`,
        ],
        { stdout: "pipe" },
      );
      resolve(await new Response(child.stdout).text());
    });
  });
  expect(keyring.wrote(told)).toBe(true);
  expect(readKeyMark(join(directory, "none.db"))).toBeNull();
  expect(readKeyMark(directory)).toBeNull();
});
