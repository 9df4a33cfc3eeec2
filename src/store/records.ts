// What stands in the tables' rows, and the objects that the rules work on. Statements are in `rows.ts`.
import type { BadgeRing } from "./owed-rule.ts";
import type { Pace } from "./pace.ts";
import type { Folder, FolderKind, LastRing, Platform, Reason, Registration } from "./types.ts";
import { readUnplaced } from "./unplaced.ts";

/** A row of the registration table. */
export interface RegistrationRecord {
  app: string;
  platform: Platform;
  token: Buffer;
  token_mac: Buffer;
  secret_hash: Buffer;
  subject_mac: Buffer | null;
  revision: number;
  locale: string | null;
  created_at: number;
  renewed_at: number;
  deleted_at: number | null;
  idle_at: number | null;
}

/** A row of the folder table. */
export interface FolderRecord {
  name: string;
  kind: FolderKind;
  generation: number;
  bound_generation: number;
  ended_generation: number;
  subscription_mac: Buffer | null;
  watermark_mac: Buffer | null;
  last_heard_at: number | null;
  server_mac: Buffer | null;
  failed_at: number | null;
  silent_at: number | null;
  asks: number;
  asked_at: number | null;
  folder_mac: Buffer | null;
  folder_learnt: number;
  status_frequency: number;
  unplaced: string | null;
}

export function toFolder(row: FolderRecord): Folder {
  return {
    name: row.name,
    kind: row.kind,
    generation: row.generation,
    boundGeneration: row.bound_generation,
    endedGeneration: row.ended_generation,
    subscriptionMac: row.subscription_mac,
    watermarkMac: row.watermark_mac,
    lastHeardAt: row.last_heard_at,
    serverMac: row.server_mac,
    failedAt: row.failed_at,
    silentAt: row.silent_at,
    asks: row.asks,
    askedAt: row.asked_at,
    folderMac: row.folder_mac,
    folderLearnt: row.folder_learnt === 1,
    statusFrequencyMinutes: row.status_frequency,
    unplaced: readUnplaced(row.unplaced),
  };
}

/** A delivery row: the last ring of one feed, and what the provider said of the token. */
export interface DeliveryRow extends BadgeRing {
  /** All rings of this feed, with or without a badge; the merge goes by it. */
  readonly rings: number;
  readonly last: LastRing;
  readonly apnsId: string | null;
  readonly accepted: number;
  readonly pace: Pace;
  readonly dead: {
    readonly kind: "stopped" | "ended";
    readonly tokenMac: Buffer;
    readonly at: number;
  } | null;
}

/** A row of the work list. Times are epoch milliseconds. */
export interface DueRow {
  readonly notBefore: number;
  /** Until then the provider's last answer forbids another try, whatever news comes; 0 for no such wait. */
  readonly heldUntil: number;
  readonly attempt: number;
  readonly since: number;
}

/** A registration row as stored: one of the three shapes it can have. */
export type StoredRegistration =
  | { readonly kind: "present"; readonly registration: Registration; readonly sealedToken: Buffer }
  | { readonly kind: "deleted"; readonly at: number; readonly revision: number }
  | { readonly kind: "idle"; readonly at: number; readonly revision: number };

export function toStored(id: string, row: RegistrationRecord): StoredRegistration {
  if (row.deleted_at !== null) return { kind: "deleted", at: row.deleted_at, revision: row.revision };
  if (row.idle_at !== null) return { kind: "idle", at: row.idle_at, revision: row.revision };
  return {
    kind: "present",
    sealedToken: row.token,
    registration: {
      id,
      app: row.app,
      platform: row.platform,
      tokenMac: row.token_mac,
      secretHash: row.secret_hash,
      subjectMac: row.subject_mac,
      revision: row.revision,
      locale: row.locale,
      createdAt: row.created_at,
      renewedAt: row.renewed_at,
    },
  };
}

/** A row of the delivery table. */
export interface DeliveryRecord {
  feed: string;
  count: number;
  badge_count: number;
  badge_feed: string | null;
  badge_mark: number | null;
  badge_seen: string;
  badge_token_mac: Buffer | null;
  reason: Reason;
  outcome: string;
  apns_id: string | null;
  at: number;
  attempts: number;
  accepted: number;
  paced_shown: number;
  paced_wake: number;
  dead: "stopped" | "ended" | null;
  dead_token_mac: Buffer | null;
  dead_at: number | null;
}

export function toDelivery(row: DeliveryRecord): DeliveryRow {
  return {
    feed: row.feed,
    rings: row.count,
    count: row.badge_count,
    ref:
      row.badge_feed === null || row.badge_mark === null
        ? null
        : { feed: row.badge_feed, mark: row.badge_mark },
    tokenMac: row.badge_token_mac,
    seen: JSON.parse(row.badge_seen) as Record<string, number>,
    last: { at: row.at, reason: row.reason, outcome: row.outcome, attempts: row.attempts },
    apnsId: row.apns_id,
    accepted: row.accepted,
    pace: { shown: row.paced_shown, wake: row.paced_wake },
    dead:
      row.dead === null || row.dead_token_mac === null
        ? null
        : { kind: row.dead, tokenMac: row.dead_token_mac, at: row.dead_at ?? 0 },
  };
}

/** A row of the work list. */
export interface DueRecord {
  not_before: number;
  held_until: number;
  attempt: number;
  since: number;
}

export function toDue(row: DueRecord): DueRow {
  return { notBefore: row.not_before, heldUntil: row.held_until, attempt: row.attempt, since: row.since };
}
