// Changes bytes as a hostile or broken sender would: single bytes, lost and doubled pieces, words of the format in the
// wrong place, halves of two inputs. The same seed makes the same changes.

/** Gives a whole number from 0 to `below` - 1. */
export type Pick = (below: number) => number;

/** A repeatable source of numbers (mulberry32): quick, and good enough to choose places in a text. */
export function seededPick(seed: string): Pick {
  let state = 0x9e3779b9;
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 0x85ebca6b) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

// Characters that mean something in XML, in HTTP or in UTF-8.
const BYTES = Buffer.from("<>&\"'/!?=:;,[]-# \t\r\n0159+aAzZ%\0\x7f\x80\xc0\xe2\xed\xf0\xff", "latin1");
const NUMBERS =
  "0 00 1 -1 +1 9 10 255 256 1024 65536 1048577 2147483647 2147483648 4294967296 1e3 0x10 7,7".split(" ");
const MOST_REPEATS = 40;
const MOST_CHANGES = 5;

/**
 * Makes one changed input.
 * @param inputs what may be changed and mixed, at least one
 * @param words pieces that the format gives a meaning
 * @param mostBytes longer results are cut
 */
export function mutate(
  inputs: readonly Buffer[],
  words: readonly string[],
  mostBytes: number,
  pick: Pick,
): Buffer {
  const any = (): Buffer => inputs[pick(inputs.length)] ?? Buffer.alloc(0);
  let bytes = any();
  for (let changes = 1 + pick(MOST_CHANGES); changes > 0; changes -= 1)
    bytes = change(bytes, any, words, pick);
  return bytes.subarray(0, mostBytes);
}

function change(bytes: Buffer, any: () => Buffer, words: readonly string[], pick: Pick): Buffer {
  const at = pick(bytes.length + 1);
  // Mostly short pieces: a long one leaves little of the input.
  const end = Math.min(bytes.length, at + 1 + (pick(4) === 0 ? pick(bytes.length + 1) : pick(24)));
  const replace = (to: number, ...pieces: readonly Buffer[]) =>
    Buffer.concat([bytes.subarray(0, at), ...pieces, bytes.subarray(to)]);
  const piece = bytes.subarray(at, end);
  switch (pick(10)) {
    case 0:
      return replace(Math.min(bytes.length, at + 1), Buffer.of(pick(256)));
    case 1:
      return replace(at + pick(2), BYTES.subarray(pick(BYTES.length)).subarray(0, 1));
    case 2:
      return replace(end);
    case 3:
      return replace(at, piece);
    case 4:
      return replace(at, ...Array.from({ length: pick(MOST_REPEATS) }, () => piece));
    case 5:
      return replace(pick(2) === 0 ? at : end, Buffer.from(words[pick(words.length)] ?? "", "latin1"));
    case 6:
      return replaceNumber(bytes, at, NUMBERS[pick(NUMBERS.length)] ?? "0");
    case 7: {
      const other = any();
      return replace(bytes.length, other.subarray(pick(other.length + 1)));
    }
    case 8: {
      const other = any();
      const from = pick(other.length + 1);
      return replace(at, other.subarray(from, from + 1 + pick(200)));
    }
    default: {
      // Moved to another place.
      const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
      const to = pick(rest.length + 1);
      return Buffer.concat([rest.subarray(0, to), piece, rest.subarray(to)]);
    }
  }
}

/** The input with a short piece of it repeated until it is about as long as that: what grows faster than its size shows. */
export function swell(bytes: Buffer, mostBytes: number, pick: Pick): Buffer {
  const at = pick(bytes.length);
  const piece = bytes.subarray(at, at + 1 + pick(64));
  if (piece.length === 0) return bytes;
  const times = Math.floor((mostBytes - bytes.length) / piece.length);
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(piece.toString("latin1").repeat(times), "latin1"),
    bytes.subarray(at),
  ]);
}

/** Puts another number in the place of the next one. */
function replaceNumber(bytes: Buffer, from: number, number: string): Buffer {
  const text = bytes.toString("latin1");
  const digits = /\d+/g;
  digits.lastIndex = from;
  const found = digits.exec(text);
  if (found === null) return bytes;
  return Buffer.from(text.slice(0, found.index) + number + text.slice(digits.lastIndex), "latin1");
}
