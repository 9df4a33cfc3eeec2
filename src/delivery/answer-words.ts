// What an answer of Apple or Google about one phone's ring means, in plain words: administrators do not know the
// providers' error words. What to do about a paused app is in `hints.ts`.
import type { Platform } from "../store/types.ts";
import { REASON_HINTS } from "./hints.ts";

const TRY_LATER = "had trouble of its own; the ring is tried again by itself";
const OURS = "called the ring malformed, which is a defect of Inboxbell's: please report it";

// Words about one phone. A sentence's end: "Apple …".
const WORDS: Readonly<Record<string, string>> = {
  accepted: "accepted the ring, which does not tell whether the phone showed it",
  BadDeviceToken:
    "does not know the token: it is damaged, or of the other environment (see apns.environment if it is every phone)",
  Unregistered: "says that the app is gone from the phone, or the phone was set up anew",
  ExpiredToken: "says that the token has expired",
  UNREGISTERED: "says that the app is gone from the phone, or the phone was set up anew",
  SENDER_ID_MISMATCH: "says that the token belongs to another Firebase project",
  INVALID_ARGUMENT: "says that the token is none, or calls the ring malformed",
  TooManyRequests: "finds that this phone is rung too often; it is waited",
  QUOTA_EXCEEDED: "finds that the quota is used up; it is waited",
  InternalServerError: TRY_LATER,
  ServiceUnavailable: TRY_LATER,
  Shutdown: "closed the connection; the ring is sent again",
  IdleTimeout: "closed the connection; the ring is sent again",
  INTERNAL: TRY_LATER,
  UNAVAILABLE: TRY_LATER,
  BadCollapseId: OURS,
  BadExpirationDate: OURS,
  BadMessageId: OURS,
  BadPriority: OURS,
  DuplicateHeaders: OURS,
  InvalidPushType: OURS,
  MissingDeviceToken: OURS,
  PayloadEmpty: OURS,
  BadPath: OURS,
  MethodNotAllowed: OURS,
  PayloadTooLarge: OURS,
};

const HINTS: ReadonlyMap<string, string> = new Map(REASON_HINTS);

/** The provider's name for people. */
export function providerName(platform: Platform): string {
  return platform === "apns" ? "Apple" : "Google";
}

/**
 * One sentence without its final stop.
 * @param outcome as it is stored with a ring: `accepted`, `unknown`, or the provider's word
 */
export function answerWords(platform: Platform, outcome: string): string {
  const name = providerName(platform);
  // Written by a restore: what was rung meanwhile is forgotten.
  if (outcome === "unknown") return "nobody knows: the database was restored from a backup since";
  // The provider's text: a word like "constructor" must not find what every object has.
  if (Object.hasOwn(WORDS, outcome)) return `${name} ${WORDS[outcome]}`;
  const hint = HINTS.get(outcome);
  if (hint !== undefined) return `${name} could not be used (${outcome}). ${hint.replace(/\.$/, "")}`;
  if (/^status_5\d\d$/.test(outcome)) return `${name} ${TRY_LATER} (${outcome})`;
  return `${name} answered ${outcome}`;
}
