// What the running node answers on its control socket about single phones: `why`, `registrations`, `ring`, `forget`.
import type { Settings } from "../config/change.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import type { ControlHandler } from "../ops/control.ts";
import type { Role } from "../ops/health.ts";
import type { Logger } from "../ops/log.ts";
import type { Inspection } from "../store/inspect.ts";
import type { Change, RegistrationState, Store } from "../store/types.ts";
import { type NodeFacts, type PhoneFacts, phoneFacts } from "./facts.ts";
import { findRegistrations, registrationIdOf } from "./find.ts";
import { LISTED_STATES, type ListFilter, type ListPart, listPart, ROWS_A_PART } from "./list.ts";

export interface PhoneVerbsOptions {
  readonly store: Pick<Store, "inspect" | "findToken" | "findSubscription" | "list" | "submit">;
  readonly keyring: Pick<Keyring, "mac" | "logId">;
  readonly dispatcher: Pick<Dispatcher, "memory" | "stalled" | "isRinging">;
  readonly settings: () => Settings;
  readonly role: () => Role;
  readonly log: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface WhyReply {
  /** One for each registration that may be meant; none if a token or SubscriptionId is unknown. */
  readonly phones: readonly PhoneFacts[];
}

export interface RingReply {
  /** Epoch milliseconds: answers to test rings from then on are about this one. */
  readonly askedAt: number;
}

export interface ForgetReply {
  readonly forgotten: readonly string[];
  /** Deleted before. */
  readonly already: readonly string[];
}

/** The handlers by verb. */
export function createPhoneVerbs(options: PhoneVerbsOptions) {
  const { store, keyring, dispatcher, log, now } = options;

  function nodeFacts({ registrationId, state }: Inspection): NodeFacts {
    const { refused, test } = dispatcher.memory.answersTo(registrationId);
    const role = options.role() === "active" ? "active" : "passive";
    const ringing = dispatcher.isRinging(registrationId);
    if (state.kind !== "present") return { role, ringing, pause: null, stalled: false, refused, test };
    const { app, platform } = state.registration;
    const isMine = (each: { readonly app: string; readonly provider: string }) =>
      each.app === app && each.provider === platform;
    const pause = dispatcher.memory.pauses().find(isMine);
    return {
      role,
      ringing,
      pause: pause === undefined ? null : { reason: pause.reason, hint: pause.hint, since: pause.since },
      stalled: dispatcher.stalled().some(isMine),
      refused,
      test,
    };
  }

  async function factsOf(registrationId: string): Promise<PhoneFacts> {
    const inspection = await store.inspect(registrationId);
    const { apps, retention } = options.settings().config;
    return phoneFacts(inspection, {
      now: now(),
      config: { apps, idleMs: retention.idleRegistrationMs },
      node: nodeFacts(inspection),
    });
  }

  return {
    async why(input: unknown): Promise<WhyReply> {
      const { id, given } = fieldsOf(input);
      const ids =
        typeof id === "string" ? [readId(id)] : await findRegistrations(textOf(given), keyring, store);
      return { phones: await Promise.all(ids.map(factsOf)) };
    },

    async registrations(input: unknown): Promise<ListPart> {
      const { after, limit, ...rest } = fieldsOf(input);
      const filter = readFilter(rest);
      const rows = await store.list({
        after: typeof after === "string" ? readId(after) : null,
        limit: ROWS_A_PART,
        idle: filter.state === "idle",
      });
      return listPart(rows, filter, typeof limit === "number" ? limit : ROWS_A_PART);
    },

    async ring(input: unknown): Promise<RingReply> {
      const id = readId(textOf(fieldsOf(input).id));
      const askedAt = now();
      const outcome = await store.submit({ registrationId: id, decide: decideTest });
      if (outcome !== "owed") throw unknown(id, outcome);
      log.info({ registration: keyring.logId(id) }, "An administrator asked for a test ring.");
      return { askedAt };
    },

    async forget(input: unknown): Promise<ForgetReply> {
      const { ids } = fieldsOf(input);
      if (!Array.isArray(ids)) throw new BellError("usage", "The ids of registrations are expected.");
      const forgotten: string[] = [];
      const already: string[] = [];
      for (const id of ids.map((each) => readId(textOf(each)))) {
        const at = now();
        const outcome = await store.submit({
          registrationId: id,
          decide: (state) => decideForget(state, at),
        });
        if (outcome === "missing") throw unknown(id, outcome);
        if (outcome === "deleted") {
          already.push(id);
          continue;
        }
        forgotten.push(id);
        log.info({ registration: keyring.logId(id) }, "A registration was deleted by an administrator.");
      }
      return { forgotten, already };
    },
  } satisfies Record<string, ControlHandler>;
}

type Decision<T> = { readonly change?: Change; readonly result: T };

function decideTest(state: RegistrationState): Decision<"owed" | "missing" | "deleted"> {
  return state.kind === "present"
    ? { change: { reasons: [{ reason: "test" }] }, result: "owed" }
    : { result: state.kind };
}

function decideForget(state: RegistrationState, at: number): Decision<"forgotten" | "missing" | "deleted"> {
  return state.kind === "present"
    ? { change: { delete: { at } }, result: "forgotten" }
    : { result: state.kind };
}

function unknown(id: string, kind: "missing" | "deleted"): BellError {
  return new BellError(
    "registration_unknown",
    kind === "deleted"
      ? `The registration ${id} was deleted; its id is spent.`
      : `No registration has the id ${id}.`,
  );
}

function fieldsOf(input: unknown): Readonly<Record<string, unknown>> {
  return typeof input === "object" && input !== null ? (input as Readonly<Record<string, unknown>>) : {};
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new BellError("usage", "An id is expected.");
  return value;
}

function readId(text: string): string {
  const id = registrationIdOf(text);
  if (id === null) throw new BellError("usage", "A registration id is a UUID.");
  return id;
}

function readFilter({ app, platform, state, owed }: Readonly<Record<string, unknown>>): ListFilter {
  const known = LISTED_STATES.find((each) => each === state);
  return {
    ...(typeof app === "string" ? { app } : {}),
    ...(platform === "apns" || platform === "fcm" ? { platform } : {}),
    ...(known === undefined ? {} : { state: known }),
    owed: owed === true,
  };
}
