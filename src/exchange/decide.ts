// The decision on one POST, as a pure function that the store calls inside its transaction: what is written under
// the registration, and what Exchange is told. Its one rule above all: a subscription ends only on an acknowledged
// fact (a deletion, a newer generation heard, the app's later wish, a token dead by the rules), never for lack of data.
import type { Capability } from "../keys/types.ts";
import type { NotificationResult } from "../ops/metrics.ts";
import { newestGeneration } from "../store/folder-state.ts";
import type { BadgeNews, Change, Folder, FolderKind, Reason, RegistrationState } from "../store/types.ts";
import { UNHEARD } from "../store/unheard.ts";
import { isGuess, withCounts } from "../store/unplaced.ts";
import { type Heard, type HeardEvents, learnInbox, newsFor, wakeReason } from "./meaning.ts";
import type { RingsFor } from "./ring-folders.ts";
import { asked, asksDue } from "./watch.ts";

/** Why a POST got its answer, in fixed words for log lines. */
export type VerdictWhy =
  | "heard"
  | "registration_missing"
  | "folder_missing"
  | "malformed"
  | "deleted"
  | "generation_ended"
  | "generation_older"
  | "folder_removed"
  | "token_dead"
  | "subscription_unknown";

export interface Verdict {
  readonly answer: "ok" | "unsubscribe";
  readonly metric: NotificationResult;
  readonly why: VerdictWhy;
  /** Whether the answer rests on a commit (this one or an earlier one). */
  readonly durable: boolean;
  /** How many messages did not follow on the one heard before them. */
  readonly watermarkGaps: number;
  /** Whether it shows that a subscription lives at this callback URL: also what cannot be used was sent by somebody. */
  readonly lives: boolean;
  /** Whether the phone is asked to subscribe again. */
  readonly asks: boolean;
}

export interface Decision {
  readonly change?: Change;
  readonly result: Verdict;
}

/** One POST under a valid capability. */
export interface Posted {
  readonly capability: Capability;
  /** The messages in order, or null if the body was complete but cannot be used. */
  readonly heard: readonly Heard[] | null;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** False while rows may be missing on this node: then nothing is ended, whatever the rows say. */
  readonly mayEnd: boolean;
  /** Whether a phone may be asked to subscribe again at this moment; else the watch over subscriptions comes to it. */
  readonly mayAsk: boolean;
  readonly rings: RingsFor;
}

// Nothing is wrong with a generation that was just heard, or was not heard of before.
const SOUND = { failedAt: null, silentAt: null, asks: 0 } as const;

// Exchange's own default, for a folder whose row has yet to arrive; the app's next PUT says the real one.
const STATUS_FREQUENCY_MINUTES = 30;

/** Decides on one POST. */
export function decide(state: RegistrationState, posted: Posted): Decision {
  const { capability, heard, mayEnd } = posted;
  const ending = heard === null ? null : findEnding(state, posted);
  if (ending !== null) {
    // Where nothing may end, it is answered OK and left alone: what has ended has no news of its own.
    const ends = mayEnd && ending.certain;
    const result: Verdict = {
      answer: ends ? "unsubscribe" : "ok",
      metric: "refused",
      why: ending.why,
      durable: ends,
      watermarkGaps: 0,
      lives: false,
      asks: false,
    };
    return ends && ending.folder !== null ? { change: { folders: [ending.folder] }, result } : { result };
  }
  const folder = folderOf(state, capability);
  if (heard === null) return wakeBlindly(state, folder, posted);
  return listen(state, folder, posted, heard);
}

interface Ending {
  readonly why: VerdictWhy;
  /** False if the registration itself is not at hand: then nobody is told. */
  readonly certain: boolean;
  /** The folder as it has to be committed before `Unsubscribe` may be answered; null if it already is. */
  readonly folder: Folder | null;
}

/** The acknowledged fact that ends this subscription, or null: it lives. */
function findEnding(state: RegistrationState, posted: Posted): Ending | null {
  const { generation } = posted.capability;
  const folder = folderOf(state, posted.capability);
  switch (state.kind) {
    case "deleted":
      return { why: "deleted", certain: true, folder: null };
    case "missing":
      return folder !== null && generation < folder.boundGeneration
        ? { why: "generation_older", certain: false, folder: null }
        : null;
    case "present": {
      const { revision } = state.registration;
      if (folder === null) {
        // Only a PUT later than the one that opened this generation can have left its folder out.
        if (revision > generation) return { why: "folder_removed", certain: true, folder: null };
      } else {
        if (generation <= folder.endedGeneration) {
          return { why: "generation_ended", certain: true, folder: null };
        }
        if (generation < folder.boundGeneration) {
          const ended = { ...folder, endedGeneration: generation };
          return { why: "generation_older", certain: true, folder: ended };
        }
      }
      // A capability above the stored revision comes from a PUT that this node has not seen: it may have brought
      // a new token, so the verdict on the old one ends nothing. Nor does it while rows may be missing: the other node
      // may have that token, and what is answered OK is owed to it.
      if (state.dead !== "ended" || revision < generation || !posted.mayEnd) return null;
      const ended = { ...(folder ?? freshFolder(posted.capability)), endedGeneration: generation };
      return { why: "token_dead", certain: true, folder: ended };
    }
  }
}

/** A complete body that cannot be used: the phone is woken to look for itself, and nothing else changes. */
function wakeBlindly(state: RegistrationState, folder: Folder | null, posted: Posted): Decision {
  const { capability } = posted;
  const { generation } = capability;
  const stale =
    state.kind === "deleted" ||
    (state.kind === "present" &&
      (folder === null
        ? state.registration.revision > generation
        : generation <= folder.endedGeneration || generation < folder.boundGeneration));
  const kind = folder?.kind ?? guessKind(capability.folder);
  const wakes = !stale && rings(state, posted, kind);
  const result: Verdict = {
    answer: "ok",
    metric: "malformed",
    why: "malformed",
    durable: wakes,
    watermarkGaps: 0,
    lives: !stale,
    asks: false,
  };
  return wakes ? { change: { reasons: [{ reason: wakeReason(kind) }] }, result } : { result };
}

/** Applies the messages, in order, to a folder whose subscription lives. @param stored null if its row is missing */
function listen(
  state: RegistrationState,
  stored: Folder | null,
  posted: Posted,
  heard: readonly Heard[],
): Decision {
  const { capability, nowMs } = posted;
  const { generation } = capability;
  let folder = stored === null ? freshFolder(capability) : raised(stored, generation);
  let badge: BadgeNews | null = null;
  const reasons = new Map<string, { reason: Reason; folder?: string }>();
  let watermarkGaps = 0;
  let accepted = false;
  let duplicate = false;
  let lives = false;
  // Whether nothing is to be noted but "heard again".
  let lazy = folder === stored && isStored(state, capability);

  for (const message of heard) {
    if (message.kind === "error") {
      // An error proves no subscription alive: it binds nothing, so that an older one that works stays. Of an older
      // one it says nothing new: the app has asked for another since.
      accepted = true;
      lazy = false;
      if (generation >= newestGeneration(folder)) folder = { ...folder, failedAt: nowMs };
      continue;
    }
    lives = true;
    if (folder.boundGeneration !== generation) folder = bind(folder, generation);
    const known = folder.subscriptionMac?.equals(message.subscriptionMac) === true;
    if (folder.kind === "inbox" && isTaught(folder, known)) folder = learn(folder, learnInbox(heard));
    const repeated = known && sameMac(folder.watermarkMac, message.lastWatermarkMac);
    if (known && !repeated && isGap(folder, message)) watermarkGaps += 1;
    const noted = note(folder, message, known, generation, nowMs);
    lazy &&= message.heartbeat && known && saysNothingNew(folder, noted);
    folder = noted;
    if (message.heartbeat) continue;
    if (repeated) {
      duplicate = true;
      continue;
    }
    accepted = true;
    if (!rings(state, posted, folder.kind)) continue;
    folder = keepCounts(folder, message, nowMs);
    const news = newsFor(message, folder, nowMs);
    badge = news.badge ?? badge;
    if (news.reason !== null) reasons.set(news.reason, { reason: news.reason });
  }
  // A ring for new mail makes the app look at the inbox, whatever else changed there.
  if (reasons.has("mail")) reasons.delete("changed");
  const asks = isAskedNow(state, posted, folder);
  if (asks) {
    reasons.set("resubscribe", { reason: "resubscribe", folder: folder.name });
    folder = asked(folder, nowMs);
  }

  const change: Change = {
    folders: [folder],
    ...(badge === null ? {} : { badge }),
    ...(reasons.size === 0 ? {} : { reasons: [...reasons.values()] }),
    ...(lazy ? { lazy: true } : {}),
  };
  return {
    change,
    result: {
      answer: "ok",
      metric: accepted ? "accepted" : duplicate ? "duplicate" : "heartbeat",
      why: isStored(state, capability)
        ? "heard"
        : state.kind === "present"
          ? "folder_missing"
          : "registration_missing",
      durable: !lazy,
      watermarkGaps,
      lives,
      asks,
    },
  };
}

/** Whether the phone is asked about this folder with this very commit: it has just failed, and it is the time to ask. */
function isAskedNow(state: RegistrationState, posted: Posted, folder: Folder): boolean {
  if (folder.failedAt !== posted.nowMs || !posted.mayAsk || !rings(state, posted, folder.kind)) return false;
  const stored = state.kind === "deleted" ? [] : (state.folders ?? []);
  const folders = [...stored.filter(({ name }) => name !== folder.name), folder];
  return asksDue(folders, posted.nowMs).ask.includes(folder);
}

/** Whether phones are rung for such a folder. Whose app is not known yet is owed what it may want. */
function rings(state: RegistrationState, posted: Posted, kind: FolderKind): boolean {
  return state.kind !== "present" || posted.rings(state.registration.app, kind);
}

/** The first message of a generation. A learnt folder id goes: the app may have subscribed to another mailbox. */
function bind(folder: Folder, generation: number): Folder {
  return {
    ...folder,
    boundGeneration: generation,
    subscriptionMac: null,
    watermarkMac: null,
    serverMac: null,
    folderMac: folder.folderLearnt ? null : folder.folderMac,
    folderLearnt: false,
  };
}

/**
 * Whether the inbox may be learnt from this message: while it is not known, and from another subscription than the one
 * that was heard last. Were it learnt for good, somebody who once posted to a callback URL that he read in an event log
 * would have taken the badge away.
 */
function isTaught({ folderMac, folderLearnt }: Folder, known: boolean): boolean {
  return folderMac === null || (folderLearnt && !known);
}

function learn(folder: Folder, folderMac: Buffer | null): Folder {
  return folderMac === null ? folder : { ...folder, folderMac, folderLearnt: true };
}

/**
 * Notes what was heard. A new SubscriptionId starts its own row of watermarks. What is wrong with the newest generation
 * is not mended by hearing an older one.
 */
function note(
  folder: Folder,
  message: HeardEvents,
  known: boolean,
  generation: number,
  nowMs: number,
): Folder {
  return {
    ...folder,
    subscriptionMac: message.subscriptionMac,
    watermarkMac: message.lastWatermarkMac ?? (known ? folder.watermarkMac : null),
    lastHeardAt: nowMs,
    serverMac: message.serverMac,
    ...(generation >= newestGeneration(folder) ? SOUND : {}),
  };
}

/** Whether only the time at which it was heard and the watermark differ. */
function saysNothingNew(before: Folder, noted: Folder): boolean {
  return (
    before.failedAt === noted.failedAt &&
    before.silentAt === noted.silentAt &&
    before.asks === noted.asks &&
    (before.serverMac === null ? noted.serverMac === null : sameMac(before.serverMac, noted.serverMac))
  );
}

/**
 * Counts heard while the folder's own row has yet to arrive, and with it which folder is the inbox: they are kept until
 * then. Where the app gave no id, none is taken (see `newsFor`).
 */
function keepCounts(folder: Folder, { counts }: HeardEvents, nowMs: number): Folder {
  const { kind, folderMac, unplaced } = folder;
  if (folderMac !== null || !isGuess(folder) || kind === "calendar") return folder;
  const heard = counts.map(({ eventAt, ...count }) => ({ ...count, eventAt: eventAt ?? nowMs }));
  return heard.length === 0 ? folder : { ...folder, unplaced: withCounts(unplaced, heard) };
}

/** Whether something between the message heard before and this one was missed. */
function isGap(folder: Folder, message: HeardEvents): boolean {
  if (folder.watermarkMac === null || message.previousWatermarkMac === null) return false;
  return !folder.watermarkMac.equals(message.previousWatermarkMac);
}

function sameMac(stored: Buffer | null, heard: Buffer | null): boolean {
  return stored !== null && heard !== null && stored.equals(heard);
}

function folderOf(state: RegistrationState, capability: Capability): Folder | null {
  if (state.kind === "deleted") return null;
  return state.folders?.find((folder) => folder.name === capability.folder) ?? null;
}

function isStored(state: RegistrationState, capability: Capability): boolean {
  return state.kind === "present" && folderOf(state, capability) !== null;
}

/** The folder with the generation that is heard. What was guessed of it goes on to give way to its own row. */
function raised(stored: Folder, generation: number): Folder {
  if (generation <= newestGeneration(stored)) return stored;
  return { ...stored, generation: isGuess(stored) ? stored.generation : generation, ...SOUND };
}

/**
 * A folder of which only the capability is known, so that its news is kept until its own row arrives. That row says what
 * the app wished for, or an older one where it was lost with a disk: both stand against a guess, which is of none.
 */
function freshFolder(capability: Capability): Folder {
  return {
    ...UNHEARD,
    name: capability.folder,
    kind: guessKind(capability.folder),
    statusFrequencyMinutes: STATUS_FREQUENCY_MINUTES,
  };
}

/** A folder's name defaults to its kind. */
function guessKind(folder: string): FolderKind {
  return folder === "inbox" || folder === "calendar" ? folder : "other";
}
