import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { isBellError } from "../../src/errors.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";

const keys = generateKeys(0);
const keyring = createKeyring(keys);
const uuid = fc.uuid();
const folder = fc.stringMatching(/^[a-z0-9_-]{1,32}$/);
const generation = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    return isBellError(error) ? error.code : `not of the catalogue: ${String(error)}`;
  }
}

describe("capabilities", () => {
  test("say again what they were made from", () => {
    fc.assert(
      fc.property(uuid, folder, generation, (registrationId, name, gen) => {
        const capability = { registrationId, folder: name, generation: gen };
        expect(keyring.checkCapability(keyring.mintCapability(capability))).toEqual({
          kind: "valid",
          capability,
        });
      }),
    );
  });

  test("are the same text each time", () => {
    const capability = {
      registrationId: "00000000-0000-4000-8000-000000000001",
      folder: "inbox",
      generation: 5,
    };
    expect(keyring.mintCapability(capability)).toBe(createKeyring(keys).mintCapability(capability));
  });

  test("are forged after any change of a character", () => {
    const text = keyring.mintCapability({
      registrationId: "00000000-0000-4000-8000-000000000001",
      folder: "inbox",
      generation: 1_760_000_000_000,
    });
    for (let i = 0; i < text.length; i++) {
      const other = text[i] === "A" ? "B" : "A";
      const changed = text.slice(0, i) + other + text.slice(i + 1);
      // Bytes 1 to 4 name the key: there the answer may be that the key is unknown, never that it is valid.
      expect(keyring.checkCapability(changed).kind).not.toBe("valid");
    }
    expect(keyring.checkCapability(`${text}A`).kind).toBe("forged");
    expect(keyring.checkCapability(`${text}=`).kind).toBe("forged");
  });

  test("of junk are forged and never throw", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (junk) => {
        expect(keyring.checkCapability(junk).kind).not.toBe("valid");
      }),
    );
  });

  test("of another key file are told apart from forged ones", () => {
    const other = createKeyring(generateKeys(0));
    const text = other.mintCapability({
      registrationId: "00000000-0000-4000-8000-000000000001",
      folder: "inbox",
      generation: 1,
    });
    expect(keyring.checkCapability(text).kind).toBe("unknown_key");
  });
});

describe("sealed values", () => {
  test("open for their row and column only", () => {
    fc.assert(
      fc.property(fc.string(), (plain) => {
        const sealed = keyring.seal(plain, "row-1", "token");
        expect(keyring.open(sealed, "row-1", "token")).toBe(plain);
        expect(codeOf(() => keyring.open(sealed, "row-2", "token"))).toBe("keys_invalid");
        expect(codeOf(() => keyring.open(sealed, "row-1", "other"))).toBe("keys_invalid");
      }),
    );
  });

  test("do not show their content, and name a missing key", () => {
    const sealed = keyring.seal("device-token-0001", "row", "token");
    expect(sealed.includes("device-token")).toBe(false);
    expect(codeOf(() => createKeyring(generateKeys(0)).open(sealed, "row", "token"))).toBe("key_unknown");
    sealed[sealed.length - 1] = (sealed[sealed.length - 1] ?? 0) ^ 1;
    expect(codeOf(() => keyring.open(sealed, "row", "token"))).toBe("keys_invalid");
    expect(codeOf(() => keyring.open(Buffer.of(9, 9), "row", "token"))).toBe("keys_invalid");
  });

  test("still open after a new key became the current one", () => {
    const sealed = keyring.seal("x", "row", "token");
    const next = generateKeys(1);
    const both = createKeyring({
      lookup: keys.lookup,
      keys: [...keys.keys, ...next.keys],
      current: next.current,
    });
    expect(both.open(sealed, "row", "token")).toBe("x");
    expect(both.mac("token", "x")).toEqual(keyring.mac("token", "x"));
  });
});

describe("a database's mark", () => {
  test("is known by the key file that made it, and by no other", () => {
    const mark = keyring.databaseMark();
    expect(createKeyring(keys).wrote(mark)).toBe(true);
    expect(createKeyring(generateKeys(0)).wrote(mark)).toBe(false);
    // The same ids with other secrets, as of a key file that somebody made up.
    const forged = {
      ...generateKeys(0),
      keys: keys.keys.map((key) => ({ ...key, secret: Buffer.alloc(32) })),
    };
    expect(createKeyring({ ...forged, lookup: keys.lookup, current: keys.current }).wrote(mark)).toBe(false);
    expect(createKeyring({ ...keys, lookup: Buffer.alloc(32) }).wrote(mark)).toBe(false);
  });

  test("is known after a rotation as long as the old key is there", () => {
    const next = generateKeys(1);
    const rotated = { ...keys, keys: [...keys.keys, ...next.keys], current: next.current };
    expect(createKeyring(rotated).wrote(keyring.databaseMark())).toBe(true);
    expect(createKeyring(rotated).databaseMark()).not.toBe(keyring.databaseMark());
    const retired = createKeyring({ ...rotated, keys: next.keys });
    expect(retired.wrote(keyring.databaseMark())).toBe(false);
    expect(retired.wrote(createKeyring(rotated).databaseMark())).toBe(true);
  });

  test("tells nothing of the keys, and junk is none", () => {
    const mark = keyring.databaseMark();
    expect(mark).toBe(keyring.databaseMark());
    expect(mark).not.toContain(keys.lookup.toString("base64url"));
    fc.assert(fc.property(fc.string(), (junk) => expect(keyring.wrote(junk)).toBe(false)));
    for (const junk of [
      `${keys.current}:`,
      `${keys.current}`,
      mark.slice(0, -2),
      `${mark}A`.replace(/..$/, ""),
    ]) {
      expect([junk, keyring.wrote(junk)]).toEqual([junk, false]);
    }
  });
});

test("hashes differ by purpose, and ids depend on every part", () => {
  expect(keyring.mac("token", "a")).not.toEqual(keyring.mac("folder", "a"));
  expect(keyring.uuidFrom("ab", "c")).not.toBe(keyring.uuidFrom("a", "bc"));
  expect(keyring.uuidFrom("ab", "c")).toBe(keyring.uuidFrom("ab", "c"));
  expect(keyring.uuidFrom("x")).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

describe("the key file", () => {
  const folderPath = mkdtempSync(join(tmpdir(), "inboxbell-keys-"));
  const path = join(folderPath, "keys.json");

  test("is written with mode 0600, reads back, and is never overwritten", () => {
    writeKeyFile(path, keys);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readKeyFile(path)).toEqual(keys);
    const before = readFileSync(path, "utf8");
    expect(codeOf(() => writeKeyFile(path, generateKeys(0)))).toBe("secret_unreadable");
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test("is whole or not there, and nothing lies beside it", () => {
    expect(readdirSync(folderPath)).toEqual(["keys.json"]);
    const other = join(folderPath, "other.json");
    // Left by a killed process of the same number.
    writeFileSync(`${other}.${process.pid}.new`, "half");
    writeKeyFile(other, keys);
    expect(readKeyFile(other)).toEqual(keys);
    expect(readdirSync(folderPath).sort()).toEqual(["keys.json", "other.json"]);
  });

  test("is not made in a directory that does not exist", () => {
    const nowhere = join(folderPath, "nowhere", "keys.json");
    expect(codeOf(() => writeKeyFile(nowhere, keys))).toBe("keys_path");
    expect(() => writeKeyFile(nowhere, keys)).toThrow(
      `The directory ${join(folderPath, "nowhere")} of the key file does not exist. Create it and make the service's user its owner.`,
    );
  });

  test("is refused when others may read it, when damaged and when missing", () => {
    chmodSync(path, 0o644);
    expect(codeOf(() => readKeyFile(path))).toBe("secret_exposed");
    chmodSync(path, 0o600);
    for (const damage of [
      "",
      "{}",
      "[]",
      "null",
      readFileSync(path, "utf8").replace("inboxbell-keys-1", "x"),
    ]) {
      const damaged = join(folderPath, "damaged.json");
      writeFileSync(damaged, damage, { mode: 0o600 });
      expect(codeOf(() => readKeyFile(damaged))).toBe("keys_invalid");
    }
    expect(codeOf(() => readKeyFile(join(folderPath, "missing.json")))).toBe("secret_unreadable");
    rmSync(folderPath, { recursive: true });
  });
});
