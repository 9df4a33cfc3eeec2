// The encryption of a backup: what was sealed comes out whole with its passphrase, and not at all otherwise.
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createSealer, HEADER_BYTES, openSealed } from "../../src/backup/envelope.ts";

const PASSPHRASE = "correct horse battery";
const CHUNK = 65_536;
// A guess for a thousandth of the real price.
const CHEAP = { logN: 10, r: 8, p: 1 };

function seal(plain: Buffer, pieces = 10_000, passphrase = PASSPHRASE): Buffer {
  const out: Buffer[] = [];
  const sealer = createSealer(passphrase, randomBytes, (bytes) => out.push(bytes), CHEAP);
  for (let at = 0; at < plain.length; at += pieces) sealer.write(plain.subarray(at, at + pieces));
  sealer.end();
  return Buffer.concat(out);
}

function open(sealed: Buffer, passphrase = PASSPHRASE): Buffer {
  let at = 0;
  const read = (bytes: number) => {
    const part = sealed.subarray(at, at + bytes);
    at += part.length;
    return part;
  };
  return Buffer.concat([...openSealed(read, passphrase, "x.backup")]);
}

const codeOf = (work: () => unknown) => {
  try {
    work();
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
};

describe("a sealed stream", () => {
  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17])(
    "of %d bytes comes out whole",
    (n) => {
      const plain = randomBytes(n);
      for (const pieces of [7_001, CHUNK, 10 * CHUNK]) {
        expect(open(seal(plain, pieces)).equals(plain)).toBe(true);
      }
    },
  );

  test("never looks the same twice, and shows nothing of what is in it", () => {
    const plain = Buffer.from("SQLite format 3 ".repeat(100));
    const [a, b] = [seal(plain), seal(plain)];
    expect(a.subarray(HEADER_BYTES).equals(b.subarray(HEADER_BYTES))).toBe(false);
    expect(a.includes("SQLite")).toBe(false);
  });

  test("does not open with another passphrase, and opens with the same one however it was composed", () => {
    const sealed = seal(Buffer.from("x"), 1, "Schl\u00fcssel\u00fcbergabe");
    expect(codeOf(() => open(sealed, "Schlusselubergabe"))).toBe("backup_passphrase");
    expect(open(sealed, "Schlu\u0308sselu\u0308bergabe").toString()).toBe("x");
  });

  test("that was cut off anywhere, at a chunk's end too, is refused", () => {
    const sealed = seal(randomBytes(3 * CHUNK));
    const ends = [1, 2].map((chunks) => HEADER_BYTES + chunks * (CHUNK + 16));
    for (const end of [0, 10, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 5, ...ends, sealed.length - 1]) {
      expect([end, codeOf(() => open(sealed.subarray(0, end)))]).toEqual([end, "backup_invalid"]);
    }
  });

  test("of which a single bit was changed is refused, wherever it is", () => {
    const sealed = seal(randomBytes(CHUNK + 100));
    const places = [0, 16, 17, 20, 36, 43, 44, 75, HEADER_BYTES, HEADER_BYTES + CHUNK + 3, sealed.length - 1];
    for (const at of places) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect([at, codeOf(() => open(changed))]).toEqual([at, expect.stringMatching(/^backup_/)]);
    }
  });

  test("whose chunks were swapped, repeated or added to is refused", () => {
    const sealed = seal(randomBytes(2 * CHUNK + 5));
    const header = sealed.subarray(0, HEADER_BYTES);
    const chunk = (n: number) =>
      sealed.subarray(HEADER_BYTES + n * (CHUNK + 16), HEADER_BYTES + (n + 1) * (CHUNK + 16));
    const [a, b, c] = [chunk(0), chunk(1), chunk(2)];
    for (const chunks of [[b, a, c], [a, a, b, c], [a, c], [a, b, c, c], [c]]) {
      expect(codeOf(() => open(Buffer.concat([header, ...chunks])))).toBe("backup_invalid");
    }
  });

  test("that asks for more memory than a machine has is refused before it gets any", () => {
    const sealed = Buffer.from(seal(Buffer.from("x")));
    sealed[17] = 40;
    expect(codeOf(() => open(sealed))).toBe("backup_invalid");
  });

  test("is not made with a passphrase that can be found by trying", () => {
    expect(codeOf(() => seal(Buffer.from("x"), 1, "hunter2"))).toBe("passphrase_unfit");
  });
});
