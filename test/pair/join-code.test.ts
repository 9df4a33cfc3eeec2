// The code of an invitation, as people copy it.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeInvitation, encodeInvitation, type Invitation } from "../../src/pair/invitation.ts";

const invitations = fc.record({
  host: fc.constantFrom("bell-a", "bell-a.corp.example", "10.0.0.5", "fd00::5", "x"),
  port: fc.integer({ min: 1, max: 65_535 }),
  fingerprint: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  secret: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
});

const one: Invitation = {
  host: "bell-a.corp.example",
  port: 7443,
  fingerprint: Buffer.alloc(16, 0xa5),
  secret: Buffer.alloc(16, 0x3c),
};

describe("a code", () => {
  test("says what was put into it", () => {
    fc.assert(
      fc.property(invitations, (each) => expect(decodeInvitation(encodeInvitation(each))).toEqual(each)),
    );
  });

  test("is groups of letters and digits that are not taken for one another, and no longer than it has to be", () => {
    const code = encodeInvitation(one);
    expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-)+[0-9A-HJKMNP-TV-Z]{1,5}$/);
    expect(encodeInvitation({ ...one, host: "bell-a" }).length).toBeLessThan(90);
  });

  test("may be typed in small letters, with spaces and over several lines, with O for 0 and l for 1", () => {
    const code = encodeInvitation(one);
    const lines = code.toLowerCase().replaceAll("-", " \n ").replaceAll("0", "o").replaceAll("1", "l");
    expect(decodeInvitation(`  ${lines}\r\n`)).toEqual(one);
  });

  test("that is cut off anywhere, from either end, says so", () => {
    const code = encodeInvitation(one);
    for (let length = 0; length < code.length; length += 1) {
      // A dash at the end is no part of it.
      if (code.slice(length) === "-") continue;
      expect([length, decodeInvitation(code.slice(0, length))]).toEqual([length, "damaged"]);
      if (length > 0) expect([length, decodeInvitation(code.slice(length))]).toEqual([length, "damaged"]);
    }
  });

  test("with one letter changed, or two groups swapped, says so", () => {
    const code = encodeInvitation(one);
    for (let at = 0; at < code.length; at += 1) {
      if (code[at] === "-") continue;
      const other = code[at] === "7" ? "8" : "7";
      expect([at, decodeInvitation(code.slice(0, at) + other + code.slice(at + 1))]).toEqual([at, "damaged"]);
    }
    const [a = "", b = "", ...rest] = code.split("-");
    expect(decodeInvitation([b, a, ...rest].join("-"))).toBe("damaged");
    expect(decodeInvitation("hello there")).toBe("damaged");
    expect(decodeInvitation("")).toBe("damaged");
  });
});
