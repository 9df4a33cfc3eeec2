// The Exchange-facing listener: one complete POST in, the answer out. Exchange waits for the store's commit and
// for nothing else. It challenges nobody and redirects nobody: old servers answer a challenge with their machine
// account (CVE-2018-8581).
import { isBellError } from "../errors.ts";
import type { Capability, Keyring } from "../keys/types.ts";
import type { FixedAnswer, HttpRequest, RequestHandler } from "../net/types.ts";
import type { Logger } from "../ops/log.ts";
import type { Metrics, NotificationResult } from "../ops/metrics.ts";
import type { Durability, RegistrationState, Store } from "../store/types.ts";
import { BAD_REQUEST, NOT_FOUND, statusAnswer, UNAVAILABLE } from "./answer.ts";
import { type Decision, decide, type Posted, type Verdict } from "./decide.ts";
import { type Heard, type HeardError, type HeardEvents, hear } from "./meaning.ts";
import { type MalformedWhy, type ParseResult, parseNotification } from "./notification.ts";
import type { RingsFor } from "./ring-folders.ts";
import { createThrottle } from "./throttle.ts";
import { createUnknownIds } from "./unknown-ids.ts";
import type { Watcher } from "./watcher.ts";

export interface ExchangeHandlerOptions {
  readonly store: Pick<Store, "submit" | "findSubscription">;
  readonly keyring: Pick<Keyring, "checkCapability" | "mac" | "logId">;
  readonly config: {
    /** Whether `POST /ews` without a capability is served. */
    readonly sharedRoute: boolean;
    /** How long an unknown SubscriptionId is answered OK on the shared route, milliseconds. */
    readonly unknownGraceMs: number;
  };
  readonly log: Logger;
  readonly metrics: Pick<
    Metrics,
    "notifications" | "answers" | "watermarkGaps" | "keyUnknown" | "unpatchedExchange" | "resubscribeAsks"
  >;
  /** Is told what was heard. */
  readonly watcher: Pick<Watcher, "heard" | "mayAsk" | "asked">;
  readonly rings: RingsFor;
  /** Wall time, epoch milliseconds. */
  readonly now: () => number;
  /** True while this node may lack rows, or is not the one that judges: then no subscription is ended. */
  readonly starting?: () => boolean;
  /** False while this node has to leave the answers to another one. */
  readonly serving?: () => boolean;
}

const SHARED_PATH = "/ews";
const CAPABILITY_PREFIX = "/ews/";
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
// Exchange servers of a company, or registrations in trouble at one time: more lines would not help anybody.
const MAX_CAUSES = 1000;

/** A verdict, and on how many nodes it rests; null if it rests on no commit. */
interface Answered {
  readonly verdict: Verdict;
  readonly durable: Durability | null;
}

/** What became of one POST. */
interface Outcome {
  readonly answer: FixedAnswer;
  /** Null for what was no notification at all. */
  readonly result: NotificationResult | null;
}

/** Makes the handler for the listener that Exchange reaches. */
export function createExchangeHandler(options: ExchangeHandlerOptions): RequestHandler {
  const { store, keyring, config, log, metrics, now } = options;
  const unknownIds = createUnknownIds(config.unknownGraceMs);
  const unpatchedThrottle = createThrottle(HOUR_MS, MAX_CAUSES);
  const keyThrottle = createThrottle(MINUTE_MS, 1);
  const troubleThrottle = createThrottle(HOUR_MS, MAX_CAUSES);
  const mayEnd = (): boolean => options.starting?.() !== true;

  async function handle(request: HttpRequest): Promise<FixedAnswer> {
    if (request.headers.has("authorization")) noteAuthorization(request);
    const { answer, result } = await route(request);
    if (result !== null) metrics.notifications.inc({ result });
    metrics.answers.inc({ status: answer.status });
    return answer;
  }

  async function route(request: HttpRequest): Promise<Outcome> {
    const { method, path } = request;
    if (options.serving?.() === false) return { answer: UNAVAILABLE, result: null };
    if (method !== "POST") return { answer: NOT_FOUND, result: null };
    try {
      if (path.startsWith(CAPABILITY_PREFIX)) return await capabilityRoute(request);
      if (path === SHARED_PATH && config.sharedRoute) return await sharedRoute(request);
    } catch (error) {
      // The store tells of its own trouble; here it only means that Exchange has to try again.
      if (isBellError(error, "store_unavailable")) return { answer: UNAVAILABLE, result: "refused" };
      throw error;
    }
    return { answer: NOT_FOUND, result: null };
  }

  async function capabilityRoute(request: HttpRequest): Promise<Outcome> {
    const check = keyring.checkCapability(request.path.slice(CAPABILITY_PREFIX.length));
    switch (check.kind) {
      case "forged":
        return { answer: NOT_FOUND, result: "refused" };
      case "unknown_key":
        metrics.keyUnknown.inc();
        if (keyThrottle.allows("key", now())) {
          log.error(
            { code: "key_unknown", correlationId: request.correlationId, keyId: check.keyId },
            "A callback URL was signed with a key that this node does not have. Exchange is told to try again.",
          );
        }
        return { answer: UNAVAILABLE, result: "refused" };
      case "valid": {
        const parsed = readBody(request);
        const heard = parsed.kind === "malformed" ? null : hear(parsed.messages, keyring);
        const posted = postedOn(check.capability, heard);
        const { verdict, durable } = await submit(request, posted, (state) => decide(state, posted));
        noteTrouble(request, check.capability, parsed, verdict);
        return { answer: statusAnswer(verdict.answer, durable), result: verdict.metric };
      }
    }
  }

  /** The classic order: the app subscribed at a fixed URL and registers the SubscriptionId. */
  async function sharedRoute(request: HttpRequest): Promise<Outcome> {
    const parsed = readBody(request);
    if (parsed.kind === "malformed") {
      log.debug({ correlationId: request.correlationId, why: parsed.why }, "A notification cannot be used.");
      return { answer: BAD_REQUEST, result: "malformed" };
    }
    // In practice one message of one subscription; the answer can only speak for all of them.
    const answered: Answered[] = [];
    for (const [subscriptionMac, heard] of bySubscription(hear(parsed.messages, keyring))) {
      answered.push(await sharedVerdict(request, parsed, subscriptionMac, heard));
    }
    const ends = answered.length > 0 && answered.every(({ verdict }) => verdict.answer === "unsubscribe");
    return {
      answer: statusAnswer(ends ? "unsubscribe" : "ok", leastDurable(answered)),
      result: answered[0]?.verdict.metric ?? "unknown",
    };
  }

  async function sharedVerdict(
    request: HttpRequest,
    parsed: ParseResult,
    subscriptionMac: Buffer,
    heard: readonly Heard[],
  ): Promise<Answered> {
    const found = await store.findSubscription(subscriptionMac);
    if (found === null) {
      const overdue = unknownIds.isOverdue(subscriptionMac, now()) && mayEnd();
      const answer = overdue ? "unsubscribe" : "ok";
      log.debug({ correlationId: request.correlationId, answer }, "A SubscriptionId is unknown.");
      return { verdict: unknownVerdict(answer), durable: null };
    }
    const posted = postedOn(found, heard);
    const answered = await submit(request, posted, (state) =>
      // It may have been noted elsewhere, or replaced, since it was looked up.
      isNoted(state, found.folder, subscriptionMac)
        ? decide(state, posted)
        : { result: unknownVerdict("ok") },
    );
    noteTrouble(request, found, parsed, answered.verdict);
    return answered;
  }

  function postedOn(capability: Capability, heard: readonly Heard[] | null): Posted {
    const failure = heard?.find(isError);
    const mayAsk = failure !== undefined && options.watcher.mayAsk(failure.serverMac);
    return { capability, heard, nowMs: now(), mayEnd: mayEnd(), mayAsk, rings: options.rings };
  }

  async function submit(
    request: HttpRequest,
    { capability, heard }: Posted,
    decideOn: (state: RegistrationState) => Decision,
  ): Promise<Answered> {
    let word: Durability | null = null;
    const decided = await store.submit<Verdict>({
      registrationId: capability.registrationId,
      decide: decideOn,
      onDurable: (durability) => {
        word = durability;
      },
      origin: { correlationId: request.correlationId, receivedAtMs: request.receivedAtMs },
    });
    const verdict = acknowledged(decided, word);
    if (verdict.watermarkGaps > 0) metrics.watermarkGaps.inc(verdict.watermarkGaps);
    if (verdict.asks) {
      metrics.resubscribeAsks.inc({ state: "failed" });
      options.watcher.asked(heard?.find(isError)?.serverMac ?? null);
    }
    if (verdict.lives) options.watcher.heard(capability, heard?.find(isEvents)?.serverMac ?? null);
    const fields = {
      correlationId: request.correlationId,
      registration: keyring.logId(capability.registrationId),
      folder: capability.folder,
      result: verdict.metric,
      answer: verdict.answer,
      why: verdict.why,
    };
    if (verdict.answer === "unsubscribe") log.info(fields, "A subscription ends.");
    else log.debug(fields, "Exchange was heard.");
    return { verdict, durable: verdict.durable ? (word ?? "node") : null };
  }

  /** Says once in a while, for one registration, what an administrator would otherwise have to guess. */
  function noteTrouble(
    request: HttpRequest,
    capability: Capability,
    parsed: ParseResult,
    verdict: Verdict,
  ): void {
    const failure =
      parsed.kind === "malformed" ? null : parsed.messages.find((message) => message.kind === "error");
    if ((parsed.kind !== "malformed" && failure === undefined) || verdict.answer === "unsubscribe") return;
    const registration = keyring.logId(capability.registrationId);
    if (!troubleThrottle.allows(`${parsed.kind} ${registration}`, now())) return;
    const fields = { correlationId: request.correlationId, registration, folder: capability.folder };
    if (parsed.kind === "malformed") {
      log.warn(
        { ...fields, why: parsed.why },
        "A notification cannot be used: the phone is woken without a badge.",
      );
    } else if (failure?.kind === "error") {
      log.warn(
        { ...fields, responseCode: failure.responseCode },
        verdict.asks
          ? "Exchange lost a subscription: the app is asked to subscribe again."
          : "Exchange lost a subscription; the app was asked to subscribe again a while ago, or is later.",
      );
    }
  }

  /** The credentials themselves are neither read nor logged. */
  function noteAuthorization(request: HttpRequest): void {
    metrics.unpatchedExchange.inc();
    if (!unpatchedThrottle.allows(request.remoteAddress, now())) return;
    log.warn(
      { correlationId: request.correlationId, remoteAddress: request.remoteAddress },
      "Exchange sent credentials that nobody asked for. That server lacks the update for CVE-2018-8581: install it.",
    );
  }

  return handle;
}

function isEvents(message: Heard): message is HeardEvents {
  return message.kind === "events";
}

function isError(message: Heard): message is HeardError {
  return message.kind === "error";
}

function readBody(request: HttpRequest): ParseResult {
  if (request.oversize) return malformed("too_large");
  // Exchange does not compress; unpacking would only open a door for bombs.
  const encoding = request.headers.get("content-encoding");
  if (encoding !== undefined && encoding.trim().toLowerCase() !== "identity") return malformed("compressed");
  return parseNotification(request.body);
}

function malformed(why: MalformedWhy): ParseResult {
  return { kind: "malformed", why };
}

/** Messages by the subscription they are of, in order; those that name none (some errors) can reach nobody. */
function bySubscription(heard: readonly Heard[]): readonly (readonly [Buffer, readonly Heard[]])[] {
  const groups = new Map<string, [Buffer, Heard[]]>();
  for (const message of heard) {
    if (message.subscriptionMac === null) continue;
    const key = message.subscriptionMac.toString("latin1");
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [message.subscriptionMac, [message]]);
    else group[1].push(message);
  }
  return [...groups.values()];
}

function isNoted(state: RegistrationState, folderName: string, subscriptionMac: Buffer): boolean {
  if (state.kind !== "present") return false;
  const folder = state.folders.find((candidate) => candidate.name === folderName);
  return folder?.subscriptionMac?.equals(subscriptionMac) === true;
}

/**
 * An end that is not on both nodes of a pair is none yet: Exchange posts again, and is told then.
 * @param word null on a single node
 */
function acknowledged(verdict: Verdict, word: Durability | null): Verdict {
  return verdict.answer === "unsubscribe" && word === "node" ? { ...verdict, answer: "ok" } : verdict;
}

/** What all of them can claim. */
function leastDurable(answered: readonly Answered[]): Durability | null {
  if (answered.length === 0 || answered.some(({ durable }) => durable === null)) return null;
  return answered.every(({ durable }) => durable === "pair") ? "pair" : "node";
}

function unknownVerdict(answer: "ok" | "unsubscribe"): Verdict {
  return {
    answer,
    metric: "unknown",
    why: "subscription_unknown",
    durable: false,
    watermarkGaps: 0,
    lives: false,
    asks: false,
  };
}
