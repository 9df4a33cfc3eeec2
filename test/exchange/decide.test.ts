// Decisions on one POST: generations, endings, duplicates, heartbeats, errors, and what is kept while rows are missing.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decide, type Posted } from "../../src/exchange/decide.ts";
import { type Heard, type HeardEvents, hear } from "../../src/exchange/meaning.ts";
import { parseNotification } from "../../src/exchange/notification.ts";
import { folderState } from "../../src/store/folder-state.ts";
import { mergeRows, type RawRow } from "../../src/store/merge.ts";
import type { Folder, RegistrationState } from "../../src/store/types.ts";
import { folder, keyring } from "../store/helpers.ts";
import {
  folderChanged,
  inbox,
  inboxOf,
  newMail,
  presentState,
  type WrittenMessage,
  write,
} from "./helpers.ts";

const NOW = 1_760_000_000_000;
const mac = {
  subscription: (id: string) => keyring.mac("subscription", id),
  watermark: (text: string) => keyring.mac("watermark", text),
  folder: (id: string) => keyring.mac("folder", id),
};

function heard(...messages: WrittenMessage[]): readonly Heard[] {
  const parsed = parseNotification(write(messages));
  if (parsed.kind === "malformed") throw new Error(parsed.why);
  return hear(parsed.messages, keyring);
}

const MAIL = heard({ events: newMail("inbox-id", 5, "w2"), previousWatermark: "w1" });
const STATUS = heard({ events: [{ kind: "status", watermark: "w2" }], previousWatermark: "w1" });
const ERROR = heard({ error: "ErrorReadEventsFailed" });

const posted = (what: readonly Heard[] | null): Posted => ({
  capability: inboxOf(1, 10),
  heard: what,
  nowMs: NOW,
  mayEnd: true,
  mayAsk: true,
  rings: () => true,
});

function decideOn(
  state: RegistrationState,
  generation: number,
  what: readonly Heard[] | null,
  mayEnd = true,
) {
  return decide(state, { ...posted(what), capability: inboxOf(1, generation), mayEnd });
}

/** A folder as far as two copies of it are merged. */
function asRow(only: Folder): RawRow {
  return {
    name: only.name,
    kind: only.kind,
    generation: only.generation,
    bound_generation: only.boundGeneration,
    ended_generation: only.endedGeneration,
    subscription_mac: only.subscriptionMac,
    watermark_mac: only.watermarkMac,
    last_heard_at: only.lastHeardAt,
    server_mac: only.serverMac,
    failed_at: only.failedAt,
    folder_mac: only.folderMac,
    folder_learnt: only.folderLearnt ? 1 : 0,
    status_frequency: only.statusFrequencyMinutes,
    removed_revision: null,
  };
}

const changedFolder = (decision: ReturnType<typeof decide>): Folder => {
  const [only] = decision.change?.folders ?? [];
  if (only === undefined) throw new Error("no folder is written");
  return only;
};

/** An inbox on which subscription-1 was heard last with watermark w1. */
const live = (generation: number, more: Partial<Folder> = {}): Folder =>
  inbox(generation, {
    boundGeneration: generation,
    subscriptionMac: mac.subscription("subscription-1"),
    watermarkMac: mac.watermark("w1"),
    lastHeardAt: NOW - 1000,
    ...more,
  });

describe("generations", () => {
  test("the first POST of a generation binds it and notes the subscription", () => {
    const decision = decideOn(presentState([inbox(10)]), 10, MAIL);
    expect(decision.result).toMatchObject({ answer: "ok", metric: "accepted", durable: true });
    expect(changedFolder(decision)).toMatchObject({
      generation: 10,
      boundGeneration: 10,
      subscriptionMac: mac.subscription("subscription-1"),
      watermarkMac: mac.watermark("w2"),
      lastHeardAt: NOW,
      folderMac: mac.folder("inbox-id"),
      folderLearnt: true,
    });
    expect(decision.change?.badge?.count).toBe(5);
    expect(decision.change?.reasons).toEqual([{ reason: "mail" }]);
  });

  test("until a newer generation is heard, the older one is served", () => {
    const decision = decideOn(presentState([live(10, { generation: 20 })], { revision: 20 }), 10, MAIL);
    expect(decision.result.answer).toBe("ok");
    expect(changedFolder(decision)).toMatchObject({ generation: 20, boundGeneration: 10 });
  });

  test("once a newer generation is heard, the older one is committed as ended and then told so", () => {
    const state = presentState([live(20)], { revision: 20 });
    const decision = decideOn(state, 10, MAIL);
    expect(decision.result).toMatchObject({ answer: "unsubscribe", durable: true, why: "generation_older" });
    expect(decision.change).toEqual({ folders: [{ ...live(20), endedGeneration: 10 }] });
    const again = decideOn(presentState([changedFolder(decision)], { revision: 20 }), 10, MAIL);
    expect(again.result.answer).toBe("unsubscribe");
    expect(again.change).toBeUndefined();
  });

  test("another SubscriptionId within a generation is accepted and noted, and its watermarks start anew", () => {
    const state = presentState([live(10)]);
    const other = heard({
      subscriptionId: "subscription-2",
      previousWatermark: "z",
      events: newMail("inbox-id", 6, "z1"),
    });
    const decision = decideOn(state, 10, other);
    expect(decision.result).toMatchObject({ answer: "ok", watermarkGaps: 0 });
    expect(changedFolder(decision).subscriptionMac).toEqual(mac.subscription("subscription-2"));
    const bare = heard({ subscriptionId: "subscription-2", events: [{ kind: "newMail", about: "item" }] });
    expect(changedFolder(decideOn(state, 10, bare)).watermarkMac).toBeNull();
  });

  test("a capability above the stored generation raises it", () => {
    const decision = decideOn(presentState([live(10)]), 30, MAIL);
    expect(decision.result.answer).toBe("ok");
    expect(changedFolder(decision)).toMatchObject({ generation: 30, boundGeneration: 30 });
  });

  test("a new generation forgets a learnt inbox and keeps a given one", () => {
    const count = heard({ events: [folderChanged("inbox-id", "root", 7, "w9")] });
    const learnt = live(10, { generation: 20, folderMac: mac.folder("inbox-id"), folderLearnt: true });
    const forgotten = decideOn(presentState([learnt], { revision: 20 }), 20, count);
    expect(changedFolder(forgotten)).toMatchObject({ folderMac: null, folderLearnt: false });
    expect(forgotten.change?.badge).toBeUndefined();
    const given = { ...learnt, folderLearnt: false };
    expect(decideOn(presentState([given], { revision: 20 }), 20, count).change?.badge?.count).toBe(7);
  });

  test("a learnt inbox is not learnt again from another folder", () => {
    const state = presentState([live(10, { folderMac: mac.folder("inbox-id"), folderLearnt: true })]);
    const decision = decideOn(state, 10, heard({ events: newMail("sub-folder", 42, "w2") }));
    expect(changedFolder(decision).folderMac).toEqual(mac.folder("inbox-id"));
    expect(decision.change?.badge).toBeUndefined();
  });

  test("a calendar learns no inbox", () => {
    const calendar = folder("calendar", 10);
    const capability = { ...inboxOf(1, 10), folder: "calendar" };
    const decision = decide(presentState([calendar]), { ...posted(MAIL), capability });
    expect(changedFolder(decision).folderMac).toBeNull();
    expect(decision.change?.reasons).toEqual([{ reason: "calendar" }]);
  });
});

describe("endings", () => {
  test("a deleted registration is told so without a further commit", () => {
    const decision = decideOn({ kind: "deleted", at: NOW - 1 }, 10, MAIL);
    expect(decision).toEqual({
      result: {
        answer: "unsubscribe",
        metric: "refused",
        why: "deleted",
        durable: true,
        watermarkGaps: 0,
        lives: false,
        asks: false,
      },
    });
  });

  test("a token dead by the rules ends the subscription: committed first, told then", () => {
    const decision = decideOn(presentState([live(10)], { dead: "ended" }), 10, MAIL);
    expect(decision.result).toMatchObject({ answer: "unsubscribe", why: "token_dead" });
    expect(decision.change).toEqual({ folders: [{ ...live(10), endedGeneration: 10 }] });
  });

  test("a token dead by the rules ends nothing of a later PUT that this node has not seen", () => {
    expect(decideOn(presentState([live(10)], { dead: "ended" }), 11, MAIL).result.answer).toBe("ok");
  });

  test("a token that only stopped ringing ends nothing, and its news stays owed", () => {
    const decision = decideOn(presentState([live(10)], { dead: "stopped" }), 10, MAIL);
    expect(decision.result.answer).toBe("ok");
    expect(decision.change?.badge?.count).toBe(5);
  });

  test("a folder that a later PUT left out is ended by the app's own wish", () => {
    const decision = decideOn(presentState([], { revision: 11 }), 10, MAIL);
    expect(decision.result).toMatchObject({ answer: "unsubscribe", why: "folder_removed" });
  });

  test("a folder that is missing beside its own or an older revision is lack of data: nothing ends", () => {
    for (const revision of [10, 9]) {
      const decision = decideOn(presentState([], { revision }), 10, MAIL);
      expect(decision.result).toMatchObject({ answer: "ok", why: "folder_missing" });
      expect(changedFolder(decision)).toMatchObject({ name: "inbox", kind: "inbox", boundGeneration: 10 });
    }
  });

  test("while rows may be missing nothing is ended, and nothing is written for what has ended", () => {
    for (const state of [
      { kind: "deleted", at: 1 } as const,
      presentState([live(20)], { revision: 20 }),
      presentState([], { revision: 11 }),
    ]) {
      const decision = decideOn(state, 10, MAIL, false);
      expect(decision.result).toMatchObject({ answer: "ok", durable: false });
      expect(decision.change).toBeUndefined();
    }
  });

  test("while rows may be missing a dead token may have been replaced: what is answered stays owed", () => {
    const decision = decideOn(presentState([live(10)], { dead: "ended" }), 10, MAIL, false);
    expect(decision.result).toMatchObject({ answer: "ok", durable: true });
    expect(decision.change?.badge?.count).toBe(5);
  });
});

describe("a missing registration", () => {
  test("what is guessed of a folder gives way to its own row, however often it is heard before", () => {
    const state = (folders: readonly Folder[]): RegistrationState => ({ kind: "missing", folders });
    const first = changedFolder(decideOn({ kind: "missing" }, 10, MAIL));
    const again = changedFolder(decideOn(state([first]), 10, STATUS));
    const newer = changedFolder(decideOn(state([again]), 12, MAIL));
    const row = (wish: Folder) => ({ ...asRow(wish), version: 1 });
    for (const [guess, generation] of [
      [first, 10],
      [again, 10],
      [newer, 12],
    ] as const) {
      expect([folderState(guess), guess.boundGeneration]).toEqual(["live", generation]);
      const wished = inbox(generation, { folderMac: mac.folder("given"), statusFrequencyMinutes: 15 });
      const merged = mergeRows("folder", { ...asRow(guess), version: 2 }, row(wished));
      expect(merged).toMatchObject({
        generation,
        bound_generation: generation,
        folder_mac: mac.folder("given"),
        status_frequency: 15,
        last_heard_at: NOW,
      });
    }
  });

  test("its news is kept under its id, with a folder guessed from the name", () => {
    const decision = decideOn({ kind: "missing" }, 10, MAIL);
    expect(decision.result).toMatchObject({ answer: "ok", metric: "accepted", why: "registration_missing" });
    expect(decision.change?.badge?.count).toBe(5);
    expect(changedFolder(decision)).toMatchObject({ kind: "inbox", boundGeneration: 10 });
  });

  test("what was learnt for it meanwhile is used, and an older generation does not bind over a newer one", () => {
    const waiting = live(20, { folderMac: mac.folder("inbox-id"), folderLearnt: true });
    const state: RegistrationState = { kind: "missing", folders: [waiting] };
    const count = heard({ events: [folderChanged("inbox-id", "root", 7, "w9")] });
    expect(decideOn(state, 20, count).change?.badge?.count).toBe(7);
    const older = decideOn(state, 10, MAIL);
    expect(older.result.answer).toBe("ok");
    expect(older.change).toBeUndefined();
  });
});

describe("repeats and silence", () => {
  test("a heartbeat on a bound subscription needs no commit", () => {
    const decision = decideOn(presentState([live(10)]), 10, STATUS);
    expect(decision.result).toMatchObject({ answer: "ok", metric: "heartbeat", durable: false });
    expect(decision.change?.lazy).toBe(true);
    expect(decision.change?.reasons).toBeUndefined();
    expect(changedFolder(decision)).toMatchObject({ lastHeardAt: NOW, watermarkMac: mac.watermark("w2") });
  });

  test("a heartbeat that says anything new is committed", () => {
    for (const before of [
      inbox(10),
      live(10, { failedAt: NOW - 5 }),
      live(10, { silentAt: NOW - 5 }),
      live(10, { asks: 1 }),
      live(10, { serverMac: keyring.mac("server", "ex01") }),
      live(10, { subscriptionMac: mac.subscription("other") }),
      live(10, { boundGeneration: 5 }),
    ]) {
      const decision = decideOn(presentState([before]), 10, STATUS);
      expect(decision.result).toMatchObject({ metric: "heartbeat", durable: true });
      expect(decision.change?.lazy).toBeUndefined();
    }
    expect(decideOn({ kind: "missing" }, 10, STATUS).change?.lazy).toBeUndefined();
  });

  test("the same body again is a duplicate: OK, no second ring", () => {
    const first = decideOn(presentState([live(10)]), 10, MAIL);
    const again = decideOn(presentState([changedFolder(first)]), 10, MAIL);
    expect(again.result).toMatchObject({
      answer: "ok",
      metric: "duplicate",
      durable: true,
      watermarkGaps: 0,
    });
    expect(again.change?.badge).toBeUndefined();
    expect(again.change?.reasons).toBeUndefined();
  });

  test("the same watermark of another subscription is no duplicate", () => {
    const first = changedFolder(decideOn(presentState([live(10)]), 10, MAIL));
    const other = heard({ subscriptionId: "subscription-2", events: newMail("inbox-id", 5, "w2") });
    expect(decideOn(presentState([first]), 10, other).result.metric).toBe("accepted");
  });

  test("a gap in the watermarks is counted, and neither the first POST nor a repeat is one", () => {
    const skipped = heard({ events: newMail("inbox-id", 5, "w9"), previousWatermark: "w8" });
    expect(decideOn(presentState([live(10)]), 10, skipped).result.watermarkGaps).toBe(1);
    expect(decideOn(presentState([live(10)]), 10, MAIL).result.watermarkGaps).toBe(0);
    expect(decideOn(presentState([inbox(10)]), 10, skipped).result.watermarkGaps).toBe(0);
    const after = changedFolder(decideOn(presentState([live(10)]), 10, STATUS));
    expect(decideOn(presentState([after]), 10, STATUS).result.watermarkGaps).toBe(0);
  });
});

describe("errors", () => {
  test("an error asks the app to subscribe again and is answered OK", () => {
    const decision = decideOn(presentState([live(10)]), 10, ERROR);
    expect(decision.result).toMatchObject({ answer: "ok", metric: "accepted", durable: true });
    expect(decision.change?.reasons).toEqual([{ reason: "resubscribe", folder: "inbox" }]);
    expect(changedFolder(decision)).toEqual({ ...live(10), failedAt: NOW, asks: 1, askedAt: NOW });
  });

  test("a good notification after it clears the failure", () => {
    const failed = live(10, { failedAt: NOW - 5 });
    expect(changedFolder(decideOn(presentState([failed]), 10, MAIL)).failedAt).toBeNull();
    expect(changedFolder(decideOn(presentState([failed]), 10, STATUS)).failedAt).toBeNull();
  });

  test("an error on a new generation does not end the older one that works", () => {
    const decision = decideOn(presentState([live(10, { generation: 20 })], { revision: 20 }), 20, ERROR);
    expect(changedFolder(decision).boundGeneration).toBe(10);
  });
});

describe("several messages in one POST", () => {
  test("all are applied, in order", () => {
    const both = heard(
      { events: [folderChanged("inbox-id", "root", 9, "w2")], previousWatermark: "w1" },
      { events: newMail("inbox-id", 10, "w3"), previousWatermark: "w2" },
    );
    const decision = decideOn(presentState([live(10)]), 10, both);
    expect(decision.result).toMatchObject({ metric: "accepted", watermarkGaps: 0 });
    expect(decision.change?.badge?.count).toBe(10);
    expect(decision.change?.reasons).toEqual([{ reason: "mail" }]);
    expect(changedFolder(decision).watermarkMac).toEqual(mac.watermark("w3"));
  });

  test("a heartbeat beside news is not lazy", () => {
    const decision = decideOn(presentState([live(10)]), 10, [
      ...STATUS,
      ...heard({ events: newMail("i", 1, "w3") }),
    ]);
    expect(decision.change?.lazy).toBeUndefined();
    expect(decision.result.durable).toBe(true);
  });
});

describe("a body that cannot be used", () => {
  test("wakes the phone without a badge and changes nothing else", () => {
    for (const state of [presentState([inbox(10)]), { kind: "missing" } as const, presentState([])]) {
      const decision = decideOn(state, 10, null);
      expect(decision.result).toMatchObject({ answer: "ok", metric: "malformed", durable: true });
      expect(decision.change).toEqual({ reasons: [{ reason: "changed" }] });
    }
    const capability = { ...inboxOf(1, 10), folder: "calendar" };
    expect(decide({ kind: "missing" }, { ...posted(null), capability }).change?.reasons).toEqual([
      { reason: "calendar" },
    ]);
  });

  test("never ends a subscription, and wakes nobody for one that has ended", () => {
    for (const state of [
      { kind: "deleted", at: 1 } as const,
      presentState([live(20)], { revision: 20 }),
      presentState([live(10, { endedGeneration: 10 })]),
      presentState([], { revision: 11 }),
    ]) {
      const decision = decideOn(state, 10, null);
      expect(decision.result.answer).toBe("ok");
      expect(decision.change).toBeUndefined();
    }
  });
});

describe("whatever the rows and the body", () => {
  const generation = fc.integer({ min: 1, max: 6 });
  const anyFolder: fc.Arbitrary<Folder> = fc
    .record({
      generation,
      bound: fc.integer({ min: 0, max: 6 }),
      ended: fc.integer({ min: 0, max: 6 }),
      subscription: fc.constantFrom(null, "subscription-1", "subscription-2"),
      watermark: fc.constantFrom(null, "w1", "w2"),
      failedAt: fc.constantFrom(null, 5),
      learnt: fc.constantFrom("no", "given", "learnt"),
    })
    .map((parts) =>
      inbox(parts.generation, {
        boundGeneration: parts.bound,
        endedGeneration: parts.ended,
        subscriptionMac: parts.subscription === null ? null : mac.subscription(parts.subscription),
        watermarkMac: parts.watermark === null ? null : mac.watermark(parts.watermark),
        failedAt: parts.failedAt,
        folderMac: parts.learnt === "no" ? null : mac.folder("inbox-id"),
        folderLearnt: parts.learnt === "learnt",
      }),
    );
  const anyState: fc.Arbitrary<RegistrationState> = fc.oneof(
    fc.constant<RegistrationState>({ kind: "deleted", at: 1 }),
    fc.constant<RegistrationState>({ kind: "missing" }),
    fc
      .tuple(
        fc.option(anyFolder, { nil: null }),
        generation,
        fc.constantFrom("no" as const, "stopped" as const, "ended" as const),
      )
      .map(([only, revision, dead]) => presentState(only === null ? [] : [only], { revision, dead })),
  );
  const anyBody = fc.constantFrom<readonly Heard[] | null>(
    MAIL,
    STATUS,
    ERROR,
    null,
    [...STATUS, ...MAIL],
    [...ERROR, ...MAIL],
  );
  const folderIn = (state: RegistrationState) => (state.kind === "present" ? state.folders[0] : undefined);

  test("a live, current generation of a present registration is never ended", () => {
    fc.assert(
      fc.property(anyState, generation, anyBody, (state, at, body) => {
        const only = folderIn(state);
        fc.pre(state.kind === "present" && only !== undefined && state.dead !== "ended");
        fc.pre(at >= only!.boundGeneration && at > only!.endedGeneration);
        expect(decideOn(state, at, body).result.answer).toBe("ok");
      }),
      { numRuns: 2000 },
    );
  });

  test("a missing registration, an unusable body and a node that may lack rows end nothing", () => {
    fc.assert(
      fc.property(anyState, generation, anyBody, fc.boolean(), (state, at, body, mayEnd) => {
        fc.pre(state.kind === "missing" || body === null || !mayEnd);
        expect(decideOn(state, at, body, mayEnd).result.answer).toBe("ok");
      }),
      { numRuns: 2000 },
    );
  });

  test("Unsubscribe rests on rows that say so once the change is applied, and stays the answer", () => {
    fc.assert(
      fc.property(anyState, generation, anyBody, (state, at, body) => {
        const { result, change } = decideOn(state, at, body);
        fc.pre(result.answer === "unsubscribe");
        const after: RegistrationState =
          state.kind === "present" && change?.folders !== undefined
            ? { ...state, folders: change.folders }
            : state;
        const only = folderIn(after);
        const isFact =
          after.kind === "deleted" ||
          (after.kind === "present" &&
            (only === undefined ? after.registration.revision > at : at <= only.endedGeneration));
        expect(isFact).toBe(true);
        expect(change?.badge).toBeUndefined();
        expect(change?.reasons).toBeUndefined();
        const again = decideOn(after, at, body);
        expect(again.result.answer).toBe("unsubscribe");
        expect(again.change).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test("generations never go back, and what is lazy says nothing but that it was heard", () => {
    fc.assert(
      fc.property(anyState, generation, anyBody, (state, at, body) => {
        const before = folderIn(state);
        const { change, result } = decideOn(state, at, body);
        const after = change?.folders?.[0];
        if (before !== undefined && after !== undefined) {
          expect(after.generation).toBeGreaterThanOrEqual(before.generation);
          expect(after.boundGeneration).toBeGreaterThanOrEqual(before.boundGeneration);
          expect(after.endedGeneration).toBeGreaterThanOrEqual(before.endedGeneration);
        }
        if (change?.lazy !== true) return;
        expect(result.metric).toBe("heartbeat");
        expect({ ...after, lastHeardAt: 0, watermarkMac: null }).toEqual({
          ...before,
          lastHeardAt: 0,
          watermarkMac: null,
        });
        expect(change.badge ?? change.reasons ?? change.removeFolders).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test("deciding twice on the same rows gives the same decision", () => {
    fc.assert(
      fc.property(anyState, generation, anyBody, (state, at, body) => {
        expect(decideOn(state, at, body)).toEqual(decideOn(state, at, body));
      }),
    );
  });
});

test("no id of Exchange is left in what decisions see", () => {
  const [message] = heard({
    subscriptionId: "raw-subscription",
    events: newMail("raw-folder", 1, "raw-watermark"),
  });
  expect(JSON.stringify(message as HeardEvents)).not.toContain("raw-");
});
