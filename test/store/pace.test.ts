import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ALLOWANCE, allowedAt, paceAfter, UNPACED } from "../../src/store/pace.ts";
import { badge, begin, change, id, openTestStore, register, settlement } from "./helpers.ts";

const queue = { app: "com.example.mail", platform: "apns" } as const;

describe("a phone's allowance", () => {
  test("lets a burst through at once and then one ring in each interval, whatever the arrivals", () => {
    const kinds = fc.constantFrom(
      ["apns", "shown"] as const,
      ["apns", "wake"] as const,
      ["fcm", "shown"] as const,
      ["fcm", "wake"] as const,
    );
    const gaps = fc.array(fc.integer({ min: 0, max: 2_000_000 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(kinds, gaps, ([platform, kind], waits) => {
        const { burst, intervalMs } = ALLOWANCE[platform][kind];
        let now = 1_760_000_000_000;
        let pace = UNPACED;
        const rung: number[] = [];
        for (const wait of waits) {
          now = Math.max(now + wait, allowedAt(pace, platform, kind, now + wait));
          pace = paceAfter(pace, platform, kind, now);
          rung.push(now);
        }
        rung.forEach((from, at) => {
          const until = rung[at + burst];
          if (until !== undefined) expect(until - from).toBeGreaterThanOrEqual(intervalMs);
        });
      }),
    );
  });

  test("keeps to Apple's two or three background pushes an hour, and to Google's limits for a device", () => {
    const hourly = ({ burst, intervalMs }: { burst: number; intervalMs: number }) =>
      burst + 3_600_000 / intervalMs;
    expect(3_600_000 / ALLOWANCE.apns.wake.intervalMs).toBe(3);
    expect(ALLOWANCE.apns.wake.burst).toBe(3);
    expect(hourly(ALLOWANCE.fcm.shown) + hourly(ALLOWANCE.fcm.wake)).toBeLessThan(5_000);
    expect(ALLOWANCE.fcm.shown.burst + ALLOWANCE.fcm.wake.burst + 8).toBeLessThan(240);
  });

  test("is not used up for hours when the clock is set back", () => {
    const day = 24 * 3_600_000;
    let pace = UNPACED;
    for (let rings = 0; rings < 6; rings += 1) pace = paceAfter(pace, "apns", "shown", day);
    expect(allowedAt(pace, "apns", "shown", 0)).toBe(0);
    expect(paceAfter(pace, "apns", "shown", 0).shown).toBe(ALLOWANCE.apns.shown.intervalMs);
  });
});

describe("a phone", () => {
  /** Rings whatever may go out now, and says with which reason and badge. */
  async function ringNow(f: Awaited<ReturnType<typeof openTestStore>>) {
    const seen: { reason: string; badge: number | null }[] = [];
    for (;;) {
      const ring = await begin(f.store, 1);
      if (ring === undefined) return seen;
      seen.push({ reason: ring.reason, badge: ring.badge });
      await f.store.settle([settlement(ring, "done", f.time.now)]);
    }
  }

  test("whose mailbox gets a thousand mails in a minute is rung a few times, at last with the right badge", async () => {
    const f = await openTestStore();
    await register(f.store, 1, "aa11", f.time.now);
    const rung: { reason: string; badge: number | null }[] = [];
    for (let mails = 1; mails <= 990; mails += 1) {
      await badge(f.store, 1, mails, f.time.now);
      rung.push(...(await ringNow(f)));
      f.time.now += 60;
    }
    expect(rung[0]).toEqual({ reason: "mail", badge: 1 });
    expect(rung.length).toBeLessThanOrEqual(12);
    const next = await f.store.nextDueAt(queue, f.time.now);
    expect(next).not.toBeNull();
    expect(next! - f.time.now).toBeLessThanOrEqual(10_000);
    // The allowance is kept over a restart.
    await f.reopen();
    expect(await begin(f.store, 1)).toBeUndefined();
    f.time.now = next!;
    expect(await ringNow(f)).toEqual([{ reason: "mail", badge: 990 }]);
    expect(await f.store.nextDueAt(queue, 0)).toBeNull();
    await f.close();
  });

  test("gets what changed elsewhere as one ring after a short wait, and new mail at once with it", async () => {
    const f = await openTestStore({ mergeChangesMs: 2_000 });
    await register(f.store, 1, "aa11", f.time.now);
    const readElsewhere = (count: number) =>
      change(f.store, id(1), { badge: { count, eventAt: f.time.now }, reasons: [{ reason: "changed" }] });
    const first = f.time.now;
    for (const count of [9, 8, 7]) {
      await readElsewhere(count);
      expect(await ringNow(f)).toEqual([]);
      expect(f.due.at(-1)).toMatchObject({ registrationId: id(1), at: first + 2_000 });
      f.time.now += 500;
    }
    f.time.now = first + 2_000;
    expect(await ringNow(f)).toEqual([{ reason: "changed", badge: 7 }]);
    await readElsewhere(6);
    await badge(f.store, 1, 7, f.time.now);
    expect(f.due.at(-1)).toMatchObject({ at: f.time.now });
    expect(await ringNow(f)).toEqual([{ reason: "mail", badge: 7 }]);
    f.time.now += 2_000;
    expect(await ringNow(f)).toEqual([]);
    await f.close();
  });

  test("that waits for its next try is not rung earlier because news came", async () => {
    const f = await openTestStore();
    await register(f.store, 1, "aa11", f.time.now);
    await change(f.store, id(1), {
      badge: { count: 3, eventAt: f.time.now },
      reasons: [{ reason: "changed" }],
    });
    const ring = await begin(f.store, 1);
    await f.store.settle([settlement(ring!, "again", f.time.now, { notBefore: f.time.now + 60_000 })]);
    await badge(f.store, 1, 4, f.time.now);
    expect(await ringNow(f)).toEqual([]);
    f.time.now += 60_000;
    expect(await ringNow(f)).toEqual([{ reason: "mail", badge: 4 }]);
    await f.close();
  });

  test("waits as long as it was meant to when the clock is set, in either direction and also over a restart", async () => {
    const f = await openTestStore();
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 3, f.time.now);
    const ring = await begin(f.store, 1);
    await f.store.settle([settlement(ring!, "again", f.time.now, { notBefore: f.time.now + 60_000 })]);
    for (const jump of [-7_200_000, 86_400_000]) {
      f.time.set(jump);
      await f.store.clockJumped();
      expect(await f.store.nextDueAt(queue, 0)).toBe(f.time.now + 60_000);
    }
    f.time.set(-90_000_000);
    await f.reopen();
    expect(await f.store.nextDueAt(queue, 0)).toBeLessThanOrEqual(f.time.now + 60_000);
    await f.close();
  });

  test("whose news came after the clock was set and before anybody noticed waits no longer for it", async () => {
    const f = await openTestStore({ mergeChangesMs: 2_000 });
    for (const jump of [197_000, -7_200_000]) {
      await register(f.store, 1, "aa11", f.time.now);
      await register(f.store, 2, "bb22", f.time.now);
      await f.store.settle([]);
      f.time.set(jump);
      await change(f.store, id(1), { reasons: [{ reason: "changed" }] });
      expect(f.due.at(-1)).toMatchObject({ at: f.time.now + 2_000 });
      await f.store.clockJumped();
      expect(await f.store.nextDueAt(queue, 0)).toBe(f.time.now + 2_000);
      f.time.now += 2_000;
      expect(await ringNow(f)).toEqual([{ reason: "changed", badge: null }]);
    }
    await f.close();
  });

  test("whose ring ended before the clock was set waits for its next try no longer than the rules say", async () => {
    const f = await openTestStore();
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 3, f.time.now);
    const ended = settlement((await begin(f.store, 1))!, "again", f.time.now, {
      notBefore: f.time.now + 60_000,
    });
    f.time.set(-7_200_000);
    await f.store.settle([ended]);
    expect(await f.store.nextDueAt(queue, 0)).toBe(f.time.now + 60_000);
    await f.close();
  });

  test("waits as before when a commit fails in which a set clock was noticed", async () => {
    const f = await openTestStore();
    await register(f.store, 1, "aa11", f.time.now);
    await badge(f.store, 1, 3, f.time.now);
    const ring = await begin(f.store, 1);
    await f.store.settle([settlement(ring!, "again", f.time.now, { notBefore: f.time.now + 60_000 })]);
    f.time.set(-7_200_000);
    const broken = f.store.submit({
      registrationId: id(1),
      decide: () => {
        throw new Error("broken");
      },
    });
    expect(broken).rejects.toThrow("broken");
    await f.store.clockJumped();
    expect(await f.store.nextDueAt(queue, 0)).toBe(f.time.now + 60_000);
    await f.close();
  });
});

test("a ring that is due goes out although the clock moves on while it is read", async () => {
  let ticking = 1_760_000_000_000;
  const f = await openTestStore({
    now: () => {
      ticking += 1;
      return ticking;
    },
  });
  await register(f.store, 1, "aa11", ticking);
  await badge(f.store, 1, 3, ticking);
  expect(await begin(f.store, 1)).toMatchObject({ badge: 3 });
  await f.close();
});
