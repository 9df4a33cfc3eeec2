// Owns a node's role: brings what happens to the pure rules in role.ts, one thing after the other, and does what they say
// in their order. Knows neither link nor disk; both are handed in.
import { start as startRole, step } from "./role.ts";
import { beatOf, standingOf, TICK_EVERY_MS } from "./role-rules.ts";
import type {
  Beat,
  RoleInput,
  RoleOutput,
  RoleState,
  Seeding,
  Standing,
  StartFacts,
  Wish,
  WishResult,
} from "./types.ts";

export interface RoleOwnerOptions {
  readonly facts: StartFacts;
  /** See `createRoleClock`. */
  readonly clock: () => number;
  /** Makes an epoch durable; resolves with whether it is. */
  readonly persist: (epoch: number) => Promise<boolean>;
  /** Sends what the node says of itself, out of turn. */
  readonly beat: () => void;
  /** Resolves once no ring is on its way and what the last ones settled is on both nodes. */
  readonly drain: () => Promise<void>;
  readonly role: (output: Extract<RoleOutput, { kind: "role" }>) => void;
  readonly alarm: (output: Extract<RoleOutput, { kind: "alarm" }>) => void;
  /** What the node may do has changed. */
  readonly changed: (standing: Standing) => void;
  /** Is given each new word on the rows. */
  readonly seeding: (seeding: Seeding) => void;
  /** There is no peer any more. */
  readonly forgotten: () => void;
}

export interface RoleOwner {
  /** Time begins to pass. */
  start(): void;
  stop(): void;
  input(input: RoleInput): void;
  /** What the node says of itself at this moment. */
  beat(): Beat;
  /** What it may do at this moment: a process that was not running notices here, before it does anything else. */
  standing(): Standing;
  /** Resolves with what became of it. */
  wish(wish: Wish): Promise<WishResult>;
  /** The time on the roles' clock. */
  now(): number;
  readonly state: RoleState;
}

// A disk that cannot be written answers fast: it is not asked again at once. Milliseconds.
const PERSIST_AGAIN_MS = 250;

export function createRoleOwner(options: RoleOwnerOptions): RoleOwner {
  const { clock } = options;
  const outputs: RoleOutput[] = [];
  const wishes = new Map<Wish, ((result: WishResult) => void)[]>();
  const begun = startRole(options.facts, clock());
  let { state } = begun;
  let standing = standingOf(state);
  let told = { standing: null as Standing | null, seeding: state.seeding, paired: state.paired };
  let isWorking = false;
  let isStopped = false;
  let timer: ReturnType<typeof setInterval> | null = null;

  function take(input: RoleInput): readonly RoleOutput[] {
    const next = step(state, input, clock());
    state = next.state;
    standing = standingOf(state);
    return next.outputs;
  }

  /** What is brought while something is being done waits for its turn. */
  function work(more: readonly RoleOutput[]): void {
    outputs.push(...more);
    if (isWorking) return;
    isWorking = true;
    try {
      for (let next = outputs.shift(); next !== undefined; next = outputs.shift()) perform(next);
    } finally {
      isWorking = false;
    }
    tell();
  }

  function perform(output: RoleOutput): void {
    switch (output.kind) {
      case "persist":
        void persist(output.epoch);
        return;
      case "beat":
        options.beat();
        return;
      case "drain":
        void options.drain().then(() => input({ kind: "drained", since: output.since }));
        return;
      case "role":
        options.role(output);
        return;
      case "alarm":
        options.alarm(output);
        return;
      case "answer": {
        const waiting = wishes.get(output.wish) ?? [];
        wishes.delete(output.wish);
        for (const resolve of waiting) resolve(output.result);
        return;
      }
    }
  }

  async function persist(epoch: number): Promise<void> {
    const ok = await options.persist(epoch);
    if (!ok) await new Promise((resolve) => setTimeout(resolve, PERSIST_AGAIN_MS));
    input({ kind: "persisted", epoch, ok });
  }

  function tell(): void {
    const before = told;
    told = { standing, seeding: state.seeding, paired: state.paired };
    if (state.seeding !== before.seeding) options.seeding(state.seeding);
    if (before.paired && !state.paired) options.forgotten();
    if (before.standing === null || !isSame(before.standing, standing)) options.changed(standing);
  }

  function input(given: RoleInput): void {
    if (!isStopped) work(take(given));
  }

  return {
    start() {
      work(begun.outputs);
      timer = setInterval(() => input({ kind: "tick" }), TICK_EVERY_MS);
    },

    stop() {
      isStopped = true;
      if (timer !== null) clearInterval(timer);
      timer = null;
      for (const waiting of wishes.values()) for (const resolve of waiting) resolve("overtaken");
      wishes.clear();
    },

    input,

    beat() {
      // Whoever asks sends it: this one need not be sent again.
      if (!isStopped) work(take({ kind: "tick" }).filter(({ kind }) => kind !== "beat"));
      return beatOf(state);
    },

    standing() {
      if (clock() - state.now > TICK_EVERY_MS) input({ kind: "tick" });
      return standing;
    },

    wish(wish) {
      if (isStopped) return Promise.resolve("overtaken");
      return new Promise((resolve) => {
        wishes.set(wish, [...(wishes.get(wish) ?? []), resolve]);
        input({ kind: "wish", wish });
      });
    },

    now: clock,

    get state() {
      return state;
    },
  };
}

/** As far as the rest of the node goes by it. */
function isSame(one: Standing, other: Standing): boolean {
  return (
    one.role === other.role &&
    one.serving === other.serving &&
    one.primary === other.primary &&
    one.rings === other.rings &&
    one.alone === other.alone
  );
}
