// What is stored of one phone, and pages of all of them, for whoever has to explain or list them. Reads only.
import type Database from "better-sqlite3";
import { deadness } from "./apply.ts";
import { clockTime } from "./clock.ts";
import type { LazyFolders } from "./lazy-folders.ts";
import { isBadgeOwed, newestBadge, nextRing, openReasons, parseReasonKey, ringsTo } from "./owed-rule.ts";
import { combinedPace } from "./pace.ts";
import {
  type DeliveryRecord,
  type DeliveryRow,
  type DueRecord,
  type FolderRecord,
  type RegistrationRecord,
  toDelivery,
  toFolder,
  toStored,
} from "./records.ts";
import { idBytes, idText, type Rows } from "./rows.ts";
import type { Folder, LastRing, Platform, Reason, RegistrationState } from "./types.ts";

/** Times are epoch milliseconds. */
export interface Inspection {
  readonly registrationId: string;
  readonly state: RegistrationState;
  /** When it fell idle, where it did. */
  readonly idleAt: number | null;
  /** The place on the work list; null if nothing is to be rung. */
  readonly due: {
    readonly since: number;
    readonly notBefore: number;
    /** Until then the provider's last answer forbids another try; 0 for no such wait. */
    readonly heldUntil: number;
    /** Tries that did not get through. */
    readonly attempt: number;
  } | null;
  /** What a ring is owed for, be it to a phone that cannot be rung. */
  readonly reasons: readonly {
    readonly reason: Reason;
    readonly folder: string | null;
    readonly since: number;
  }[];
  /** The reason of the next ring, and when the phone's allowance lets it go. */
  readonly next: { readonly reason: Reason; readonly at: number } | null;
  readonly badge: { readonly count: number; readonly acceptedAt: number; readonly isOwed: boolean } | null;
  /** When Exchange last told of something, heartbeats not counted. */
  readonly newsAt: number | null;
  readonly lastRing: LastRing | null;
  /** How many rings the provider took, those of before a restore only while their rows are kept. */
  readonly accepted: number;
}

export interface ListPage {
  /** Begin after this id; null: with the first. */
  readonly after: string | null;
  /** At most so many. */
  readonly limit: number;
  /** Those that fell idle instead of those that exist. */
  readonly idle?: boolean;
}

/** One line of a list. Times are epoch milliseconds. */
export interface ListedPhone {
  readonly registrationId: string;
  /** `missing` for one that fell idle. */
  readonly state: RegistrationState;
  readonly app: string | null;
  readonly platform: Platform | null;
  readonly renewedAt: number;
  readonly owedSince: number | null;
  readonly lastRing: LastRing | null;
}

export interface Inspector {
  inspect(registrationId: string, now: number): Inspection;
  findToken(tokenMac: Buffer): string[];
  list(page: ListPage): ListedPhone[];
}

// Rows of one page: its queries together take some milliseconds.
const MOST_LISTED = 500;
const BY_EXCHANGE: ReadonlySet<Reason> = new Set(["mail", "changed", "calendar", "folder"]);

/**
 * @param lazy what was heard and is not written yet
 * @param mergeChangesMs as the ledger has it
 */
export function createInspector(
  db: Database.Database,
  rows: Rows,
  lazy: Pick<LazyFolders, "newest">,
  mergeChangesMs: number,
): Inspector {
  const byToken = db
    .prepare(
      "SELECT id FROM registration WHERE token_mac = ? AND deleted_at IS NULL AND idle_at IS NULL ORDER BY id",
    )
    .pluck();
  const listed = [" IS NULL", " IS NOT NULL"].map((isIdle) =>
    db.prepare(
      `SELECT * FROM registration WHERE id > ? AND deleted_at IS NULL AND idle_at${isIdle} ORDER BY id LIMIT ?`,
    ),
  );
  // One range of each table instead of a look-up for each phone.
  const range = (table: string, more: string) =>
    db.prepare(`SELECT * FROM ${table} WHERE registration >= ? AND registration <= ?${more}`);
  const folders = range("folder", " AND removed_revision IS NULL ORDER BY registration, name");
  const deliveries = range("delivery", "");
  const due = range("due", "");

  function inspect(registrationId: string, now: number): Inspection {
    const id = idBytes(registrationId);
    const stored = rows.registration(id);
    const heard = rows.folders(id).map((folder) => lazy.newest(registrationId, folder));
    const rung = rows.deliveries(id);
    const owed = rows.owed(id);
    const open = [...openReasons(owed, now)].map(([key, { since }]) => ({ ...parseReasonKey(key), since }));
    const newest = newestBadge(owed);
    const state = stateOf(stored, heard, rung);
    const badgeRings = state.kind === "present" ? ringsTo(state.registration.tokenMac, rung) : rung;
    const next =
      state.kind !== "present" || state.dead !== "no"
        ? null
        : nextRing(owed, badgeRings, {
            now,
            platform: state.registration.platform,
            pace: combinedPace(rung.map(({ pace }) => pace)),
            mergeChangesMs,
          });
    const news = owed.flatMap(({ badgeMark, reasons }) => [
      badgeMark,
      ...Object.entries(reasons)
        .filter(([key]) => BY_EXCHANGE.has(parseReasonKey(key).reason))
        .map(([, [mark]]) => mark),
    ]);
    const newsMark = Math.max(0, ...news);
    return {
      registrationId,
      state,
      idleAt: stored?.kind === "idle" ? stored.at : null,
      due: rows.due(id),
      reasons: open,
      next: next === null ? null : { reason: next.reason, at: next.at },
      badge:
        newest === null || newest.badge === null
          ? null
          : {
              count: newest.badge,
              acceptedAt: clockTime(newest.badgeMark),
              isOwed: isBadgeOwed(newest, badgeRings),
            },
      newsAt: newsMark === 0 ? null : clockTime(newsMark),
      lastRing: lastOf(rung),
      accepted: rung.reduce((sum, row) => sum + row.accepted, 0),
    };
  }

  return {
    inspect,

    findToken: (tokenMac) => (byToken.all(tokenMac) as Buffer[]).map(idText),

    list({ after, limit, idle = false }) {
      // Every id is greater than no bytes at all.
      const from = after === null ? Buffer.alloc(0) : idBytes(after);
      const found = (listed[idle ? 1 : 0]?.all(from, Math.min(limit, MOST_LISTED)) ??
        []) as (RegistrationRecord & { readonly id: Buffer })[];
      const [first, last] = [found[0], found.at(-1)];
      if (first === undefined || last === undefined) return [];
      const of = <T extends { readonly registration: Buffer }>(statement: Database.Statement) =>
        Map.groupBy(statement.all(first.id, last.id) as T[], ({ registration }) => idText(registration));
      const foldersOf = of<FolderRecord & { readonly registration: Buffer }>(folders);
      const deliveriesOf = of<DeliveryRecord & { readonly registration: Buffer }>(deliveries);
      const dueOf = of<DueRecord & { readonly registration: Buffer }>(due);
      return found.map((row): ListedPhone => {
        const registrationId = idText(row.id);
        const heard = (foldersOf.get(registrationId) ?? []).map((each) =>
          lazy.newest(registrationId, toFolder(each)),
        );
        const rung = (deliveriesOf.get(registrationId) ?? []).map(toDelivery);
        return {
          registrationId,
          state: stateOf(toStored(registrationId, row), heard, rung),
          app: row.app,
          platform: row.platform,
          renewedAt: row.renewed_at,
          owedSince: dueOf.get(registrationId)?.[0]?.since ?? null,
          lastRing: lastOf(rung),
        };
      });
    },
  };
}

function stateOf(
  stored: ReturnType<Rows["registration"]>,
  folders: readonly Folder[],
  deliveries: readonly DeliveryRow[],
): RegistrationState {
  if (stored === null || stored.kind === "idle") return { kind: "missing", folders };
  if (stored.kind === "deleted") return { kind: "deleted", at: stored.at };
  const { registration } = stored;
  return { kind: "present", registration, folders, dead: deadness(registration, deliveries) };
}

function lastOf(deliveries: readonly DeliveryRow[]): LastRing | null {
  return deliveries.map(({ last }) => last).sort((a, b) => b.at - a.at)[0] ?? null;
}
