// What becomes of a PUT, a DELETE and a test ring: pure decisions on fresh rows, called inside the store's
// transaction. Nothing here reads a clock, a key or a request.
import type { Change, Folder, Registration, RegistrationState } from "../store/types.ts";
import { sameHash } from "./credentials.ts";
import { renewFolder } from "./folder.ts";
import type { Standing } from "./view.ts";
import type { FieldError, Wish } from "./wish.ts";

// A revision is epoch milliseconds on the phone. A clock that is wrong by hours does no harm; one that is
// wrong by years would use up the numbers that later wishes need, so it is told instead.
const MAX_AHEAD_MS = 24 * 3_600_000;

export type PutOutcome =
  | { readonly kind: "created" | "renewed" | "repeated"; readonly standing: Standing }
  | { readonly kind: "unauthorized" }
  | { readonly kind: "spent" }
  | { readonly kind: "stale"; readonly storedRevision: number }
  /** JSON Pointer of the SubscriptionId that is noted on another registration. */
  | { readonly kind: "bound"; readonly field: string }
  | ({ readonly kind: "invalid" } & FieldError);

export interface PutCircumstances {
  /** Whether the request carries a credential that may create a registration. */
  readonly enrolled: boolean;
  /** Epoch milliseconds. */
  readonly now: number;
  /** Minutes, for folders whose subscription's frequency is not known otherwise. */
  readonly statusFrequencyMinutes: number;
}

type Decision<T> = { change?: Change; result: T };

/**
 * Decides one PUT. The same revision changes nothing, whatever else the body says; a lower one is refused;
 * a higher one replaces token, locale and folders, and opens generations where a new subscription is due.
 */
export function decidePut(
  wish: Wish,
  circumstances: PutCircumstances,
  state: RegistrationState,
  boundElsewhere: readonly Buffer[],
): Decision<PutOutcome> {
  switch (state.kind) {
    case "deleted":
      // No credential is asked for: a tombstone keeps none, and who knows the id of 122 random bits is its app.
      return { result: { kind: "spent" } };
    case "missing":
      if (!circumstances.enrolled) return { result: { kind: "unauthorized" } };
      // Folders of which only Exchange was heard so far count as older ones: an answer given stays good.
      return renew(wish, circumstances, null, state.folders ?? [], boundElsewhere);
    case "present": {
      const { registration, folders } = state;
      if (!sameHash(registration.secretHash, wish.secretHash)) return { result: { kind: "unauthorized" } };
      if (wish.revision === registration.revision) {
        const standing = { revision: registration.revision, renewedAt: registration.renewedAt, folders };
        return { result: { kind: "repeated", standing } };
      }
      if (wish.revision < registration.revision) {
        return { result: { kind: "stale", storedRevision: registration.revision } };
      }
      return renew(wish, circumstances, registration, folders, boundElsewhere);
    }
  }
}

/** Decides a DELETE. A deleted id stays deleted, so a repeat gets the answer of the first. */
export function decideDelete(
  secretHash: Buffer,
  now: number,
  state: RegistrationState,
): Decision<"deleted" | "repeated" | "unauthorized"> {
  switch (state.kind) {
    case "deleted":
      return { result: "repeated" };
    case "missing":
      return { result: "unauthorized" };
    case "present":
      if (!sameHash(state.registration.secretHash, secretHash)) return { result: "unauthorized" };
      return { change: { delete: { at: now } }, result: "deleted" };
  }
}

/** Decides a test ring. */
export function decideRing(
  secretHash: Buffer,
  state: RegistrationState,
): Decision<"owed" | "spent" | "unauthorized"> {
  switch (state.kind) {
    case "deleted":
      return { result: "spent" };
    case "missing":
      return { result: "unauthorized" };
    case "present":
      if (!sameHash(state.registration.secretHash, secretHash)) return { result: "unauthorized" };
      return { change: { reasons: [{ reason: "test" }] }, result: "owed" };
  }
}

function renew(
  wish: Wish,
  circumstances: PutCircumstances,
  before: Registration | null,
  foldersBefore: readonly Folder[],
  boundElsewhere: readonly Buffer[],
): Decision<PutOutcome> {
  const { now } = circumstances;
  const problem = cannotRenew(wish, before, now, boundElsewhere);
  if (problem !== null) return { result: problem };

  const folders = wish.folders.map((wished) => {
    const folder = foldersBefore.find((candidate) => candidate.name === wished.name) ?? null;
    return renewFolder(wish, wished, folder, before === null, circumstances.statusFrequencyMinutes);
  });
  const kept = new Set(folders.map((folder) => folder.name));
  const change: Change = {
    registration: {
      app: wish.app,
      platform: wish.platform,
      token: wish.token,
      secretHash: wish.secretHash,
      subjectMac: before?.subjectMac ?? null,
      revision: wish.revision,
      locale: wish.locale,
      renewedAt: now,
    },
    folders,
    removeFolders: foldersBefore.map((folder) => folder.name).filter((name) => !kept.has(name)),
  };
  const standing = { revision: wish.revision, renewedAt: now, folders };
  return { change, result: { kind: before === null ? "created" : "renewed", standing } };
}

function cannotRenew(
  wish: Wish,
  before: Registration | null,
  now: number,
  boundElsewhere: readonly Buffer[],
): PutOutcome | null {
  // The stored revision counts too: should this server's clock be set back, renewals go on.
  if (wish.revision > Math.max(now, before?.revision ?? 0) + MAX_AHEAD_MS) {
    return {
      kind: "invalid",
      field: "/revision",
      why: "It is more than 24 hours ahead of this server's clock (see the Date header). A revision is the time in epoch milliseconds, or the last revision plus 1 if that is greater.",
    };
  }
  if (before !== null && before.app !== wish.app) {
    return { kind: "invalid", field: "/app", why: "A registration keeps its app. Make a new id." };
  }
  if (before !== null && before.platform !== wish.platform) {
    return { kind: "invalid", field: "/platform", why: "A registration keeps its platform. Make a new id." };
  }
  const bound = wish.folders.find(
    ({ subscription }) =>
      subscription !== null && boundElsewhere.some((elsewhere) => elsewhere.equals(subscription.mac)),
  );
  return bound?.subscription ? { kind: "bound", field: bound.subscription.field } : null;
}
