// Two nodes' role decisions at work: their disks, their clocks and the network between them, a tick at a time.
import type { Beat, Peer, RoleInput, RoleStep, Seeding } from "../../src/pair/types.ts";
import { judge, stepsDown, takesOver } from "./role-promises.ts";
import {
  CAP,
  clock,
  emptyNode,
  FREEZE,
  type Index,
  type Message,
  NAMES,
  type Node,
  other,
  PATIENCE,
  type RoleCode,
  SLOW_WAY,
  SLOW_WRITE,
  TAKEOVER,
  TICK_MS,
  WAY,
  type World,
} from "./role-scene.ts";

/** One step of a world, as a plain object that is changed in place. */
export class Moment {
  readonly code: RoleCode;
  readonly before: World;
  readonly nodes: [Node, Node];
  readonly ends: [boolean, boolean];
  readonly queues: [readonly Message[], readonly Message[]];
  cut: readonly [boolean, boolean];
  way: number;
  wrong: string | null;
  readonly t: number;
  readonly deadline: number;
  readonly seeding: number;
  /** A new connection takes a moment. */
  isReset = false;

  constructor(code: RoleCode, world: World) {
    this.code = code;
    this.before = world;
    this.nodes = [...world.nodes];
    this.ends = [...world.ends];
    this.queues = [...world.queues];
    this.cut = world.cut;
    this.way = world.way;
    this.wrong = world.wrong;
    this.t = world.t + 1;
    this.deadline = world.deadline;
    this.seeding = world.seeding;
  }

  blame(what: string): void {
    this.wrong ??= what;
  }

  change(at: Index, changes: Partial<Node>): void {
    this.nodes[at] = { ...this.nodes[at], ...changes };
  }

  isAwake(at: Index): boolean {
    return this.nodes[at].state !== null && this.nodes[at].frozenAt === null;
  }

  /** What the other node says reaches this one. */
  hears(at: Index): boolean {
    return this.ends[0] && this.ends[1] && !this.cut[other(at)] && this.isAwake(0) && this.isAwake(1);
  }

  send(from: Index, beat: Beat | null): void {
    if (!this.ends[from] || !this.ends[other(from)]) return;
    const to = other(from);
    this.queues[to] = [...this.queues[to], { due: this.t + this.way, sentAt: this.t, beat }];
  }

  take(at: Index, result: RoleStep): void {
    const node = this.nodes[at];
    const was = node.state;
    if (was !== null && result.state.epoch < was.epoch) this.blame("an epoch fell");
    this.change(at, { state: result.state });
    for (const output of result.outputs) {
      if (output.kind === "beat") {
        if (result.state.link === "closed") this.blame("a beat without a link");
        else this.send(at, this.code.beatOf(result.state));
      } else if (output.kind === "persist") {
        const due = this.t + (node.disk === "slow" ? SLOW_WRITE : 0);
        this.change(at, { writes: [...this.nodes[at].writes, { epoch: output.epoch, due }] });
      } else if (output.kind === "drain") {
        this.change(at, { drains: [...this.nodes[at].drains, { since: output.since, due: this.t + 1 }] });
      } else if (output.kind === "answer") {
        const wishes = this.nodes[at].wishes;
        if (!wishes.some(({ wish }) => wish === output.wish)) this.blame("an answer to no wish");
        this.change(at, { wishes: wishes.filter(({ wish }) => wish !== output.wish) });
        if (
          output.result === "done" &&
          output.wish !== "first" &&
          (result.state.role === "active") !== (output.wish === "switch_here")
        ) {
          this.blame("a switch is said to be done and is not");
        }
      } else if (output.kind === "role" && output.why === "peer_outranks") {
        stepsDown(this, at, result.state);
      } else if (output.kind === "role" && output.role === "active") {
        takesOver(this, at, output.epoch, output.why);
      }
    }
  }

  input(at: Index, input: RoleInput): void {
    const { state } = this.nodes[at];
    if (state !== null) this.take(at, this.code.step(state, input, clock(at, this.t)));
  }

  boot(at: Index, seeding: Seeding, stored: number): void {
    this.change(at, {
      ...emptyNode(stored),
      bornAt: this.t,
      lastReign: seeding === "seeded" ? this.nodes[at].lastReign : 0,
      known: seeding === "seeded" ? this.nodes[at].known : 0,
      seededIn: seeding === "seeded" ? 0 : this.seeding,
      owesYield: seeding === "reseeding",
    });
    const facts = { name: NAMES[at], feed: `feed-${at}`, paired: true, epoch: stored, seeding };
    const times = { takeoverAfterMs: TAKEOVER * TICK_MS, commitPatienceMs: PATIENCE * TICK_MS };
    this.take(at, this.code.start({ ...facts, ...times }, clock(at, this.t)));
  }

  stop(at: Index, isUp: boolean): void {
    // The kernel of a host that goes on tells the other end.
    if (isUp && this.ends[at]) this.send(at, null);
    this.ends[at] = false;
    this.queues[at] = [];
    this.change(at, { state: null, isUp, frozenAt: null, inbox: [], writes: [], drains: [], wishes: [] });
  }

  happen(event: string): void {
    const [what, whom] = event.split(" ");
    const at: Index = whom === "1" ? 1 : 0;
    const node = this.nodes[at];
    switch (what) {
      case "kill":
        this.stop(at, true);
        return;
      case "power-off":
        this.stop(at, false);
        return;
      case "start":
        this.boot(at, "seeded", node.stored);
        return;
      case "start-empty":
        this.boot(at, "unseeded", 0);
        return;
      case "start-restored":
        this.boot(at, "reseeding", Math.max(node.stored - 2, 0));
        return;
      case "freeze":
        this.change(at, { frozenAt: this.t });
        return;
      case "thaw":
      case "thaw-late": {
        const isLong = this.t - (node.frozenAt ?? this.t) >= FREEZE;
        const { inbox } = node;
        this.change(at, { frozenAt: null, inbox: [], unheard: 0, wokeAt: isLong ? this.t : node.wokeAt });
        if (what === "thaw") this.input(at, { kind: "tick" });
        else this.flush(at);
        for (const message of inbox) {
          if (message === "closed") this.input(at, { kind: "closed", refused: false });
          else this.receive(at, message);
        }
        return;
      }
      case "disk-bad":
        this.change(at, { disk: "bad", badSince: this.t });
        return;
      case "disk-slow":
        this.change(at, { disk: "slow" });
        return;
      case "disk-good":
        this.change(at, { disk: "good" });
        return;
      case "first":
        this.change(at, { wishes: [...node.wishes, { wish: "first", age: 0 }], seededIn: 0 });
        this.input(at, { kind: "wish", wish: "first" });
        return;
      case "away":
      case "here": {
        const wish = what === "away" ? "switch_away" : "switch_here";
        this.change(at, { wishes: [...node.wishes.filter((one) => one.wish !== wish), { wish, age: 0 }] });
        this.input(at, { kind: "wish", wish });
        return;
      }
      case "cut":
        this.cut = whom === "both" ? [true, true] : at === 0 ? [true, this.cut[1]] : [this.cut[0], true];
        return;
      case "heal":
        this.cut = [false, false];
        return;
      case "reset":
        this.isReset = true;
        this.queues[0] = [];
        this.queues[1] = [];
        for (const end of [0, 1] as const) if (this.ends[end]) this.close(end);
        return;
      case "slow":
        this.way = SLOW_WAY;
        return;
      default:
        this.way = WAY;
    }
  }

  close(at: Index): void {
    this.ends[at] = false;
    this.queues[at] = [];
    if (this.nodes[at].frozenAt !== null) this.change(at, { inbox: [...this.nodes[at].inbox, "closed"] });
    else this.input(at, { kind: "closed", refused: false });
  }

  receive(at: Index, message: Message): void {
    this.change(at, { unheard: 0 });
    const { wokeAt } = this.nodes[at];
    if (wokeAt !== null && message.sentAt >= wokeAt) this.change(at, { wokeAt: null });
    if (message.beat === null) this.close(at);
    else this.input(at, { kind: "heard", beat: message.beat });
  }

  deliver(at: Index): void {
    // What a cut holds back arrives when it is healed.
    if (this.cut[other(at)]) return;
    const due = this.queues[at].filter((message) => message.due <= this.t);
    this.queues[at] = this.queues[at].filter((message) => message.due > this.t);
    for (const message of due) {
      if (this.nodes[at].frozenAt === null) this.receive(at, message);
      else this.change(at, { inbox: [...this.nodes[at].inbox, message] });
    }
  }

  /** Whoever has no link connects: both ends open, nobody listens there, or no answer. */
  connect(): void {
    if (this.isReset || (this.ends[0] && this.ends[1])) return;
    const isWhole = !this.cut[0] && !this.cut[1];
    if (isWhole && this.isAwake(0) && this.isAwake(1)) {
      const hello = (at: Index): Peer => {
        const { state } = this.nodes[at];
        if (state === null) throw new Error("no process");
        return { name: NAMES[at], feed: `feed-${at}`, beat: this.code.beatOf(state) };
      };
      const hellos = [hello(0), hello(1)] as const;
      for (const at of [0, 1] as const) {
        this.queues[at] = [];
        this.ends[at] = true;
        this.change(at, { unheard: 0 });
      }
      this.input(0, { kind: "opened", peer: hellos[1] });
      this.input(1, { kind: "opened", peer: hellos[0] });
      return;
    }
    for (const at of [0, 1] as const) {
      const them = this.nodes[other(at)];
      if (this.ends[at] || !this.isAwake(at)) continue;
      const refused = isWhole && them.isUp && them.state === null;
      this.input(at, { kind: "closed", refused });
    }
  }

  /** What a node's own disk and rows tell it, and the passing of time. */
  live(at: Index): void {
    if (!this.isAwake(at)) return;
    this.change(at, { unheard: Math.min(this.nodes[at].unheard + 1, CAP) });
    if (this.ends[at] && this.nodes[at].unheard > this.deadline) {
      this.send(at, null);
      this.close(at);
    }
    const node = this.nodes[at];
    if (node.state === null) return;
    const since = node.disk === "bad" ? clock(at, node.badSince) : null;
    if (node.state.cannotCommitSince !== since) this.input(at, { kind: "health", cannotCommitSince: since });
    const hasRows = this.nodes[other(at)].state?.seeding !== "unseeded";
    if (node.seededIn > 1 && this.hears(at) && hasRows) {
      this.change(at, { seededIn: node.seededIn - 1 });
    } else if (node.seededIn === 1 && this.hears(at) && this.code.mayBeSeeded(node.state)) {
      // To one that is no better off nobody yields.
      const said = node.state.peer?.beat;
      const owesYield = node.owesYield && said?.seeding === "seeded" && said.ready;
      this.change(at, { seededIn: 0, owesYield });
      this.input(at, { kind: "seeding", seeding: "seeded" });
    }
    for (const drain of this.nodes[at].drains.filter(({ due }) => due <= this.t)) {
      this.input(at, { kind: "drained", since: drain.since });
    }
    this.change(at, { drains: this.nodes[at].drains.filter(({ due }) => due > this.t) });
    this.input(at, { kind: "tick" });
    this.flush(at);
  }

  /** What the disk has done by now is told. */
  flush(at: Index): void {
    for (let round = 0; this.nodes[at].writes.some(({ due }) => due <= this.t); round += 1) {
      if (round > 3) {
        this.blame("asks a disk again and again at once");
        return;
      }
      const { writes } = this.nodes[at];
      this.change(at, { writes: writes.filter(({ due }) => due > this.t) });
      for (const { epoch } of writes.filter(({ due }) => due <= this.t)) this.written(at, epoch);
    }
  }

  written(at: Index, epoch: number): void {
    const ok = this.nodes[at].disk !== "bad";
    if (ok && epoch < this.nodes[at].stored) this.blame("a stored epoch fell");
    if (ok) this.change(at, { stored: Math.max(epoch, this.nodes[at].stored) });
    this.input(at, { kind: "persisted", epoch, ok });
  }
}

/** The world one tick later, an event having happened at its beginning. */
export function advance(code: RoleCode, world: World, event: string | null): World {
  const moment = new Moment(code, world);
  if (event !== null) moment.happen(event);
  moment.connect();
  for (const at of [0, 1] as const) moment.deliver(at);
  for (const at of [0, 1] as const) moment.live(at);
  return judge(moment, event);
}
