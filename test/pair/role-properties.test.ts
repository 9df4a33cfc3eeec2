// What holds of one node's role whatever happens to it, in whatever order, however senseless.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { start, step } from "../../src/pair/role.ts";
import { readBeat } from "../../src/pair/role-beat.ts";
import { beatOf, outranks, standingOf, TICK_EVERY_MS } from "../../src/pair/role-rules.ts";
import type { Beat, RoleInput, RoleState, Seeding } from "../../src/pair/types.ts";

const TAKEOVER_MS = 3000;
const SEEDINGS: readonly Seeding[] = ["unseeded", "reseeding", "seeded"];

const beats: fc.Arbitrary<Beat> = fc.record({
  epoch: fc.nat(9),
  role: fc.constantFrom("active", "passive"),
  why: fc.constantFrom("elected", "started", "switched", "unknown"),
  forMs: fc.nat(9000),
  seeding: fc.constantFrom(...SEEDINGS),
  ready: fc.boolean(),
  yielding: fc.constantFrom(null, null, "switched", "cannot_commit", "reseeding"),
  wants: fc.boolean(),
  mark: fc.nat(4),
  heardMark: fc.nat(4),
});

const inputs: fc.Arbitrary<RoleInput> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<RoleInput>({ kind: "tick" }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("heard"), beat: fc.option(beats) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("opened"),
      peer: fc.record({
        name: fc.constantFrom("bell-a", "bell-b"),
        feed: fc.constant("feed-b"),
        beat: beats,
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("closed"), refused: fc.boolean() }) },
  fc.record({ kind: fc.constant("health"), cannotCommitSince: fc.option(fc.nat(20_000)) }),
  fc.record({ kind: fc.constant("seeding"), seeding: fc.constantFrom(...SEEDINGS) }),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("persisted"), epoch: fc.nat(12), ok: fc.boolean() }),
  },
  fc.record({ kind: fc.constant("drained"), since: fc.nat(20_000) }),
  fc.record({
    kind: fc.constant("wish"),
    wish: fc.constantFrom("switch_here", "switch_away", "first", "forget"),
  }),
);

const lives = fc.record({
  paired: fc.boolean(),
  seeding: fc.constantFrom(...SEEDINGS),
  epoch: fc.nat(5),
  happened: fc.array(fc.tuple(fc.constantFrom(0, 1, 100, 250, 250, 1000, 4000), inputs), { maxLength: 60 }),
});

function freeze(state: RoleState): RoleState {
  for (const value of Object.values(state)) if (value !== null) Object.freeze(value);
  return Object.freeze(state);
}

test("whatever happens, epochs only grow, acts rest on durable ones, and who may not answer does not", () => {
  fc.assert(
    fc.property(lives, ({ paired, seeding, epoch, happened }) => {
      const facts = { name: "bell-a", feed: "feed-a", paired, epoch, seeding, takeoverAfterMs: TAKEOVER_MS };
      let now = 0;
      let state = freeze(start(facts, now).state);
      let durable = epoch;
      for (const [ms, input] of happened) {
        now += ms;
        const before = state;
        const { state: after, outputs } = step(before, input, now);
        state = freeze(after);
        if (input.kind === "persisted" && input.ok) durable = Math.max(durable, input.epoch);
        const is = standingOf(state);
        expect(state.epoch).toBeGreaterThanOrEqual(before.epoch);
        expect(state.epoch).toBeLessThanOrEqual(durable);
        for (const output of outputs) {
          if (output.kind === "persist") expect(output.epoch).toBeGreaterThan(state.epoch);
          if (output.kind === "beat") expect(state.link).toBe("open");
        }
        const roles = outputs.filter(({ kind }) => kind === "role");
        expect(roles.length % 2 === 1).toBe(before.role !== state.role);
        if (state.paired && state.seeding === "unseeded")
          expect(is).toMatchObject({ serving: false, primary: false });
        if (state.paired && now - before.now >= TAKEOVER_MS && input.kind !== "heard")
          expect(is.serving).toBe(false);
        if (is.rings) expect(is).toMatchObject({ role: "active", serving: true, primary: true });
        expect(is.primary && !is.serving).toBe(false);
        // One input is one step: the same again changes no role.
        expect(step(before, input, now)).toEqual({ state, outputs });
      }
    }),
    { numRuns: 2000 },
  );
});

test("whatever happened, a node that has its rows and a disk is active soon after it is left alone", () => {
  fc.assert(
    fc.property(lives, ({ paired, epoch, seeding, happened }) => {
      const facts = { name: "bell-a", feed: "feed-a", paired, epoch, seeding, takeoverAfterMs: TAKEOVER_MS };
      let now = 0;
      let { state } = start(facts, now);
      const act = (input: RoleInput): void => {
        const { state: after, outputs } = step(state, input, now);
        state = after;
        for (const output of outputs) {
          if (output.kind === "persist") act({ kind: "persisted", epoch: output.epoch, ok: true });
        }
      };
      for (const [ms, input] of happened) {
        now += ms;
        act(input);
      }
      act({ kind: "seeding", seeding: "seeded" });
      act({ kind: "health", cannotCommitSince: null });
      act({ kind: "closed", refused: false });
      for (let left = TAKEOVER_MS; left > 0; left -= TICK_EVERY_MS) {
        now += TICK_EVERY_MS;
        act({ kind: "tick" });
      }
      expect(standingOf(state)).toMatchObject({
        role: "active",
        primary: true,
        rings: true,
        alone: state.paired,
      });
    }),
    { numRuns: 2000 },
  );
});

test("of two different nodes exactly one goes first, and going first is an order", () => {
  const contenders = fc.record({
    epoch: fc.nat(2),
    name: fc.constantFrom("a", "b"),
    feed: fc.constantFrom("f", "g", "h"),
    seeding: fc.constantFrom(...SEEDINGS),
  });
  fc.assert(
    fc.property(contenders, contenders, contenders, (one, two, three) => {
      if (one.feed !== two.feed) expect(outranks(one, two)).toBe(!outranks(two, one));
      if (outranks(one, two) && outranks(two, three)) expect(outranks(one, three)).toBe(true);
    }),
  );
});

test("what one node says is what the other reads", () => {
  fc.assert(
    fc.property(lives, ({ paired, epoch, seeding, happened }) => {
      const facts = { name: "bell-a", feed: "feed-a", paired, epoch, seeding, takeoverAfterMs: TAKEOVER_MS };
      let { state } = start(facts, 0);
      for (const [at, [, input]] of happened.entries()) state = step(state, input, at * 100).state;
      const said = beatOf(state);
      expect(readBeat(JSON.parse(JSON.stringify(said)))).toEqual(said);
    }),
  );
});

test("what is no beat is not taken for one", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(readBeat(value)).toBeNull();
    }),
  );
  fc.assert(
    fc.property(
      beats,
      fc.constantFrom("epoch", "role", "forMs", "seeding", "ready", "mark", "heardMark"),
      (beat, field) => {
        for (const wrong of [undefined, null, -1, "9", [], {}])
          expect(readBeat({ ...beat, [field]: wrong })).toBeNull();
      },
    ),
  );
});

test("words of a newer version are taken for what is safe", () => {
  const said = {
    ...beatOf(start({ ...FACTS, paired: false }, 0).state),
    why: "eclipse",
    yielding: "eclipse",
    more: 1,
  };
  expect(readBeat(said)).toMatchObject({ role: "active", why: "unknown", yielding: "switched" });
  expect(readBeat({ ...said, role: "passive" })).toMatchObject({ yielding: null });
});

const FACTS = {
  name: "a",
  feed: "f",
  paired: true,
  epoch: 1,
  seeding: "seeded",
  takeoverAfterMs: TAKEOVER_MS,
} as const;
