// Random schedules over two real databases, one phone and one link: accepting, ringing, cutting, healing, switching,
// restoring an old copy, or one of before the registration, renewing, deleting, and removing rows of former feeds. Says
// what went wrong, or null.
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newestBadge, type OwedRow } from "../../src/store/owed-rule.ts";
import type { Change, Ring, Settlement, Store } from "../../src/store/types.ts";
import { keyring } from "./helpers.ts";

/** Where the store's code comes from: the product's, or a copy with a rule taken away. */
export interface StoreCode {
  readonly createStore: typeof import("../../src/store/sqlite-store.ts").createStore;
}

/** What a schedule may leave out, to show that it is needed. */
export interface Habits {
  /** A restored database goes on under a new feed. */
  readonly newFeed: boolean;
  /** What carries the rows instead of this file: the real link, say. It notices a restored database by itself. */
  readonly wire?: Wire;
}

export interface Wire {
  /** A node's database was opened, and is about to be closed. */
  opened(name: string, store: Store): Promise<void>;
  closing(name: string): Promise<void>;
  setLinked(isLinked: boolean): void;
  /** Resolves when both nodes have everything. */
  settled(): Promise<void>;
}

const ID = "00000000-0000-4000-8000-000000000001";
// Longer than every allowance and every wait for more changes, shorter than what makes mail old. Milliseconds.
const STEP_MS = 30 * 60_000;
const PAGE = 3;

/** A small generator of its own, so that a seed names a schedule. */
function generator(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Node {
  readonly name: string;
  readonly path: string;
  store: Store;
  active: boolean;
  /** How far the other node's feed was read. */
  read: { feed: string; seq: number };
}

/**
 * @param schedule a seed for a random one, or its steps, such as "badge a"
 */
export async function explore(
  code: StoreCode,
  schedule: number | readonly string[],
  habits: Habits = { newFeed: true },
): Promise<{ readonly wrong: string | null; readonly log: readonly string[] }> {
  const random = generator(typeof schedule === "number" ? schedule : 0);
  const further = generator(typeof schedule === "number" ? schedule + 1_000_000 : 0);
  const isRandom = typeof schedule === "number";
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-explore-"));
  const log: string[] = [];
  const time = { now: 1_760_000_000_000 };
  const open = async (name: string, path: string): Promise<Store> => {
    const store = code.createStore({
      path,
      keyring,
      now: () => time.now,
      synchronous: "OFF",
      mergeChangesMs: 0,
    });
    await store.start();
    await habits.wire?.opened(name, store);
    return store;
  };
  const make = async (name: string): Promise<Node> => {
    const path = join(directory, `${name}.db`);
    return { name, path, store: await open(name, path), active: name === "a", read: { feed: "", seq: 0 } };
  };
  const a = await make("a");
  const b = await make("b");
  const nodes = [a, b] as const;
  const other = (node: Node) => (node === a ? b : a);
  let isLinked = true;

  /** The receiver reads what the sender wrote since, or everything if it does not know the sender's feed. */
  async function pull(receiver: Node, sender: Node): Promise<void> {
    const { feed } = await sender.store.position();
    if (receiver.read.feed !== feed) receiver.read = { feed, seq: 0 };
    for (;;) {
      const rows = await sender.store.rowsAfter(receiver.read.seq, PAGE);
      const last = rows.at(-1);
      if (last === undefined) return;
      await receiver.store.merge(rows);
      receiver.read.seq = last.seq;
    }
  }
  async function share(): Promise<void> {
    if (!isLinked) return;
    if (habits.wire !== undefined) {
      await habits.wire.settled();
      return;
    }
    for (let round = 0; round < 3; round += 1) for (const node of nodes) await pull(other(node), node);
  }

  const change = (node: Node, wanted: Change): Promise<void> =>
    node.store.submit({ registrationId: ID, decide: () => ({ change: wanted, result: undefined }) });
  const state = async (node: Node) => (await node.store.read([ID]))[0]?.state;
  const put = async (node: Node, revision: number): Promise<boolean> =>
    node.store.submit({
      registrationId: ID,
      decide: (before) => {
        if (before.kind === "deleted") return { result: false };
        if (before.kind === "present" && before.registration.revision >= revision) return { result: false };
        const registration = {
          app: "com.example.mail",
          platform: "apns",
          token: "aa11",
          secretHash: keyring.mac("secret", "s"),
          subjectMac: null,
          revision,
          locale: null,
          renewedAt: time.now,
        } as const;
        return { change: { registration }, result: true };
      },
    });
  const done = (ring: Ring): Settlement => ({ ring, kind: "done", outcome: "accepted", at: time.now });

  let shown: number | null = null;
  let count = 0;
  let revision = 1;
  let deletionShared = false;
  // What was told OK: a count, a wake-up (by its step) or a revision; where, and whether the other node had it then.
  let acknowledged: { what: "badge" | "wake" | "put"; value: number; at: string; pair: boolean }[] = [];
  const acknowledge = (what: "badge" | "wake" | "put", value: number, node: Node) =>
    acknowledged.push({ what, value, at: node.name, pair: isLinked });
  const highest = (what: string) =>
    Math.max(0, ...acknowledged.filter((each) => each.what === what).map((each) => each.value));
  let step = 0;
  // The step in which the last calendar ring began that came to its end.
  let wokenAt = 0;
  const begunAt = new Map<Ring, number>();
  const flights = new Map<string, Ring>();
  const copies = new Map<string, string>();
  const victim = nodes[random(2)] ?? a;
  function draw(): { operation: string; node: Node } {
    const node = nodes[random(2)] ?? a;
    const operations =
      "badge badge badge wake ring ring begin end cut heal switch snap restore put delete".split(" ");
    return { operation: operations[random(operations.length)] ?? "", node };
  }
  function scripted(text: string): { operation: string; node: Node } {
    const [operation = "", name = "a"] = text.split(" ");
    return { operation, node: name === "a" ? a : b };
  }

  async function snapshot(node: Node, name = node.name): Promise<void> {
    await habits.wire?.closing(node.name);
    await node.store.stop();
    const copy = join(directory, `${name}.copy`);
    copyFileSync(node.path, copy);
    copies.set(name, copy);
    node.store = await open(node.name, node.path);
  }
  /** What is owed by the rows that a node has, and what people are shown of it. */
  async function owedAt({ store }: Node): Promise<string> {
    const { badge, reasons, newsAt, lastRing, next } = await store.inspect(ID);
    const sorted = [...reasons].sort((left, right) => (left.reason < right.reason ? -1 : 1));
    return JSON.stringify({ badge, reasons: sorted, newsAt, lastRing, next });
  }
  /** Removes rows of former feeds; nothing else is owed for that, nor on a node that still has them. */
  async function tidy(node: Node): Promise<string | null> {
    const before = await owedAt(node);
    const { feed: peerFeed } = await other(node).store.position();
    const seq = isLinked ? node.store.committedSeq() : 0;
    const removed = await node.store.removeFormer({ seq, peerFeed });
    if (removed > 0) log.push(`${removed} former rows removed at ${node.name}`);
    const after = await owedAt(node);
    if (before !== after) return "something else is owed without a former feed's rows";
    return isLinked && after !== (await owedAt(other(node))) ? "the nodes disagree about what is owed" : null;
  }
  async function ring(node: Node): Promise<Ring | null> {
    const begun = (await node.store.begin([ID]))[0] ?? null;
    if (begun !== null) begunAt.set(begun, step);
    return begun;
  }
  async function finish(node: Node, flight: Ring): Promise<void> {
    if (flight.badge !== null) shown = flight.badge;
    if (flight.reason === "calendar") wokenAt = Math.max(wokenAt, begunAt.get(flight) ?? 0);
    await node.store.settle([done(flight)]);
  }

  try {
    for (const node of nodes) await snapshot(node, `empty ${node.name}`);
    await put(a, revision);
    await share();
    for (const node of nodes) await snapshot(node);
    let wrong: string | null = null;
    const steps = isRandom ? 6 + random(23) : schedule.length;
    for (step = 1; step <= steps; step += 1) {
      time.now += STEP_MS;
      const { operation, node } = isRandom ? draw() : scripted(schedule[step - 1] ?? "");
      if (isRandom && further(3) === 0) wrong ??= await tidy(nodes[further(2)] ?? a);
      switch (operation) {
        case "badge":
        case "wake": {
          if ((await state(node))?.kind === "deleted") break;
          count += 1;
          await change(
            node,
            operation === "badge"
              ? { badge: { count, eventAt: time.now }, reasons: [{ reason: "mail" }] }
              : { reasons: [{ reason: "calendar" }] },
          );
          await share();
          acknowledge(operation, operation === "badge" ? count : step, node);
          log.push(`${operation} ${count} at ${node.name} ${isLinked ? "pair" : "node"}`);
          break;
        }
        case "ring":
        case "begin": {
          if ((!node.active && isLinked) || flights.has(node.name)) break;
          const flight = await ring(node);
          if (flight === null) break;
          if (operation === "begin") {
            flights.set(node.name, flight);
            log.push(`ring ${flight.badge} begun by ${node.name}`);
          } else {
            await finish(node, flight);
            await share();
            log.push(`ring ${flight.badge} by ${node.name}`);
          }
          break;
        }
        case "end": {
          const [entry] = flights;
          if (entry === undefined) break;
          flights.delete(entry[0]);
          const by = entry[0] === "a" ? a : b;
          await finish(by, entry[1]);
          await share();
          log.push(`ring ${entry[1].badge} ended by ${by.name}`);
          break;
        }
        case "cut":
          isLinked = false;
          habits.wire?.setLinked(false);
          log.push("cut");
          break;
        case "heal":
          isLinked = true;
          habits.wire?.setLinked(true);
          await share();
          log.push("heal");
          break;
        case "switch":
          if (!isLinked) break;
          for (const each of nodes) each.active = !each.active;
          log.push("switch");
          break;
        case "snap":
          await snapshot(node);
          log.push(`snapshot ${node.name}`);
          break;
        case "tidy":
          wrong ??= await tidy(node);
          break;
        case "lose":
        case "restore": {
          const isLost = isRandom ? further(4) === 0 : operation === "lose";
          const copy = copies.get(isLost ? `empty ${node.name}` : node.name);
          if (copy === undefined || (isRandom && (node !== victim || random(2) === 0))) break;
          flights.delete(node.name);
          await habits.wire?.closing(node.name);
          await node.store.stop();
          for (const suffix of ["-wal", "-shm"]) rmSync(node.path + suffix, { force: true });
          copyFileSync(copy, node.path);
          node.store = await open(node.name, node.path);
          if (habits.newFeed && habits.wire === undefined) await node.store.beginFeed();
          // It knows no more how far it had read, and its old place in its own feed is no place any more.
          node.read = { feed: "", seq: 0 };
          acknowledged = acknowledged.filter((each) => each.pair || each.at !== node.name);
          log.push(`restore ${node.name}${isLost ? " from before the registration" : ""}`);
          await share();
          break;
        }
        case "put":
          revision += 1;
          if (!(await put(node, revision))) break;
          await share();
          acknowledge("put", revision, node);
          log.push(`put ${revision} at ${node.name}`);
          break;
        case "delete":
          if ((await state(node))?.kind !== "present" || (isRandom && random(10) >= 3)) break;
          await change(node, { delete: { at: time.now } });
          await share();
          deletionShared ||= isLinked;
          log.push(`delete at ${node.name}`);
          break;
      }
    }
    for (const [name, flight] of flights) {
      await finish(name === "a" ? a : b, flight);
      log.push(`late ring ${flight.badge} by ${name}`);
    }
    isLinked = true;
    habits.wire?.setLinked(true);
    await share();
    const active = a.active ? a : b;
    let last = 0;
    for (; last < 8; last += 1) {
      time.now += STEP_MS;
      const flight = await ring(active);
      if (flight === null) break;
      await finish(active, flight);
      log.push(`final ring ${flight.badge}`);
    }
    await share();
    const states = [await state(a), await state(b)];
    for (const node of nodes) wrong ??= await tidy(node);
    const want = highest("badge");
    if (last === 8) wrong = "rings for ever";
    else if (states[0]?.kind !== states[1]?.kind) wrong = "the nodes disagree";
    else if (states[0]?.kind === "present") {
      if (want > 0 && (shown ?? 0) < want) wrong = `the phone shows ${shown}, acknowledged was ${want}`;
      const stored = await newestStored(active);
      if (stored !== null && shown !== stored) wrong = `the phone shows ${shown}, stored is ${stored}`;
      if (highest("wake") > wokenAt) wrong = "a calendar's change was never rung";
      if (states[0].registration.revision < highest("put")) wrong = "a renewal was forgotten";
      const view = (node: Node) => node.store.read([ID]).then(([each]) => JSON.stringify(each?.state));
      if ((await view(a)) !== (await view(b))) wrong = "the nodes disagree about the registration";
    }
    if (deletionShared && states.some((each) => each?.kind !== "deleted")) {
      wrong = "a deleted registration returned";
    }
    return { wrong, log };
  } finally {
    for (const node of nodes) await habits.wire?.closing(node.name);
    for (const node of nodes) await node.store.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The newest badge that a node knows of. */
async function newestStored(node: Node): Promise<number | null> {
  const rows = await node.store.rowsAfter(0, 1_000);
  const owed = rows.flatMap(({ table, row }): OwedRow[] =>
    table !== "owed"
      ? []
      : [
          {
            feed: String(row.feed),
            badge: row.badge === null ? null : Number(row.badge),
            badgeMark: Number(row.badge_mark),
            badgeEventAt: Number(row.badge_event_at),
            badgeSeen: JSON.parse(String(row.badge_seen)),
            reasons: {},
          },
        ],
  );
  return newestBadge(owed)?.badge ?? null;
}
