// Lines of the list of registrations, and which of them are wanted. Pure.
import { registrationState } from "../registration/view.ts";
import type { ListedPhone } from "../store/inspect.ts";
import type { LastRing, Platform } from "../store/types.ts";

export const PLATFORMS = ["apns", "fcm"] as const satisfies readonly Platform[];
export const LISTED_STATES = ["live", "expected", "resubscribe", "dead", "idle"] as const;
export type ListedState = (typeof LISTED_STATES)[number];

/** Which registrations are wanted; what is left out does not matter. */
export interface ListFilter {
  readonly app?: string;
  readonly platform?: Platform;
  readonly state?: ListedState;
  /** Only those to which a ring is owed. */
  readonly owed?: boolean;
}

/** Times are epoch milliseconds. */
export interface ListLine {
  readonly registrationId: string;
  /** Null for one that fell idle: nothing else is kept of it. */
  readonly app: string | null;
  readonly platform: Platform | null;
  readonly state: ListedState;
  readonly renewedAt: number;
  /** When Exchange was last heard on any of its folders. */
  readonly lastHeardAt: number | null;
  readonly owedSince: number | null;
  readonly lastRing: LastRing | null;
}

/** Part of a list: begin after `next` to go on; null at its end. */
export interface ListPart {
  readonly lines: readonly ListLine[];
  readonly next: string | null;
}

/** Rows looked at for one part: few milliseconds of the node's time, whatever the filter leaves of them. */
export const ROWS_A_PART = 250;

/**
 * Makes a part of the list from rows of the store.
 * @param rows as the store gave them, at most `ROWS_A_PART`
 * @param limit lines at most
 */
export function listPart(rows: readonly ListedPhone[], filter: ListFilter, limit: number): ListPart {
  const wanted = rows.map(lineOf).filter((line) => isWanted(line, filter));
  const lines = wanted.slice(0, limit);
  const isCut = wanted.length > limit;
  const last = isCut ? lines.at(-1)?.registrationId : rows.at(-1)?.registrationId;
  const mayBeMore = isCut || rows.length >= ROWS_A_PART;
  return { lines, next: mayBeMore ? (last ?? null) : null };
}

function lineOf(row: ListedPhone): ListLine {
  const { registrationId, app, platform, renewedAt, owedSince, lastRing, state } = row;
  const folders = state.kind === "present" ? state.folders : [];
  const heard = folders.flatMap(({ lastHeardAt }) => (lastHeardAt === null ? [] : [lastHeardAt]));
  return {
    registrationId,
    app,
    platform,
    state: state.kind === "present" ? registrationState(state) : "idle",
    renewedAt,
    lastHeardAt: heard.length === 0 ? null : Math.max(...heard),
    owedSince,
    lastRing,
  };
}

function isWanted(line: ListLine, { app, platform, state, owed }: ListFilter): boolean {
  return (
    (app === undefined || line.app === app) &&
    (platform === undefined || line.platform === platform) &&
    (state === undefined || line.state === state) &&
    (owed !== true || line.owedSince !== null)
  );
}
