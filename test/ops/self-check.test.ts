import { afterEach, describe, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import {
  createSelfCheck,
  type DispatcherSigns,
  judgeSigns,
  LIMITS,
  type Signs,
} from "../../src/ops/self-check.ts";
import { openTestStore } from "../store/helpers.ts";

const WELL: Signs = {
  loopLagMs: 3,
  commit: { kind: "done" },
  dispatcher: { oldestFlightMs: 40, overdueMs: 0 },
};
const failed = (signs: Partial<Signs>) =>
  judgeSigns({ ...WELL, ...signs })
    .parts.filter(({ ok }) => !ok)
    .map(({ name }) => name);

describe("the judgement", () => {
  test("finds a node well that works", () => {
    expect(judgeSigns(WELL)).toMatchObject({ ok: true });
  });

  test("finds an event loop that is far behind", () => {
    expect(failed({ loopLagMs: LIMITS.loopLagMs })).toEqual([]);
    expect(failed({ loopLagMs: LIMITS.loopLagMs + 1 })).toEqual(["event loop"]);
  });

  test("finds a commit that does not come back, and commits that fail for minutes", () => {
    expect(failed({ commit: { kind: "pending", forMs: LIMITS.commitPendingMs } })).toEqual([]);
    expect(failed({ commit: { kind: "pending", forMs: LIMITS.commitPendingMs + 1 } })).toEqual(["commit"]);
    const failing = { kind: "failing", diskFull: false } as const;
    expect(failed({ commit: { ...failing, forMs: LIMITS.commitFailingMs } })).toEqual([]);
    expect(failed({ commit: { ...failing, forMs: LIMITS.commitFailingMs + 1 } })).toEqual(["commit"]);
  });

  test("asks for no restart because of a full disk: it would stay full", () => {
    expect(failed({ commit: { kind: "failing", forMs: 86_400_000, diskFull: true } })).toEqual([]);
  });

  test("finds a ring that is under way far beyond every deadline", () => {
    const dispatcher: DispatcherSigns = { oldestFlightMs: LIMITS.flightMs + 1, overdueMs: 0 };
    expect(failed({ dispatcher })).toEqual(["dispatcher"]);
  });

  test("finds a dispatcher that does not look for what is due", () => {
    const dispatcher: DispatcherSigns = { oldestFlightMs: 0, overdueMs: LIMITS.overdueMs + 1 };
    expect(failed({ dispatcher })).toEqual(["dispatcher"]);
    expect(judgeSigns({ ...WELL, dispatcher }).parts.find(({ ok }) => !ok)?.detail).toContain("120.0 s");
  });
});

describe("the self-check", () => {
  const endings: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  function checkOver(probe: () => Promise<unknown>, clock = { now: 0 }) {
    const check = createSelfCheck({
      probe,
      loopLagMs: () => WELL.loopLagMs,
      dispatcher: () => WELL.dispatcher,
      monotonicNow: () => clock.now,
    });
    return { check, clock };
  }

  test("makes one real commit each time", async () => {
    let commits = 0;
    const opened = await openTestStore({ events: { committed: () => (commits += 1) } });
    endings.push(opened.close);
    const { check } = checkOver(() => opened.store.probe());
    expect((await check.check(5_000)).ok).toBe(true);
    expect((await check.check(5_000)).ok).toBe(true);
    expect(commits).toBe(2);
  });

  test("does not wait longer than told for a commit that hangs, begins no second one, and says for how long", async () => {
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    const { check, clock } = checkOver(() => {
      begun += 1;
      return gate.promise;
    });
    expect((await check.check(5)).ok).toBe(true);
    clock.now = LIMITS.commitPendingMs + 1;
    const late = await check.check(5);
    expect(late.ok).toBe(false);
    expect(late.parts.find(({ name }) => name === "commit")?.detail).toContain("20.0 s");
    expect(begun).toBe(1);
    gate.resolve();
    expect((await check.check(1_000)).ok).toBe(true);
  });

  test("counts from the first of several failures, and forgets them with the first success", async () => {
    let works = false;
    const { check, clock } = checkOver(() =>
      works ? Promise.resolve() : Promise.reject(new BellError("store_unavailable", "I/O")),
    );
    expect((await check.check(1_000)).ok).toBe(true);
    clock.now = LIMITS.commitFailingMs + 1;
    expect((await check.check(1_000)).ok).toBe(false);
    works = true;
    expect((await check.check(1_000)).ok).toBe(true);
    works = false;
    expect((await check.check(1_000)).ok).toBe(true);
  });

  test("knows a full disk by SQLite's word for it", async () => {
    const full = Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    const { check, clock } = checkOver(() =>
      Promise.reject(new BellError("store_unavailable", "cannot be written", full)),
    );
    await check.check(1_000);
    clock.now = 86_400_000;
    const { ok, parts } = await check.check(1_000);
    expect(ok).toBe(true);
    expect(parts.find(({ name }) => name === "commit")?.detail).toContain("disk is full");
  });
});
