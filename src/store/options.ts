// What a store is made with, and what it tells its owner.
import type { BellError } from "../errors.ts";
import type { Keyring } from "../keys/types.ts";
import type { Synchronous } from "./database.ts";

/** What the store tells its owner, for metrics and logs. */
export interface StoreEvents {
  /** After each group commit: requests in it and duration in milliseconds. */
  readonly committed?: (requests: number, durationMs: number) => void;
  /** A commit failed; `reserveGivenUp` once, when the reserve file made room. */
  readonly failed?: (error: BellError, reserveGivenUp: boolean) => void;
  /** A registration's token does not open (its key is missing): it waits, the others go on. */
  readonly unreadable?: (error: BellError) => void;
  /** Commits work again after failures. */
  readonly recovered?: () => void;
  /** Another node heard this subscription later than this one did. */
  readonly heardElsewhere?: (folder: HeardFolder) => void;
  /** The database came out of a backup made at this time (epoch milliseconds) and goes on under a new feed. */
  readonly restored?: (backupMadeAt: number) => void;
}

/** A folder on which Exchange was heard. */
export interface HeardFolder {
  readonly registrationId: string;
  readonly folder: string;
  readonly serverMac: Buffer | null;
}

export interface StoreOptions {
  readonly path: string;
  readonly keyring: Keyring;
  /** Path of the key file, for messages. */
  readonly keyFile?: string;
  /** Wall time, epoch milliseconds. */
  readonly now: () => number;
  /** Milliseconds; shows when the wall clock is set, which goes unnoticed without it until the next opening. */
  readonly monotonicNow?: () => number;
  readonly events?: StoreEvents;
  /** Size of the reserve file, bytes; 0 for none. */
  readonly reserveBytes?: number;
  readonly synchronous?: Synchronous;
  /** How long what changed elsewhere waits for more of it before it is rung, milliseconds; default 2 s. */
  readonly mergeChangesMs?: number;
}
