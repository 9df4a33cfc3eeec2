// The replicator's decisions by themselves: whether answers wait, where sending begins, what is not sent back, and how
// far the clocks are apart.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isReplaced, RACE_MS } from "../../src/pair/choice.ts";
import { createDurabilityBook } from "../../src/pair/durability.ts";
import { createEchoes } from "../../src/pair/echoes.ts";
import { resume } from "../../src/pair/resume.ts";
import { createSkewMeter } from "../../src/pair/skew.ts";

describe("waiting for the peer", () => {
  function book() {
    const changes: boolean[] = [];
    const made = createDurabilityBook(
      { aloneAfterMs: 2_000, resumeAfterMs: 10_000, changed: (isWaiting) => changes.push(isWaiting) },
      0,
    );
    made.linkUp(0, 0);
    return { made, changes };
  }
  /** What a promise has resolved to by now. */
  async function now(promise: Promise<string>): Promise<string> {
    return Promise.race([promise, new Promise<string>((resolve) => setTimeout(() => resolve("waiting"), 1))]);
  }

  test("an answer waits until the peer has what it rests on", async () => {
    const { made } = book();
    made.committed(5, 100);
    const [first, second] = [made.durableOnBoth(3, 100), made.durableOnBoth(5, 100)];
    expect(await now(first)).toBe("waiting");
    made.acknowledged(3, 110);
    expect([await now(first), await now(second)]).toEqual(["pair", "waiting"]);
    made.acknowledged(5, 120);
    expect(await now(second)).toBe("pair");
    expect(await now(made.durableOnBoth(5, 130))).toBe("pair");
  });

  test("a commit that is not acknowledged for `alone_after` ends the waiting, whoever waits", async () => {
    const { made, changes } = book();
    made.committed(1, 1_000);
    made.committed(2, 2_900);
    const late = made.durableOnBoth(2, 2_900);
    made.tick(3_000);
    expect(await now(late)).toBe("waiting");
    made.tick(3_001);
    expect(await now(late)).toBe("node");
    expect(await now(made.durableOnBoth(2, 3_002))).toBe("node");
    expect(changes).toEqual([false]);
    expect(made.isProtected).toBe(false);
  });

  test("it ends at once when the peer's process is gone, and when the link is down for `alone_after`", async () => {
    const gone = book();
    gone.made.committed(1, 10);
    const answer = gone.made.durableOnBoth(1, 10);
    gone.made.gone();
    expect(await now(answer)).toBe("node");

    const down = book();
    down.made.linkDown(1_000);
    down.made.tick(3_000);
    expect(down.made.isWaiting).toBe(true);
    down.made.tick(3_001);
    expect(down.made.isWaiting).toBe(false);
  });

  test("it is resumed after ten seconds of prompt acknowledgement, and not before", () => {
    const { made, changes } = book();
    made.gone();
    made.linkDown(0);
    made.committed(100, 1_000);
    made.linkUp(0, 20_000);
    made.tick(20_100);
    // Catching up: its oldest commit is old.
    made.acknowledged(50, 21_000);
    made.tick(29_000);
    expect(made.isWaiting).toBe(false);
    made.acknowledged(100, 30_000);
    made.tick(39_900);
    expect(made.isWaiting).toBe(false);
    // One late acknowledgement, and the ten seconds begin anew.
    made.committed(101, 39_900);
    made.tick(40_500);
    made.acknowledged(101, 40_600);
    made.tick(50_500);
    expect(made.isWaiting).toBe(false);
    made.tick(50_600);
    expect(made.isWaiting).toBe(true);
    expect(changes).toEqual([false, true]);
    expect(made.isProtected).toBe(true);
  });

  test("a node is protected only once the peer also has what was answered without it", () => {
    const { made } = book();
    made.committed(7, 0);
    made.acknowledged(7, 1);
    expect(made.isProtected).toBe(true);
    // Nobody was answered for it yet.
    made.committed(8, 10);
    expect(made.isProtected).toBe(true);
    made.linkDown(20);
    expect(made.isProtected).toBe(false);
    made.linkUp(7, 30);
    expect(made.isProtected).toBe(false);
    made.acknowledged(8, 40);
    expect(made.isProtected).toBe(true);
  });

  test("a peer that comes back with less than it had is waited for again, from there", async () => {
    const { made } = book();
    made.committed(9, 0);
    made.acknowledged(9, 1);
    made.linkDown(2);
    made.linkUp(4, 3);
    expect(made.isProtected).toBe(false);
    const answer = made.durableOnBoth(9, 4);
    expect(await now(answer)).toBe("waiting");
    made.acknowledged(9, 5);
    expect(await now(answer)).toBe("pair");
  });

  test("whatever happens nobody waits longer than `alone_after` and a tick", async () => {
    const step = fc.record({
      what: fc.constantFrom("commit", "ack", "up", "down", "gone", "ask"),
      ms: fc.integer({ min: 0, max: 1_500 }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { made } = book();
        let [at, seq] = [0, 0];
        const open: { readonly until: number; isDone: boolean }[] = [];
        for (const { what, ms, part } of steps) {
          for (const end = at + ms; at < end; at = Math.min(end, at + 100)) made.tick(at);
          await Promise.resolve();
          if (what === "commit") {
            seq += 1 + Math.floor(part * 5);
            made.committed(seq, at);
          }
          if (what === "ack") made.acknowledged(Math.floor(part * seq), at);
          if (what === "up") made.linkUp(Math.floor(part * seq), at);
          if (what === "down") made.linkDown(at);
          if (what === "gone") made.gone();
          if (what === "ask") {
            const one = { until: at + 2_200, isDone: false };
            open.push(one);
            void made.durableOnBoth(seq, at).then(() => {
              one.isDone = true;
            });
          }
          await Promise.resolve();
          await Promise.resolve();
          // Only a restored peer, which takes back what it had, starts the time anew.
          if (what === "up") for (const one of open) Object.assign(one, { until: at + 2_200 });
          for (const one of open) if (at > one.until) expect(one.isDone).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("where sending begins", () => {
  const position = { feed: "mine", seq: 50, commit: "c50" };
  const facts = (theirs: Partial<Parameters<typeof resume>[0]["theirs"]>, node = "bell-b") =>
    resume({
      node,
      peerName: node === "bell-b" ? "bell-a" : "bell-b",
      position,
      placeOf: ({ seq, commit }) =>
        commit === "c50" || commit === "c20" ? "known" : seq < 20 ? "left_behind" : "unknown",
      theirs: { position: { feed: "theirs", seq: 9, commit: "t9" }, cursor: null, feeds: [], ...theirs },
    });
  const cursor = (feed: string, seq: number, commit: string) => ({
    cursor: { feed, seq, commit },
    feeds: [feed],
  });

  test("after what the peer has", () => {
    expect(facts(cursor("mine", 20, "c20"))).toEqual({ kind: "from", seq: 20 });
  });
  test("at the beginning for a peer that has nothing, or that knew a database before this one", () => {
    expect(facts({})).toEqual({ kind: "from", seq: 0 });
    expect(facts(cursor("wiped", 900, "w"))).toEqual({ kind: "from", seq: 0 });
    expect(facts({ feeds: ["mine"] })).toEqual({ kind: "from", seq: 0 });
  });
  test("after what a restored peer has, which this node has long forgotten", () => {
    expect(facts(cursor("mine", 11, "c11"))).toEqual({ kind: "from", seq: 11 });
  });
  test("under a new feed where the peer knows what this database does not", () => {
    expect(facts(cursor("mine", 51, "c50")).kind).toBe("new_feed");
    expect(facts(cursor("mine", 20, "of-a-lost-future")).kind).toBe("new_feed");
    expect(facts({ ...cursor("later", 3, "l"), feeds: ["mine", "later"] }).kind).toBe("new_feed");
  });
  test("under a new feed, on one of the two, where both are copies of one database", () => {
    const same = { position: { feed: "mine", seq: 9, commit: "x" } };
    expect([facts(same, "bell-a").kind, facts(same, "bell-b").kind]).toEqual(["wait", "new_feed"]);
  });
});

test("of two connections both nodes keep the same one", () => {
  const at = fc.integer({ min: 0, max: RACE_MS - 1 });
  fc.assert(
    fc.property(at, at, fc.boolean(), fc.boolean(), (first, second, aSeesItsOwnFirst, bSeesItsOwnFirst) => {
      const kept = (ownFirst: boolean, own: string, other: string, session: string) => {
        const [present, newcomer] = ownFirst ? [own, other] : [other, own];
        const isTaken = isReplaced(
          { dialledBy: present, session, openedAt: first },
          { dialledBy: newcomer, session, openedAt: first + second },
        );
        return isTaken ? newcomer : present;
      };
      expect(kept(aSeesItsOwnFirst, "bell-a", "bell-b", "of-b")).toBe(
        kept(bSeesItsOwnFirst, "bell-b", "bell-a", "of-a"),
      );
    }),
  );
});

test("what is not sent back is exactly what came from the peer", () => {
  const steps = fc.array(fc.record({ isEcho: fc.boolean(), length: fc.integer({ min: 1, max: 4 }) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(steps, fc.nat(), fc.nat(), (runs, someAfter, someUpTo) => {
      const echoes = createEchoes();
      const model = new Set<number>();
      let seq = 0;
      for (const { isEcho, length } of runs) {
        if (isEcho) echoes.add([{ first: seq + 1, last: seq + length }]);
        for (let each = 1; each <= length; each += 1) if (isEcho) model.add(seq + each);
        seq += length;
      }
      const after = someAfter % (seq + 1);
      const upTo = after + (someUpTo % (seq - after + 1));
      for (let each = 0; each <= seq + 1; each += 1) expect(echoes.has(each)).toBe(model.has(each));
      let skipped = after;
      while (model.has(skipped + 1)) skipped += 1;
      expect(echoes.skip(after)).toBe(skipped);
      expect(echoes.count(after, upTo)).toBe(
        [...model].filter((each) => each > after && each <= upTo).length,
      );
      echoes.drop(after);
      for (let each = after + 1; each <= seq; each += 1) expect(echoes.has(each)).toBe(model.has(each));
    }),
  );
});

test("the skew of two clocks is found within half of the quickest way there and back", () => {
  const trips = fc.array(
    fc.record({
      there: fc.integer({ min: 0, max: 400 }),
      back: fc.integer({ min: 0, max: 400 }),
      held: fc.nat(250),
    }),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(trips, fc.integer({ min: -1e7, max: 1e7 }), (all, skewMs) => {
      const meter = createSkewMeter();
      let at = 1_000;
      for (const { there, back, held } of all) {
        const peerSentAt = at + there + held;
        const heardMs = peerSentAt + back;
        meter.note({ sentMs: at, heardMs, heldMs: held, peerAt: peerSentAt + skewMs, hereAt: heardMs });
        at += 250;
      }
      const quickest = Math.min(...all.slice(-16).map(({ there, back }) => there + back));
      expect(Math.abs((meter.skewMs ?? Number.NaN) - skewMs)).toBeLessThanOrEqual(quickest / 2 + 1);
    }),
  );
});
