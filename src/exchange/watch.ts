// When a subscription counts as lost, and when its phone is asked to subscribe again. Pure: how long a subscription was
// quiet, and the time of day, come in as arguments.
import { folderState, isHeard } from "../store/folder-state.ts";
import type { Change, Folder, FolderKind, FolderState, RegistrationState } from "../store/types.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Whether what this node does not hear says anything. */
export interface Listening {
  /** False: Exchange's posts go elsewhere, so nothing is judged and nobody is asked. */
  readonly active: boolean;
  /** True: the other node is lost, and perhaps not its half of the network. */
  readonly alone: boolean;
}

// Twice its StatusFrequency: Microsoft's own rule for a lost push subscription ("Notification subscriptions, mailbox
// events, and EWS in Exchange"). Alone, the posts may still be on their way to the other node.
const FREQUENCIES = 2;
const FREQUENCIES_ALONE = 4;
// A heartbeat that cannot be delivered is tried again for as long as a frequency, and a little longer: with the usual
// frequencies (15, 30 and 60 minutes) even its last try comes before this is over.
const LEAST_SLACK_MS = 2 * MINUTE_MS;
const SLACK_OF_FREQUENCY = 0.1;

/** Slack on a status frequency, milliseconds. */
function slackMs(frequencyMs: number): number {
  return Math.max(LEAST_SLACK_MS, SLACK_OF_FREQUENCY * frequencyMs);
}

/** How long a subscription may be quiet before it counts as lost, milliseconds. */
export function quietLimitMs(statusFrequencyMinutes: number, alone: boolean): number {
  const frequencyMs = statusFrequencyMinutes * MINUTE_MS;
  return (alone ? FREQUENCIES_ALONE : FREQUENCIES) * frequencyMs + slackMs(frequencyMs);
}

/** A folder, and how long nothing was heard, as far as this node listened: milliseconds on a monotonic clock. */
export interface Sight {
  readonly folder: Folder;
  /** Of this folder. */
  readonly quietMs: number;
  /** Of all subscriptions on its Exchange server. */
  readonly serverQuietMs: number;
}

/**
 * Whether a subscription that was taken to live, or was expected, has been quiet for too long. Alone, its server must
 * be heard meanwhile: otherwise it is the way to this node that is in doubt.
 */
export function isLost({ folder, quietMs, serverQuietMs }: Sight, { active, alone }: Listening): boolean {
  const state = folderState(folder);
  if (!active || (state !== "live" && state !== "expected")) return false;
  const frequencyMs = folder.statusFrequencyMinutes * MINUTE_MS;
  if (alone && serverQuietMs > frequencyMs + slackMs(frequencyMs)) return false;
  return quietMs >= quietLimitMs(folder.statusFrequencyMinutes, alone);
}

/** How often and when a phone is asked to subscribe again. */
interface Schedule {
  /** Waits before the first asks, milliseconds; the last one is repeated. */
  readonly waitsMs: readonly number[];
  /** Asks before it is given up. */
  readonly asks: number;
}

// At once, then after 1, 4 and 12 hours, then daily; the 17th and last ask comes in the 14th day.
const LOST: Schedule = { waitsMs: [0, HOUR_MS, 4 * HOUR_MS, 12 * HOUR_MS, 24 * HOUR_MS], asks: 17 };
// The app never subscribed: it may know why (Exchange refused), so it is only reminded. The 8th and last ask comes in
// the 7th day.
const NEVER_HEARD: Schedule = { waitsMs: [0, 12 * HOUR_MS, 24 * HOUR_MS], asks: 8 };
// A subscription that is lost again and again does not ring its phone more often than this.
const LEAST_GAP_MS = 15 * MINUTE_MS;
// A phone with several lost folders is reminded of all at once, not of one after the other.
const PHONE_GAP_MS = HOUR_MS;

/** Which folders of a phone it is asked about now. */
export interface Asks {
  readonly ask: readonly Folder[];
  /** Asked about for the last time some while ago: nobody is going to do it. */
  readonly giveUp: readonly Folder[];
}

/**
 * What a phone is to be asked, by its folders as they are.
 * @param nowMs epoch milliseconds; a clock that was set back brings an ask forward
 */
export function asksDue(folders: readonly Folder[], nowMs: number): Asks {
  const ask: Folder[] = [];
  const giveUp: Folder[] = [];
  const sincePhoneMs = Math.min(...folders.map(({ askedAt }) => elapsedMs(askedAt, nowMs)));
  for (const folder of folders) {
    const state = folderState(folder);
    if (state === "live" || state === "expected") continue;
    const { waitsMs, asks } = state === "silent" && !isHeard(folder) ? NEVER_HEARD : LOST;
    if (folder.asks > asks) continue;
    const waitMs = waitsMs[folder.asks] ?? waitsMs.at(-1) ?? 0;
    const sinceMs = elapsedMs(folder.askedAt, nowMs);
    if (folder.asks === asks) {
      if (sinceMs >= waitMs) giveUp.push(folder);
    } else if (
      folder.asks === 0 ? sinceMs >= LEAST_GAP_MS : sinceMs >= waitMs && sincePhoneMs >= PHONE_GAP_MS
    ) {
      ask.push(folder);
    }
  }
  return { ask, giveUp };
}

function elapsedMs(since: number | null, nowMs: number): number {
  return since === null || since > nowMs ? Number.POSITIVE_INFINITY : nowMs - since;
}

/** The folder after one more ask. */
export function asked(folder: Folder, nowMs: number): Folder {
  return { ...folder, asks: folder.asks + 1, askedAt: nowMs };
}

/** What was seen of a phone, to be decided on with fresh rows. */
export interface Watched {
  /** Folders that counted as lost, as they were then. */
  readonly lost: readonly Folder[];
  /** Whether the phone may be asked now; else another look comes to it. */
  readonly mayAsk: boolean;
  /** Epoch milliseconds. */
  readonly nowMs: number;
  readonly rings: (app: string, kind: FolderKind) => boolean;
}

/** What became of a look at a phone. */
export interface Looked {
  /** Folders that fell silent. */
  readonly silenced: readonly Folder[];
  /** States of the folders that the phone is asked about. */
  readonly asked: readonly FolderState[];
  /** Folders that are given up. */
  readonly gaveUp: number;
}

const NOTHING: Looked = { silenced: [], asked: [], gaveUp: 0 };

/** Decides on one phone inside a transaction. What was heard or asked for since it was looked at wins. */
export function decideLook(state: RegistrationState, watched: Watched): { change?: Change; result: Looked } {
  if (state.kind !== "present") return { result: NOTHING };
  const { nowMs } = watched;
  const silenced: Folder[] = [];
  const folders = state.folders.map((folder) => {
    const isUnheard = watched.lost.some(
      (lost) =>
        lost.name === folder.name &&
        lost.generation === folder.generation &&
        lost.boundGeneration === folder.boundGeneration &&
        lost.lastHeardAt === folder.lastHeardAt,
    );
    const before = folderState(folder);
    if (!isUnheard || (before !== "live" && before !== "expected")) return folder;
    const silent = { ...folder, silentAt: nowMs };
    silenced.push(silent);
    return silent;
  });
  const { app } = state.registration;
  // Nobody can be asked through a token that is dead, or is asked about a folder that never rings.
  const reachable = state.dead === "no" ? folders.filter(({ kind }) => watched.rings(app, kind)) : [];
  const { ask, giveUp } = watched.mayAsk ? asksDue(reachable, nowMs) : { ask: [], giveUp: [] };
  const after = folders.map((folder) =>
    ask.includes(folder)
      ? asked(folder, nowMs)
      : giveUp.includes(folder)
        ? { ...folder, asks: folder.asks + 1 }
        : folder,
  );
  const changed = after.filter((folder, at) => folder !== state.folders[at]);
  if (changed.length === 0) return { result: NOTHING };
  const reasons = ask.map(({ name }) => ({ reason: "resubscribe" as const, folder: name }));
  return {
    change: { folders: changed, ...(reasons.length === 0 ? {} : { reasons }) },
    result: { silenced, asked: ask.map(folderState), gaveUp: giveUp.length },
  };
}
