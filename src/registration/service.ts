// What each request does: credentials and limits before, the store's decision, the answer and the log line
// after. The decisions themselves are in `decide.ts`.
import type { Config, Secrets } from "../config/types.ts";
import type { Keyring } from "../keys/types.ts";
import { createLimiter } from "../net/rate.ts";
import type { HttpRequest } from "../net/types.ts";
import type { Logger } from "../ops/log.ts";
import { createQuietLog } from "../ops/quiet-log.ts";
import type { RegistrationState, Store } from "../store/types.ts";
import { type DurabilityNote, emptyResponse, jsonResponse, noteDurability } from "./answer.ts";
import { bearerToken, hashSecret, isEnrolled, sameHash } from "./credentials.ts";
import { decideDelete, decidePut, decideRing } from "./decide.ts";
import { NOT_KNOWN_YET, type Problem, problemResponse, rateLimited, UNAUTHORIZED } from "./problem.ts";
import type { RegistrationRequest } from "./schema.ts";
import { getAnswer, putAnswer } from "./view.ts";
import { readWish } from "./wish.ts";

export interface ServiceDeps {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly config: Config;
  readonly secrets: Secrets;
  readonly log: Logger;
  /** Wall time, epoch milliseconds. */
  readonly now: () => number;
  /** Whether another node may have registered phones that this one does not know yet. */
  readonly mayLackRows?: () => boolean;
}

/** The four requests on one registration. `id` is a UUID in lower case. */
export interface Service {
  register(request: HttpRequest, id: string, body: RegistrationRequest): Promise<Response>;
  look(request: HttpRequest, id: string): Promise<Response>;
  unregister(request: HttpRequest, id: string): Promise<Response>;
  ring(request: HttpRequest, id: string): Promise<Response>;
}

// Only wrong attempts are counted, so a right secret is never delayed: these limits spare the log and the
// store, and are no protection for a secret that can be guessed. Unknown ids and wrong secrets take from the
// same allowances, so that a 429 tells no more than a 401. Behind a gateway all phones share one address,
// therefore that allowance is wide.
const WRONG_PER_ID = { burst: 10, refillMs: 10_000, maxKeys: 10_000 };
const WRONG_PER_ADDRESS = { burst: 100, refillMs: 500, maxKeys: 10_000 };
// Requests on one registration with one secret, right or wrong: an app needs a handful a day, and one that repeats
// itself without end is slowed before it reaches the store. The secret is part of the key, so that nobody can use up
// the allowance of a phone by knowing its id.
const REQUESTS = { burst: 60, refillMs: 1000, maxKeys: 20_000 };
// Test rings for one registration: 6 a minute.
const RINGS = { burst: 6, refillMs: 10_000, maxKeys: 10_000 };

// A warning that any stranger can cause is written once in this time, milliseconds.
const QUIET_MS = 60_000;

export function createService(deps: ServiceDeps): Service {
  const { store, keyring, config, secrets, log, now } = deps;
  const wrongPerId = createLimiter(WRONG_PER_ID);
  const wrongPerAddress = createLimiter(WRONG_PER_ADDRESS);
  const requests = createLimiter(REQUESTS);
  const rings = createLimiter(RINGS);
  const quiet = createQuietLog(QUIET_MS, () => performance.now());

  /** An answer that says when to come again, or null when the request may go on. */
  function tooMany({ receivedAtMs }: HttpRequest, id: string, secretHash: Buffer): Response | null {
    const waitMs = requests.take(`${id} ${secretHash.toString("base64")}`, receivedAtMs);
    return waitMs > 0 ? problemResponse(rateLimited(waitMs)) : null;
  }

  /**
   * What somebody without a credential that fits is told: the same for every id, known or not.
   * @param mayKnowElsewhere another node may know the id, or a newer secret of it
   */
  function unauthorized(request: HttpRequest, id: string, mayKnowElsewhere = false): Response {
    const at = request.receivedAtMs;
    const waitMs = Math.max(wrongPerId.take(id, at), wrongPerAddress.take(request.remoteAddress, at));
    const refused = mayKnowElsewhere ? NOT_KNOWN_YET : UNAUTHORIZED;
    const problem: Problem = waitMs > 0 ? rateLimited(waitMs) : refused;
    log.debug({ ...lineOf(request, id), code: problem.code }, "Refused a credential.");
    if (mayKnowElsewhere) return problemResponse(problem);
    // The phone is told nothing of the reason; an administrator whose apps have the wrong secret must hear of it.
    quiet.say("unauthorized", (suppressed) =>
      log.warn(
        { count: suppressed + 1, enrolling: request.method === "PUT" },
        "Phones were refused: their enrolment secret is none of registration_auth, or their own secret is wrong.",
      ),
    );
    return problemResponse(problem);
  }

  /** Asked before rows are read, then after: what was missing then may have arrived since. */
  function lookElsewhere(): () => boolean {
    const before = deps.mayLackRows?.() === true;
    return () => before || deps.mayLackRows?.() === true;
  }

  function lineOf(request: HttpRequest, id: string) {
    return { registration: keyring.logId(id), correlationId: request.correlationId };
  }

  /** The hash of the secret that came as the bearer, or null without one. */
  function bearerHash(request: HttpRequest, id: string): Buffer | null {
    const bearer = bearerToken(request.headers.get("authorization"));
    return bearer === null ? null : hashSecret(keyring, id, bearer);
  }

  async function present(id: string, secretHash: Buffer, { onDurable }: DurabilityNote) {
    const [view] = await store.read([id], onDurable);
    const state: RegistrationState = view?.state ?? { kind: "missing" };
    if (state.kind === "deleted") return { kind: "spent" } as const;
    if (state.kind === "missing" || !sameHash(state.registration.secretHash, secretHash)) {
      return { kind: "unauthorized" } as const;
    }
    return { kind: "present", state, lastRing: view?.lastRing ?? null } as const;
  }

  return {
    async register(request, id, body) {
      const read = readWish(id, body, config.apps, keyring);
      if ("field" in read) {
        return problemResponse({ code: "invalid_field", field: read.field, detail: read.why });
      }
      const { wish } = read;
      const refused = tooMany(request, id, wish.secretHash);
      if (refused !== null) return refused;
      const circumstances = {
        enrolled: isEnrolled(bearerToken(request.headers.get("authorization")), secrets.enrolmentSecrets),
        now: now(),
        statusFrequencyMinutes: config.subscriptions.statusFrequencyMinutes,
      };
      const durable = noteDurability();
      const mayKnowElsewhere = lookElsewhere();
      const outcome = await store.submit({
        onDurable: durable.onDurable,
        registrationId: id,
        decide: (state, boundElsewhere) => decidePut(wish, circumstances, state, boundElsewhere),
        subscriptionMacs: wish.folders.flatMap(({ subscription }) =>
          subscription === null ? [] : [subscription.mac],
        ),
        origin: originOf(request),
      });
      switch (outcome.kind) {
        case "created":
          log.info(
            { ...lineOf(request, id), app: wish.app, platform: wish.platform },
            "A phone was registered.",
          );
          return jsonResponse(201, putAnswer(id, outcome.standing, config, keyring), durable.headers);
        case "renewed":
        case "repeated":
          log.debug({ ...lineOf(request, id), outcome: outcome.kind }, "A registration was renewed.");
          return jsonResponse(200, putAnswer(id, outcome.standing, config, keyring), durable.headers);
        case "unauthorized":
          return unauthorized(request, id, mayKnowElsewhere());
        case "spent":
          return problemResponse({ code: "spent", headers: durable.headers });
        case "stale":
          return problemResponse({
            code: "stale_revision",
            storedRevision: outcome.storedRevision,
            headers: durable.headers,
          });
        case "bound":
          return problemResponse({ code: "subscription_bound", field: outcome.field });
        case "invalid":
          return problemResponse({ code: "invalid_field", field: outcome.field, detail: outcome.why });
      }
    },

    async look(request, id) {
      const secretHash = bearerHash(request, id);
      if (secretHash === null) return unauthorized(request, id);
      const refused = tooMany(request, id, secretHash);
      if (refused !== null) return refused;
      const durable = noteDurability();
      const mayKnowElsewhere = lookElsewhere();
      const found = await present(id, secretHash, durable);
      switch (found.kind) {
        case "spent":
          return problemResponse({ code: "spent" });
        case "unauthorized":
          return unauthorized(request, id, mayKnowElsewhere());
        case "present":
          return jsonResponse(200, getAnswer(found.state, found.lastRing, config), durable.headers);
      }
    },

    async unregister(request, id) {
      const secretHash = bearerHash(request, id);
      if (secretHash === null) return unauthorized(request, id);
      const refused = tooMany(request, id, secretHash);
      if (refused !== null) return refused;
      const at = now();
      const durable = noteDurability();
      const mayKnowElsewhere = lookElsewhere();
      const outcome = await store.submit({
        onDurable: durable.onDurable,
        registrationId: id,
        decide: (state) => decideDelete(secretHash, at, state),
      });
      switch (outcome) {
        case "unauthorized":
          return unauthorized(request, id, mayKnowElsewhere());
        case "deleted":
          log.info(lineOf(request, id), "A registration was deleted by its phone.");
          return emptyResponse(204, durable.headers);
        case "repeated":
          return emptyResponse(204, durable.headers);
      }
    },

    async ring(request, id) {
      const secretHash = bearerHash(request, id);
      if (secretHash === null) return unauthorized(request, id);
      const refused = tooMany(request, id, secretHash);
      if (refused !== null) return refused;
      // Looked at before, so that only its owner uses up a registration's allowance; decided again inside
      // the transaction.
      const durable = noteDurability();
      const mayKnowElsewhere = lookElsewhere();
      const found = await present(id, secretHash, durable);
      if (found.kind === "present") {
        const waitMs = rings.take(id, request.receivedAtMs);
        if (waitMs > 0) return problemResponse(rateLimited(waitMs));
      }
      const outcome =
        found.kind === "present"
          ? await store.submit({
              onDurable: durable.onDurable,
              registrationId: id,
              decide: (state) => decideRing(secretHash, state),
              origin: originOf(request),
            })
          : found.kind;
      switch (outcome) {
        case "spent":
          return problemResponse({ code: "spent" });
        case "unauthorized":
          return unauthorized(request, id, mayKnowElsewhere());
        case "owed":
          return jsonResponse(202, { id, reason: "test" }, durable.headers);
      }
    },
  };
}

function originOf(request: HttpRequest) {
  return { correlationId: request.correlationId, receivedAtMs: request.receivedAtMs };
}
