// Forward-only, numbered migrations. A released one is never edited: a change is a new number.

/** Marks the file as ours ("Bell"), so that a foreign database is refused instead of migrated. */
export const APPLICATION_ID = 0x42656c6c;

export interface Migration {
  readonly number: number;
  /** For an administrator, a few words. */
  readonly what: string;
  readonly sql: string;
}

// Every replicated row carries `version` (hybrid logical clock) and `seq` (position in this node's feed).
// Ids are 16-byte UUIDs, hashes 16-byte keyed MACs, times epoch milliseconds, marks hybrid-logical-clock values.
export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    what: "the tables of a new database",
    sql: `
      CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

      -- A tombstone (deleted_at) keeps id, revision and its times, nothing else.
      CREATE TABLE registration (
        id BLOB PRIMARY KEY,
        app TEXT, platform TEXT, token BLOB, token_mac BLOB, secret_hash BLOB, subject_mac BLOB,
        revision INTEGER NOT NULL, locale TEXT, created_at INTEGER NOT NULL, renewed_at INTEGER NOT NULL,
        deleted_at INTEGER, idle_at INTEGER,
        version INTEGER NOT NULL, seq INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX registration_seq ON registration (seq);
      CREATE INDEX registration_token ON registration (token_mac) WHERE token_mac IS NOT NULL;
      CREATE INDEX registration_renewed ON registration (renewed_at) WHERE deleted_at IS NULL AND idle_at IS NULL;
      CREATE INDEX registration_app ON registration (app, platform) WHERE deleted_at IS NULL AND idle_at IS NULL;

      -- removed_revision: the app's revision that left the folder out; null while the folder is wished for.
      CREATE TABLE folder (
        registration BLOB NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        generation INTEGER NOT NULL, bound_generation INTEGER NOT NULL, ended_generation INTEGER NOT NULL,
        subscription_mac BLOB, watermark_mac BLOB, last_heard_at INTEGER, failed_at INTEGER,
        folder_mac BLOB, folder_learnt INTEGER NOT NULL, status_frequency INTEGER NOT NULL,
        removed_revision INTEGER,
        version INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (registration, name)
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX folder_seq ON folder (seq);
      CREATE INDEX folder_subscription ON folder (subscription_mac) WHERE subscription_mac IS NOT NULL;

      -- One row for each feed that accepted news. reasons: JSON, key to [mark, settled mark, owed since].
      CREATE TABLE owed (
        registration BLOB NOT NULL, feed TEXT NOT NULL,
        badge INTEGER, badge_mark INTEGER NOT NULL, badge_event_at INTEGER, badge_seen TEXT NOT NULL,
        reasons TEXT NOT NULL,
        version INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (registration, feed)
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX owed_seq ON owed (seq);

      -- One row for each feed that rang. count: all its rings; badge_count: count at the last ring with a badge.
      CREATE TABLE delivery (
        registration BLOB NOT NULL, feed TEXT NOT NULL,
        count INTEGER NOT NULL, badge_count INTEGER NOT NULL,
        badge_feed TEXT, badge_mark INTEGER, badge_seen TEXT NOT NULL,
        reason TEXT NOT NULL, outcome TEXT NOT NULL, apns_id TEXT, at INTEGER NOT NULL,
        attempts INTEGER NOT NULL, accepted INTEGER NOT NULL,
        dead TEXT, dead_token_mac BLOB, dead_at INTEGER,
        version INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (registration, feed)
      ) STRICT, WITHOUT ROWID;
      CREATE UNIQUE INDEX delivery_seq ON delivery (seq);

      -- This node's own work list, derived from the rows above: what it has to ring for, and when.
      -- app and platform name the queue: a paused app's rows do not stand in the way of the others'.
      CREATE TABLE due (
        registration BLOB PRIMARY KEY, app TEXT NOT NULL, platform TEXT NOT NULL,
        not_before INTEGER NOT NULL, attempt INTEGER NOT NULL, since INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX due_time ON due (app, platform, not_before);
      CREATE INDEX due_since ON due (since);
    `,
  },
  {
    number: 2,
    what: "each phone's allowance of rings, and waits that a provider asked for",
    sql: `
      -- What a phone's rings have used of its allowances: when each is whole again.
      ALTER TABLE delivery ADD COLUMN paced_shown INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE delivery ADD COLUMN paced_wake INTEGER NOT NULL DEFAULT 0;
      -- Until then the provider's last answer forbids another try, whatever news comes.
      ALTER TABLE due ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
    `,
  },
  {
    number: 3,
    what: "the Exchange server of each subscription, and how its loss is dealt with",
    sql: `
      -- Keyed hash of the Exchange server that a subscription lives on, and how its loss is dealt with.
      ALTER TABLE folder ADD COLUMN server_mac BLOB;
      ALTER TABLE folder ADD COLUMN silent_at INTEGER;
      ALTER TABLE folder ADD COLUMN asks INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE folder ADD COLUMN asked_at INTEGER;
      -- A failure is the newest generation's from now on: where a newer one was asked for since, it is over.
      UPDATE folder SET failed_at = NULL WHERE bound_generation < generation;
    `,
  },
  {
    number: 4,
    what: "unread counts that came before it was known which folder is the inbox, and the token that got each badge",
    sql: `
      -- Keyed hash of the token that the last badge was rung to; null where that is not known.
      ALTER TABLE delivery ADD COLUMN badge_token_mac BLOB;
      -- Counts heard before it was known which folder is the inbox: JSON, [hash of the folder id, count, event's time].
      ALTER TABLE folder ADD COLUMN unplaced TEXT;
    `,
  },
];
