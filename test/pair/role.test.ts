// The role of a node, sentence by sentence: when it takes over, when it hands over, when it keeps still.
import { describe, expect, test } from "bun:test";
import { start, step } from "../../src/pair/role.ts";
import { beatOf, mayBeSeeded, outranks, standingOf, TICK_EVERY_MS } from "../../src/pair/role-rules.ts";
import type {
  Beat,
  RoleInput,
  RoleOutput,
  RoleState,
  Seeding,
  Standing,
  StartFacts,
} from "../../src/pair/types.ts";

const TAKEOVER_MS = 3000;

/** One node with a good disk, whose peer says what the test says. */
class Bell {
  state: RoleState;
  now = 1_000;
  outputs: RoleOutput[] = [];
  disk: "good" | "bad" | "stuck" = "good";

  constructor(facts: Partial<StartFacts> = {}) {
    const usual = { name: "bell-a", feed: "feed-a", paired: true, epoch: 4, seeding: "seeded" as const };
    const { state, outputs } = start({ ...usual, takeoverAfterMs: TAKEOVER_MS, ...facts }, this.now);
    this.state = state;
    this.outputs.push(...outputs);
  }

  do(input: RoleInput): this {
    const { state, outputs } = step(this.state, input, this.now);
    this.state = state;
    this.outputs.push(...outputs);
    for (const output of outputs) {
      if (output.kind !== "persist" || this.disk === "stuck") continue;
      this.do({ kind: "persisted", epoch: output.epoch, ok: this.disk === "good" });
    }
    return this;
  }

  /** Time passes; with a beat given, the peer says it all the time. */
  wait(ms: number, beat: Partial<Beat> | null = null): this {
    for (let left = ms; left > 0; left -= TICK_EVERY_MS) {
      this.now += Math.min(left, TICK_EVERY_MS);
      if (beat !== null) this.hear(beat);
      this.do({ kind: "tick" });
    }
    return this;
  }

  hear(beat: Partial<Beat>): this {
    return this.do({ kind: "heard", beat: this.says(beat) });
  }

  /** What a peer says that has heard this node's last words. */
  says(beat: Partial<Beat>): Beat {
    return { ...PASSIVE, heardMark: this.state.mark, ...beat };
  }

  open(beat: Partial<Beat>, name = "bell-b"): this {
    return this.do({ kind: "opened", peer: { name, feed: "feed-b", beat: this.says(beat) } });
  }

  close(refused = false): this {
    return this.do({ kind: "closed", refused });
  }

  get is(): Standing {
    return standingOf(this.state);
  }

  get answers(): string[] {
    return this.outputs.flatMap((output) => (output.kind === "answer" ? [output.result] : []));
  }

  get roles(): string[] {
    return this.outputs.flatMap((output) => (output.kind === "role" ? [`${output.role} ${output.why}`] : []));
  }

  /** Forgets what was put out so far. */
  fresh(): this {
    this.outputs = [];
    return this;
  }
}

const PASSIVE: Beat = {
  epoch: 4,
  role: "passive",
  why: "started",
  forMs: 0,
  seeding: "seeded",
  ready: true,
  yielding: null,
  wants: false,
  mark: 1,
  heardMark: 1,
};
const ACTIVE = { role: "active", why: "elected", epoch: 5 } as const;
const AWAY = { kind: "wish", wish: "switch_away" } as const;
const HERE = { kind: "wish", wish: "switch_here" } as const;

const passive = (): Bell => new Bell().open(ACTIVE).fresh();
const active = (): Bell => new Bell().open({ epoch: 3 }).fresh();

describe("at its start", () => {
  test("a node without a peer is active at once", () => {
    const bell = new Bell({ paired: false });
    expect(bell.is).toMatchObject({
      role: "active",
      why: "single",
      primary: true,
      rings: true,
      alone: false,
    });
  });

  test("a node whose peer cannot be reached waits takeover_after, then is active and alone", () => {
    const bell = new Bell().wait(TAKEOVER_MS - 1);
    expect(bell.is).toMatchObject({ role: "passive", serving: true, rings: false });
    expect(bell.wait(1).is).toMatchObject({ role: "active", why: "peer_absent", epoch: 5, alone: true });
  });

  test("a node whose peer's host refuses waits all the same: both hosts may be booting", () => {
    const bell = new Bell().close(true).wait(TAKEOVER_MS - 1);
    expect(bell.is).toMatchObject({ role: "passive", alone: true });
    expect(bell.wait(1).is.role).toBe("active");
  });

  test("a node that finds an active peer stays passive, for good", () => {
    const bell = passive().wait(60_000, ACTIVE);
    expect(bell.is).toMatchObject({ role: "passive", serving: true, rings: false, alone: false });
    expect(bell.roles).toEqual([]);
  });

  test("of two that start together the one with the higher epoch is active", () => {
    expect(new Bell({ epoch: 5 }).open({ epoch: 4 }).is).toMatchObject({
      role: "active",
      why: "elected",
      epoch: 6,
    });
    expect(new Bell({ epoch: 4 }).open({ epoch: 5 }).is.role).toBe("passive");
  });

  test("of two that start together with one epoch the name decides", () => {
    expect(new Bell({ name: "bell-c" }).open({}).is.role).toBe("active");
    expect(new Bell({ name: "bell-a" }).open({}).is.role).toBe("passive");
  });

  test("a node that could be active does not wait for one that goes first and cannot", () => {
    expect(new Bell().open({ epoch: 9, ready: false }).is).toMatchObject({ role: "active", epoch: 10 });
  });

  test("a node that waits for one that goes first and does not waits takeover_after", () => {
    const bell = new Bell().open({ epoch: 9 }).wait(TAKEOVER_MS - 1, { epoch: 9 });
    expect(bell.is.role).toBe("passive");
    expect(bell.wait(1, { epoch: 9 }).is).toMatchObject({ role: "active", why: "elected", epoch: 10 });
  });
});

describe("a passive node takes over", () => {
  test("at once when the link closes and reconnecting is refused", () => {
    const bell = passive().wait(500, ACTIVE).close();
    expect(bell.is.role).toBe("passive");
    expect(bell.close(true).is).toMatchObject({ role: "active", why: "peer_gone", epoch: 6, alone: true });
  });

  test("takeover_after after the active one fell silent, whether the link is open or closed", () => {
    for (const bell of [passive(), passive().close()]) {
      expect(bell.wait(TAKEOVER_MS - 1).is).toMatchObject({ role: "passive", alone: false });
      expect(bell.wait(1).is).toMatchObject({ role: "active", why: "peer_silent", alone: true });
    }
  });

  test("not while anything else than a beat arrives", () => {
    const bell = passive();
    for (let at = 0; at < 40; at += 1) bell.wait(250).do({ kind: "heard", beat: null });
    expect(bell.is).toMatchObject({ role: "passive", alone: false });
  });

  test("not when the link was closed and is open again", () => {
    const bell = passive().wait(500, ACTIVE).close(true);
    expect(bell.is.role).toBe("active");
    const other = passive()
      .close()
      .open(ACTIVE)
      .close()
      .wait(TAKEOVER_MS - 1);
    expect(other.is.role).toBe("passive");
  });

  test("not because of a refusal that an open link has made old", () => {
    const bell = passive();
    bell.disk = "stuck";
    bell.close(true).open(ACTIVE).close();
    expect(bell.state.writing?.become ?? null).toBeNull();
    expect(bell.is.alone).toBe(false);
  });

  test("not before its epoch is durable", () => {
    const bell = passive();
    bell.disk = "stuck";
    bell.close(true);
    expect(bell.outputs).toContainEqual({ kind: "persist", epoch: 6 });
    expect(bell.wait(1000).is.role).toBe("passive");
    expect(bell.do({ kind: "persisted", epoch: 6, ok: true }).is).toMatchObject({ role: "active", epoch: 6 });
  });

  test("not if its peer is back before the epoch is durable, and then keeps the higher epoch", () => {
    const bell = passive();
    bell.disk = "stuck";
    bell.close(true).open(ACTIVE).do({ kind: "persisted", epoch: 6, ok: true });
    expect(bell.is).toMatchObject({ role: "passive", epoch: 6 });
  });

  test("not if it cannot write, and asks no broken disk more often than it is told the time", () => {
    const bell = passive();
    bell.disk = "bad";
    bell.close(true).wait(1000);
    expect(bell.is.role).toBe("passive");
    expect(bell.outputs.filter(({ kind }) => kind === "persist").length).toBeLessThanOrEqual(6);
    bell.disk = "good";
    expect(bell.wait(250).is.role).toBe("active");
  });

  test("not if it cannot commit, and says that there is no active node", () => {
    const bell = passive().do({ kind: "health", cannotCommitSince: 900 }).close(true);
    expect(bell.wait(10_000).is).toMatchObject({
      role: "passive",
      alarms: ["alone", "cannot_commit", "no_active"],
    });
    expect(bell.do({ kind: "health", cannotCommitSince: null }).is.role).toBe("active");
  });

  test("with an epoch above its own and above its peer's", () => {
    expect(new Bell({ epoch: 9 }).open(ACTIVE).close().close(true).is.epoch).toBe(10);
    expect(
      new Bell({ epoch: 4 })
        .open({ ...ACTIVE, epoch: 7 })
        .close()
        .close(true).is.epoch,
    ).toBe(8);
  });

  test("and says so at once", () => {
    const bell = passive().hear({ ...ACTIVE, yielding: "switched" });
    expect(bell.outputs.map(({ kind }) => kind)).toEqual(["persist", "role", "beat"]);
  });
});

test("a passive node makes its peer's epoch durable", () => {
  const bell = new Bell().open({ ...ACTIVE, epoch: 7 });
  expect(bell.outputs).toContainEqual({ kind: "persist", epoch: 7 });
  expect(bell.state.epoch).toBe(7);
});

describe("no automatic fail-back", () => {
  test("an active node stays active when its peer comes back, whatever that one's name and epoch", () => {
    const bell = active().close(true).wait(10_000).open({ epoch: 40 }, "bell-z").wait(10_000, { epoch: 40 });
    expect(bell.roles).toEqual([]);
    expect(bell.is).toMatchObject({ role: "active", alone: false });
  });
});

describe("after a partition in which both became active", () => {
  test("the one with the lower epoch becomes passive as soon as it hears the other", () => {
    const bell = active()
      .close()
      .wait(10_000)
      .open({ ...ACTIVE, epoch: 6 });
    expect(bell.is).toMatchObject({ role: "passive", why: "peer_outranks" });
    expect(bell.outputs.at(-1)).toEqual({ kind: "beat" });
  });

  test("the one with the higher epoch stays and knows of it", () => {
    const bell = active()
      .close()
      .open({ ...ACTIVE, epoch: 4 });
    expect(bell.is).toMatchObject({ role: "active", alarms: ["two_active"] });
    expect(bell.hear({ epoch: 4 }).is.alarms).toEqual([]);
  });

  test("with one epoch the name decides", () => {
    expect(
      active()
        .close()
        .open({ ...ACTIVE, epoch: 5 }, "bell-0").is.role,
    ).toBe("active");
    expect(
      active()
        .close()
        .open({ ...ACTIVE, epoch: 5 }, "bell-b").is.role,
    ).toBe("passive");
  });

  test("a reseeding node yields whatever its epoch", () => {
    const bell = active().do({ kind: "seeding", seeding: "reseeding" });
    expect(bell.is.role).toBe("active");
    bell.close().open({ ...ACTIVE, epoch: 1 });
    expect(bell.is).toMatchObject({ role: "passive", why: "reseeding" });
    expect(
      active()
        .close()
        .open({ ...ACTIVE, epoch: 90, seeding: "reseeding" }).is.role,
    ).toBe("active");
  });

  test("each knows the other's takeover, its reason and its time", () => {
    const bell = active()
      .close()
      .wait(10_000)
      .open({ ...ACTIVE, epoch: 6, why: "peer_silent", forMs: 7000 });
    const at = bell.now - 7000;
    expect(bell.is.lastTakeover).toEqual({ by: "bell-b", epoch: 6, why: "peer_silent", at });
  });

  test("a takeover from before its own is not taken for the last one", () => {
    const bell = active();
    const own = bell.is.lastTakeover;
    bell.close().wait(1_000);
    bell.open({ ...ACTIVE, epoch: 1, forMs: 60_000 });
    expect(bell.is).toMatchObject({ role: "active", lastTakeover: own });
  });

  test("two nodes of one name are told apart by their feeds, and it is said", () => {
    const bell = active()
      .close()
      .open({ ...ACTIVE, epoch: 5 }, "bell-a");
    expect(bell.is.role).toBe("passive");
    expect(bell.is.alarms).toContain("same_name");
  });
});

describe("a node without rows", () => {
  test("is never active and answers nothing, however long it is alone", () => {
    const bell = new Bell({ seeding: "unseeded" }).wait(60_000);
    expect(bell.is).toMatchObject({ role: "passive", serving: false, alarms: ["alone", "no_active"] });
    bell.open(ACTIVE).close().close(true).wait(60_000);
    expect(bell.is).toMatchObject({ role: "passive", serving: false });
  });

  test("takes its part once it is seeded", () => {
    const bell = new Bell({ seeding: "unseeded" }).open(ACTIVE).do({ kind: "seeding", seeding: "seeded" });
    expect(bell.is).toMatchObject({ role: "passive", serving: true });
    expect(bell.close().close(true).is.role).toBe("active");
  });

  test("is active after all if an administrator says that it is the first", () => {
    const bell = new Bell({ seeding: "unseeded" }).wait(9000).do({ kind: "wish", wish: "first" });
    expect(bell.answers).toEqual(["done"]);
    expect(bell.is).toMatchObject({ role: "active", serving: true });
  });
});

describe("a node that has every row of its peer counts as seeded", () => {
  const may = ({ state }: Bell) => mayBeSeeded(state);

  test("once the peer is active, or could not be", () => {
    for (const seeding of ["unseeded", "reseeding"] as const) {
      const bell = () => new Bell({ seeding });
      expect(may(bell())).toBe(false);
      expect(may(bell().open(ACTIVE))).toBe(true);
      expect(may(bell().open(PASSIVE))).toBe(false);
      expect(may(bell().open({ ...PASSIVE, ready: false }))).toBe(true);
      expect(may(bell().open({ ...PASSIVE, seeding: "reseeding" }))).toBe(true);
      expect(may(bell().open({ ...ACTIVE, seeding: "unseeded" }))).toBe(false);
      expect(may(bell().open(PASSIVE).hear(ACTIVE))).toBe(true);
    }
  });

  test("after takeover_after if the peer could be active and is not", () => {
    const bell = new Bell({ seeding: "unseeded" }).open({ ...PASSIVE, seeding: "unseeded", ready: false });
    // That both were passive before counts for nothing.
    bell.wait(60_000, { seeding: "unseeded", ready: false }).hear(PASSIVE);
    expect(may(bell)).toBe(false);
    expect(may(bell.wait(TAKEOVER_MS - 250, PASSIVE))).toBe(false);
    expect(may(bell.wait(500, PASSIVE))).toBe(true);
  });

  test("while it is active itself after it has handed over, or offered it in vain", () => {
    const bell = new Bell({ seeding: "reseeding" }).wait(4000);
    expect([bell.is.role, may(bell)]).toEqual(["active", false]);
    expect(may(bell.open(PASSIVE))).toBe(false);
    expect(bell.state.handover?.why).toBe("reseeding");
    expect(may(bell.wait(3000, PASSIVE))).toBe(false);
    expect(may(bell.wait(3000, PASSIVE))).toBe(true);
    expect([bell.is.role, bell.state.handover]).toEqual(["active", null]);
  });
});

describe("a node that was frozen", () => {
  const frozen = (bell: Bell): Bell => {
    bell.now += 10_000;
    return bell.do({ kind: "tick" });
  };

  test("answers and rings nothing until it has heard its peer", () => {
    const bell = frozen(active());
    expect(bell.is).toMatchObject({
      role: "active",
      serving: false,
      primary: false,
      rings: false,
      alone: false,
    });
    expect(bell.hear({ epoch: 4 }).is).toMatchObject({ serving: true, primary: true, rings: true });
  });

  test("answers and rings nothing until it has waited takeover_after", () => {
    const bell = frozen(active()).wait(TAKEOVER_MS - 1);
    expect(bell.is).toMatchObject({ serving: false, alarms: ["frozen"] });
    expect(bell.wait(1).is).toMatchObject({ role: "active", serving: true, rings: true, alone: true });
  });

  test("is not moved by words that were waiting for it since before it woke", () => {
    const bell = frozen(active());
    bell.hear({ epoch: 4, heardMark: bell.state.mark - 1 }).do({ kind: "heard", beat: null });
    expect(bell.is.serving).toBe(false);
    bell.close().open({ epoch: 4, heardMark: bell.state.mark });
    expect(bell.is.serving).toBe(false);
  });

  test("asks its peer at once, and a peer answers at once", () => {
    const bell = frozen(active());
    expect(bell.outputs.at(-1)).toEqual({ kind: "beat" });
    const peer = passive().hear({ ...ACTIVE, mark: 2 });
    expect(peer.outputs.at(-1)).toEqual({ kind: "beat" });
    expect(beatOf(peer.state).heardMark).toBe(2);
  });

  test("becomes passive on its first word of a peer that took over", () => {
    const bell = frozen(active()).hear({ ...ACTIVE, epoch: 6, heardMark: 1 });
    expect(bell.is).toMatchObject({ role: "passive", serving: false });
    expect(bell.hear({ ...ACTIVE, epoch: 6 }).is.serving).toBe(true);
  });

  test("takes over neither because of the silence it slept through nor because of an old refusal", () => {
    const bell = frozen(passive())
      .close(true)
      .wait(TAKEOVER_MS - 1);
    expect(bell.is.role).toBe("passive");
    expect(bell.wait(1).is.role).toBe("active");
  });

  test("drops the takeover and the hand-over it was about to make", () => {
    const late = passive();
    late.disk = "stuck";
    late.close(true);
    late.now += 10_000;
    expect(late.do({ kind: "persisted", epoch: 6, ok: true }).is).toMatchObject({
      role: "passive",
      epoch: 6,
    });
    const bell = frozen(active().do(AWAY));
    expect(bell.answers).toEqual(["overtaken"]);
    expect(beatOf(bell.state).yielding).toBeNull();
  });

  test("is one whose peer may have taken over: its silence began with its last beat", () => {
    for (const [gap, serving] of [
      [TAKEOVER_MS - TICK_EVERY_MS - 1, true],
      [TAKEOVER_MS - TICK_EVERY_MS, false],
    ] as const) {
      const bell = active();
      bell.now += gap;
      expect(bell.do({ kind: "tick" }).is.serving).toBe(serving);
    }
  });

  test("is not held up where there is no peer", () => {
    expect(frozen(new Bell({ paired: false })).is).toMatchObject({ serving: true, rings: true });
  });
});

describe("an active node that cannot commit", () => {
  const COMMIT = { kind: "health", cannotCommitSince: 1000 } as const;

  test("hands over after five seconds if its peer can", () => {
    const bell = active().do(COMMIT).wait(4999, { epoch: 4 });
    expect(beatOf(bell.state).yielding).toBeNull();
    expect(beatOf(bell.wait(1, { epoch: 4 }).state).yielding).toBe("cannot_commit");
    expect(bell.is.role).toBe("active");
    expect(bell.hear({ ...ACTIVE, epoch: 6 }).is).toMatchObject({ role: "passive", why: "cannot_commit" });
  });

  test("stays if its peer cannot either, has no rows, or is gone", () => {
    for (const beat of [{ ready: false }, { seeding: "reseeding" as Seeding }]) {
      const bell = active().hear(beat).do(COMMIT).wait(9000, beat);
      expect(bell.is).toMatchObject({ role: "active", alarms: ["cannot_commit"] });
      expect(beatOf(bell.state).yielding).toBeNull();
    }
    const bell = active().do(COMMIT).close(true).wait(9000);
    expect(beatOf(bell.state).yielding).toBeNull();
  });

  test("takes it back when it can commit again, and rings once its peer knows", () => {
    const bell = active().do(COMMIT).wait(5000, { epoch: 4 }).do({ kind: "health", cannotCommitSince: null });
    expect(beatOf(bell.state).yielding).toBeNull();
    expect(bell.is).toMatchObject({ role: "active", primary: true, rings: false });
    expect(bell.hear({ heardMark: bell.state.mark - 1 }).is.rings).toBe(false);
    expect(bell.hear({}).is.rings).toBe(true);
  });
});

test("an active node whose rows are not complete hands over to a peer whose rows are", () => {
  const bell = active().do({ kind: "seeding", seeding: "reseeding" });
  bell.do({ kind: "drained", since: bell.now });
  expect(beatOf(bell.state).yielding).toBe("reseeding");
  expect(bell.hear({ ...ACTIVE, epoch: 6 }).is).toMatchObject({ role: "passive", why: "reseeding" });
});

describe("switching by hand", () => {
  test("the active node rings no more, lets its rings end, yields, and is passive once its peer is active", () => {
    const bell = active().do(AWAY);
    expect(bell.is).toMatchObject({ role: "active", primary: true, serving: true, rings: false });
    expect(bell.outputs).toContainEqual({ kind: "drain", since: bell.now });
    expect(beatOf(bell.state).yielding).toBeNull();
    bell.do({ kind: "drained", since: bell.now });
    expect(beatOf(bell.state).yielding).toBe("switched");
    expect(bell.outputs.at(-1)).toEqual({ kind: "beat" });
    expect(bell.is.primary).toBe(true);
    bell.hear({ ...ACTIVE, epoch: 6, why: "switched" });
    expect(bell.is).toMatchObject({ role: "passive", why: "switched" });
    expect(bell.answers).toEqual(["done"]);
  });

  test("the passive node takes over with a higher epoch when its peer yields", () => {
    const bell = passive().hear({ ...ACTIVE, yielding: "switched" });
    expect(bell.is).toMatchObject({ role: "active", why: "switched", epoch: 6, rings: true, alone: false });
  });

  test("the passive node does not take over any more once its peer has taken it back", () => {
    const bell = passive();
    bell.disk = "stuck";
    bell.hear({ ...ACTIVE, yielding: "switched" }).hear(ACTIVE);
    expect(bell.do({ kind: "persisted", epoch: 6, ok: true }).is.role).toBe("passive");
    bell.disk = "good";
    expect(bell.hear({ ...ACTIVE, yielding: "switched" }).is).toMatchObject({ role: "active", epoch: 7 });
  });

  test("rings that do not end do not hold it up for long", () => {
    const bell = active().do(AWAY).wait(1999, {});
    expect(beatOf(bell.state).yielding).toBeNull();
    expect(beatOf(bell.wait(1, {}).state).yielding).toBe("switched");
  });

  test("rings of an earlier try do not count as those of this one", () => {
    const bell = active().do(AWAY);
    const since = bell.now;
    bell.hear({ ready: false }).wait(250, {}).do(AWAY).do({ kind: "drained", since });
    expect(beatOf(bell.state).yielding).toBeNull();
  });

  test("a peer that does not take over in time leaves everything as it was, and is left alone for a while", () => {
    const bell = active()
      .do(AWAY)
      .wait(2000 + TAKEOVER_MS, {});
    expect(bell.answers).toEqual(["not_taken"]);
    bell.wait(250, {});
    expect(bell.is).toMatchObject({ role: "active", rings: true });
    bell.wait(5000, { wants: true });
    expect(bell.is.rings).toBe(true);
    expect(bell.wait(10 * TAKEOVER_MS - 5000, { wants: true }).is.rings).toBe(false);
  });

  test("a peer that goes away or can no longer take over ends it", () => {
    expect(active().do(AWAY).close().answers).toEqual(["peer_silent"]);
    expect(active().do(AWAY).hear({ ready: false }).answers).toEqual(["not_ready"]);
  });

  test("a node that yielded and lost the link rings again after takeover_after", () => {
    const bell = active().do(AWAY);
    bell.do({ kind: "drained", since: bell.now }).close();
    expect(bell.wait(TAKEOVER_MS - 1).is.rings).toBe(false);
    expect(bell.wait(1).is).toMatchObject({ role: "active", rings: true });
  });

  test("a node that yielded and finds its peer's process gone rings at once", () => {
    const bell = active().do(AWAY);
    bell.do({ kind: "drained", since: bell.now }).close().close(true);
    expect(bell.is).toMatchObject({ role: "active", rings: true, alone: true });
  });

  test("a node that took it back and is replaced all the same has no doubts left", () => {
    const bell = active().do(AWAY);
    bell.do({ kind: "drained", since: bell.now }).hear({ ready: false });
    expect(bell.state.doubt).not.toBeNull();
    bell.hear({ ...ACTIVE, epoch: 6, heardMark: 1 });
    expect(bell.is.role).toBe("passive");
    expect(bell.state.doubt).toBeNull();
  });

  test("asked for at the passive node it is the peer that hands over", () => {
    const bell = passive().do(HERE);
    expect(beatOf(bell.state).wants).toBe(true);
    expect(bell.answers).toEqual([]);
    bell.hear({ ...ACTIVE, yielding: "switched" });
    expect(bell.is.role).toBe("active");
    expect(bell.answers).toEqual(["done"]);
    expect(beatOf(bell.state).wants).toBe(false);
    const peer = active().hear({ wants: true });
    expect(peer.state.handover).toMatchObject({ why: "switched", wished: false });
  });

  test("asked for where it is so already it says so and does nothing", () => {
    expect(active().do(HERE).answers).toEqual(["already"]);
    expect(passive().do(AWAY).answers).toEqual(["already"]);
  });

  test("asked for in vain it says why", () => {
    expect(new Bell({ paired: false }).do(AWAY).answers).toEqual(["no_peer"]);
    expect(active().close().do(AWAY).answers).toEqual(["peer_silent"]);
    expect(active().hear({ ready: false }).do(AWAY).answers).toEqual(["not_ready"]);
    expect(active().hear({ seeding: "unseeded", ready: false }).do(AWAY).answers).toEqual(["not_ready"]);
    expect(passive().close().do(HERE).answers).toEqual(["peer_silent"]);
    expect(passive().do({ kind: "health", cannotCommitSince: 1 }).do(HERE).answers).toEqual(["not_ready"]);
    expect(new Bell().open({ epoch: 9 }).do(HERE).answers).toEqual(["no_active"]);
    expect(passive().do(HERE).wait(20_000, ACTIVE).answers).toEqual(["not_taken"]);
    expect(passive().do(HERE).close().answers).toEqual(["peer_silent"]);
  });

  test("asked for twice it is done once, and both are answered", () => {
    const bell = active().do(AWAY).do(AWAY);
    bell.do({ kind: "drained", since: bell.now }).hear({ ...ACTIVE, epoch: 6 });
    expect(bell.answers).toEqual(["done"]);
    expect(
      passive()
        .do(HERE)
        .do(HERE)
        .hear({ ...ACTIVE, yielding: "switched" }).answers,
    ).toEqual(["done"]);
    const unwell = passive().do(HERE).do({ kind: "health", cannotCommitSince: 1 });
    expect(unwell.do(HERE).answers).toEqual([]);
    const yielding = active().do(AWAY);
    yielding.do({ kind: "drained", since: yielding.now }).do(AWAY);
    expect(beatOf(yielding.state).yielding).toBe("switched");
  });

  test("asked back before anything was said to the peer, nothing happens", () => {
    const bell = active().do(AWAY).do(HERE);
    expect(bell.answers).toEqual(["overtaken", "already"]);
    expect(bell.is.rings).toBe(true);
  });

  test("asked back after the peer was told, it is switched there and back", () => {
    const bell = active().do(AWAY);
    bell
      .do({ kind: "drained", since: bell.now })
      .do(HERE)
      .hear({ ...ACTIVE, epoch: 6 });
    expect(bell.is.role).toBe("passive");
    expect(beatOf(bell.state).wants).toBe(true);
    bell.hear({ ...ACTIVE, epoch: 6, yielding: "switched" });
    expect(bell.is).toMatchObject({ role: "active", epoch: 7 });
    expect(bell.answers).toEqual(["done", "done"]);
    const kept = active().do(AWAY);
    kept.do({ kind: "drained", since: kept.now }).do(HERE).hear({ ready: false });
    expect(kept.answers).toEqual(["not_ready", "done"]);
  });
});

describe("a node whose administrator forgets the peer", () => {
  const FORGET = { kind: "wish", wish: "forget" } as const;

  test("is a single node: no longer alone, and active with a higher epoch if it was not", () => {
    expect(active().close(true).do(FORGET).is).toMatchObject({ role: "active", alone: false, alarms: [] });
    const bell = passive().do(FORGET);
    expect(bell.is).toMatchObject({ role: "active", why: "forgotten", epoch: 6, serving: true });
    expect(bell.answers).toEqual(["done"]);
  });

  test("does not listen to it any more", () => {
    const bell = active()
      .do(FORGET)
      .open({ ...ACTIVE, epoch: 90 })
      .hear({ ...ACTIVE, epoch: 90 });
    expect(bell.roles).toEqual([]);
  });

  test("rings at once, whatever it had yielded", () => {
    const bell = active().do(AWAY);
    bell.do({ kind: "drained", since: bell.now }).do(FORGET);
    expect(bell.answers).toEqual(["no_peer", "done"]);
    expect(bell.is.rings).toBe(true);
  });
});

test("words without a link are not listened to", () => {
  const bell = active()
    .close()
    .hear({ ...ACTIVE, epoch: 90 });
  expect(bell.roles).toEqual([]);
});

test("a peer that refused is gone until it is linked again, whatever becomes of its host", () => {
  const bell = active().close(true).close(false);
  expect(bell.is.alone).toBe(true);
  expect(bell.open({}).is.alone).toBe(false);
});

test("a node that has just been linked says where it stands", () => {
  expect(passive().close().fresh().open(ACTIVE).outputs).toEqual([{ kind: "beat" }]);
});

test("a node alone says so while it is, and begins and ends the alarm once", () => {
  const bell = active().close(true).wait(9000).open({}).wait(9000, {});
  const alarms = bell.outputs.filter((output) => output.kind === "alarm");
  expect(alarms).toEqual([
    { kind: "alarm", alarm: "alone", on: true },
    { kind: "alarm", alarm: "alone", on: false },
  ]);
});

test("a beat goes out with each tick while the link is open, and none while it is closed", () => {
  const beats = (bell: Bell): number => bell.outputs.filter(({ kind }) => kind === "beat").length;
  expect(beats(active().wait(2500, {}))).toBe(10);
  expect(beats(active().close().fresh().wait(2500))).toBe(0);
});

test("a clock that goes back is taken to stand still", () => {
  const bell = active();
  bell.now -= 60_000;
  expect(bell.do({ kind: "tick" }).is.serving).toBe(true);
  expect(bell.state.now).toBe(1_000);
});

test("of two contenders one goes first, never both", () => {
  const one = { epoch: 1, name: "a", feed: "f", seeding: "seeded" } as const;
  expect(outranks(one, one)).toBe(false);
  expect(outranks({ ...one, epoch: 2 }, { ...one, name: "b" })).toBe(true);
  expect(outranks({ ...one, epoch: 2, seeding: "reseeding" }, one)).toBe(false);
});
