import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { decodeJwt, importSPKI, jwtVerify } from "jose";
import { createProviderToken } from "../../src/delivery/apns/token.ts";

const MINUTE = 60_000;
const pair = generateKeyPairSync("ec", {
  namedCurve: "prime256v1",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
// On a half hour, so that a test can say how far it is past one.
const HALF_HOUR = Math.floor(1_760_000_000_000 / (30 * MINUTE)) * 30 * MINUTE;

/** A token with a wall clock and a monotonic clock that go together unless `set` is used. */
function fixture(sinceHalfHourMs = 0) {
  const time = { wall: HALF_HOUR + sinceHalfHourMs, monotonic: 5_000 };
  const make = () =>
    createProviderToken({
      privateKey: pair.privateKey,
      keyId: "ABC123DEFG",
      teamId: "DEF123GHIJ",
      now: () => time.wall,
      monotonicNow: () => time.monotonic,
    });
  return {
    make,
    token: make(),
    time,
    pass(ms: number) {
      time.wall += ms;
      time.monotonic += ms;
    },
  };
}

const issuedAt = (token: string) => (decodeJwt(token).iat ?? 0) * 1000;

describe("the provider token", () => {
  test("is an ES256 JWT that another library verifies", async () => {
    const { token } = fixture();
    const verified = await jwtVerify(token.current(), await importSPKI(pair.publicKey, "ES256"), {
      issuer: "DEF123GHIJ",
      currentDate: new Date(HALF_HOUR),
    });
    expect(verified.protectedHeader).toEqual({ alg: "ES256", kid: "ABC123DEFG" });
    expect(Object.keys(verified.payload).sort()).toEqual(["iat", "iss"]);
  });

  test("has the same issue time after each restart of a restart loop", () => {
    const { make, pass } = fixture();
    const times = new Set<number>();
    for (let restart = 0; restart < 29; restart += 1) {
      times.add(issuedAt(make().current()));
      pass(MINUTE);
    }
    expect([...times]).toEqual([HALF_HOUR]);
  });

  test("is never older than an hour and never renewed within 20 minutes, whenever the service starts", () => {
    for (let start = 0; start < 30; start += 1) {
      const { token, time, pass } = fixture(start * MINUTE);
      let last = token.current();
      let renewedAt = time.wall;
      for (let minute = 0; minute < 300; minute += 1) {
        pass(MINUTE);
        const current = token.current();
        expect(time.wall - issuedAt(current)).toBeLessThan(60 * MINUTE);
        if (current === last) continue;
        expect(time.wall - renewedAt).toBeGreaterThanOrEqual(20 * MINUTE);
        last = current;
        renewedAt = time.wall;
      }
    }
  });

  test("is minted once, at the exact time, when Apple calls it expired", () => {
    const { token, time, pass } = fixture(17 * MINUTE);
    const old = token.current();
    expect(token.expired(old)).toBe(true);
    const fresh = token.current();
    expect(issuedAt(fresh)).toBe(Math.floor(time.wall / 1000) * 1000);
    // Other rings were under way with the old one: they have the new one already.
    expect(token.expired(old)).toBe(true);
    expect(token.current()).toBe(fresh);
    // Expired again at once: the clocks are wrong, and another token would not help.
    expect(token.expired(fresh)).toBe(false);
    pass(21 * MINUTE);
    expect(token.expired(fresh)).toBe(true);
  });

  test("is not minted for 20 minutes once Apple saw too many, and falls back to the last accepted one", () => {
    const { token, pass } = fixture(5 * MINUTE);
    const first = token.current();
    token.accepted(first);
    token.expired(first);
    expect(token.current()).not.toBe(first);
    token.hold();
    expect(token.current()).toBe(first);
    pass(19 * MINUTE);
    expect(token.expired(first)).toBe(false);
    expect(token.current()).toBe(first);
    pass(40 * MINUTE);
    expect(token.current()).not.toBe(first);
  });

  test("is minted anew when the clock is set back, not when it jitters", () => {
    const { token, time } = fixture(10 * MINUTE);
    const first = token.current();
    time.wall -= 12 * MINUTE;
    expect(token.current()).toBe(first);
    time.wall -= 24 * 60 * MINUTE;
    const second = token.current();
    expect(issuedAt(second)).toBeLessThanOrEqual(time.wall);
    expect(time.wall - issuedAt(second)).toBeLessThan(30 * MINUTE);
  });
});
