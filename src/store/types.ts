// The store's interface: asynchronous and batch-shaped, so that a server database can stand behind it later.
// Decisions are handed in as pure functions, which the store calls inside the transaction with fresh rows.

import type {
  CommitPlace,
  EchoRange,
  KeptCommits,
  Page,
  PeerKnowledge,
  Position,
  ReplicaRow,
} from "./feed-types.ts";
import type { FormerLimit } from "./former.ts";
import type { Inspection, ListedPhone, ListPage } from "./inspect.ts";
import type { SpentLimit } from "./spent.ts";

export type Platform = "apns" | "fcm";
export type FolderKind = "inbox" | "calendar" | "other";

/** Where the newest generation of a folder's subscription stands; `folder-state.ts` says which. */
export type FolderState = "expected" | "live" | "silent" | "failed" | "ended";

/**
 * Why a phone is rung. `mail`: new mail. `changed`: read or changed elsewhere. `calendar`, `folder`: a folder
 * that is not the inbox. `resubscribe`: the app must subscribe again at Exchange. `test`: asked for by hand.
 */
export type Reason = "mail" | "changed" | "calendar" | "folder" | "resubscribe" | "test";

/** A registration that exists (no tombstone). Times are epoch milliseconds. */
export interface Registration {
  /** UUID, lower case with dashes. */
  readonly id: string;
  readonly app: string;
  readonly platform: Platform;
  readonly tokenMac: Buffer;
  readonly secretHash: Buffer;
  readonly subjectMac: Buffer | null;
  readonly revision: number;
  readonly locale: string | null;
  readonly createdAt: number;
  readonly renewedAt: number;
}

/** A folder of a registration. A generation is the revision that asked for a new subscription. */
export interface Folder {
  readonly name: string;
  readonly kind: FolderKind;
  /** The newest generation that the app asked for. */
  readonly generation: number;
  /** The newest generation that Exchange was heard on; 0 while none was. The next four belong to it. */
  readonly boundGeneration: number;
  readonly subscriptionMac: Buffer | null;
  readonly watermarkMac: Buffer | null;
  /** For display: how long a subscription has been quiet is never measured on the wall clock. */
  readonly lastHeardAt: number | null;
  /** Keyed hash of the Exchange server's name in the noted SubscriptionId; null if it names none. */
  readonly serverMac: Buffer | null;
  /** Exchange reported an error for the newest generation (epoch milliseconds), or null. */
  readonly failedAt: number | null;
  /** The newest generation was quiet for too long (epoch milliseconds), or null. */
  readonly silentAt: number | null;
  /** How often the app was asked to subscribe again since the newest generation was last heard or asked for. */
  readonly asks: number;
  /** When it was asked last (epoch milliseconds), or null. It stays when `asks` begins anew. */
  readonly askedAt: number | null;
  /** Generations up to and including this one have ended: a POST on them is answered `Unsubscribe`. */
  readonly endedGeneration: number;
  /** Keyed hash of the Exchange folder id, given by the app or learnt from new items; null while unknown. */
  readonly folderMac: Buffer | null;
  readonly folderLearnt: boolean;
  /** Minutes. */
  readonly statusFrequencyMinutes: number;
  /** Counts that were heard before it was known which folder is the inbox (see `unplaced.ts`). */
  readonly unplaced: readonly UnplacedCount[];
}

/** The unread count of a folder of which it is not known whether it is the inbox. */
export interface UnplacedCount {
  readonly folderMac: Buffer;
  readonly count: number;
  /** Epoch milliseconds. */
  readonly eventAt: number;
}

/** What the store knows under one registration id. */
export type RegistrationState =
  /** Never seen, or idled away. `folders`: those heard of meanwhile, whose registration has yet to arrive. */
  | { readonly kind: "missing"; readonly folders?: readonly Folder[] }
  /** Deleted: the id is spent. */
  | { readonly kind: "deleted"; readonly at: number }
  | {
      readonly kind: "present";
      readonly registration: Registration;
      readonly folders: readonly Folder[];
      /** The provider said that this token is dead: `ended` also ends subscriptions, `stopped` only rings. */
      readonly dead: "no" | "stopped" | "ended";
    };

/** A badge count with the time Exchange gave its event (epoch milliseconds). */
export interface BadgeNews {
  readonly count: number;
  readonly eventAt: number;
}

/** What is to be changed under one registration id. Everything left out stays as it is. */
export interface Change {
  /** Create or renew. The token is sealed by the store. */
  readonly registration?: Omit<Registration, "id" | "tokenMac" | "createdAt"> & { readonly token: string };
  /** Folders to create or overwrite, whole. */
  readonly folders?: readonly Folder[];
  /** Folders to forget, by name. */
  readonly removeFolders?: readonly string[];
  /** Turn the registration into a tombstone; nothing else may be asked for with it. */
  readonly delete?: { readonly at: number };
  readonly badge?: BadgeNews;
  /** Reasons that become owed. `resubscribe` names a folder. */
  readonly reasons?: readonly { readonly reason: Reason; readonly folder?: string }[];
  /**
   * Only "heard again" changed (a heartbeat on a bound subscription): it may be written with a later commit,
   * and the caller is answered without waiting for one.
   */
  readonly lazy?: boolean;
}

/** One question to the store: look at a registration, decide, write, and give back `result` once durable. */
export interface Request<T> {
  readonly registrationId: string;
  /**
   * Called inside the transaction with fresh rows, perhaps more than once; must be pure. `boundElsewhere`
   * answers for `subscriptionMacs`: those that are noted on a folder of another registration.
   */
  readonly decide: (
    state: RegistrationState,
    boundElsewhere: readonly Buffer[],
  ) => { change?: Change; result: T };
  /** SubscriptionId hashes about to be bound, to be looked up in other registrations. */
  readonly subscriptionMacs?: readonly Buffer[];
  /** Is told, before the result is given back, on how many nodes that rests; one node if it is never called. */
  readonly onDurable?: (durability: Durability) => void;
  /** Carried to the dispatcher if something becomes due, for log lines and for `ring_seconds`. */
  readonly origin?: { readonly correlationId: string; readonly receivedAtMs: number };
}

/** Names a queue of rings: one app on one platform. */
export interface Queue {
  readonly app: string;
  readonly platform: Platform;
}

/** Said after a commit: these registrations have something to ring for, now or at a time to come. */
export interface DueNews {
  readonly registrationId: string;
  readonly queue: Queue;
  /** Epoch milliseconds, perhaps in the past. */
  readonly at: number;
  /** The POST it came from; `receivedAtMs` is monotonic, and null if the ring waited on purpose. */
  readonly origin: { readonly correlationId: string; readonly receivedAtMs: number | null } | null;
}

/** Names a badge: the feed that accepted it and the mark it was given there. */
export interface BadgeRef {
  readonly feed: string;
  readonly mark: number;
}

/** Everything a ring needs, read at the moment it begins. */
export interface Ring {
  readonly registrationId: string;
  readonly app: string;
  readonly platform: Platform;
  /** The device token, opened; never logged. */
  readonly token: string;
  readonly tokenMac: Buffer;
  readonly renewedAt: number;
  readonly locale: string | null;
  /** The newest badge, or null if none was ever heard. */
  readonly badge: number | null;
  readonly reason: Reason;
  /** For `resubscribe`. */
  readonly folder: string | null;
  /** How often this very ring was tried before. */
  readonly attempt: number;
  /** Since when it is owed, epoch milliseconds. */
  readonly since: number;
  /** The same on every try of the same ring, also after a restart. */
  readonly apnsId: string;
  /** What this ring settles; opaque to the caller, to be handed back. */
  readonly carries: RingCarries;
}

export interface RingCarries {
  readonly badgeRef: BadgeRef | null;
  /** Other feeds' last rings seen when it began: feed → count. */
  readonly seen: Readonly<Record<string, number>>;
  /** Reason key → feed → mark that this ring answers. */
  readonly marks: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** How a ring ended, for `settle`. */
export interface Settlement {
  readonly ring: Ring;
  /**
   * `done`: the provider accepted it, or the rules gave it up; what it carried is settled.
   * `again`: try later. `dead`: the token is dead; `ends` says whether the subscriptions end with it.
   */
  readonly kind: "done" | "again" | "dead";
  /** Short word for `status`, `why` and GET: `accepted`, or the provider's reason. */
  readonly outcome: string;
  /** When it ended, epoch milliseconds. */
  readonly at: number;
  /** For `again`: not before this time, epoch milliseconds. */
  readonly notBefore?: number;
  /** For `again`: whether this try counts (a paused app's tries do not). Default true. */
  readonly counts?: boolean;
  /** For `dead`. */
  readonly ends?: boolean;
}

/** The last ring of a registration as GET shows it. */
export interface LastRing {
  readonly at: number;
  readonly reason: Reason;
  readonly outcome: string;
  readonly attempts: number;
}

/** A registration as shown to its owner and to the administrator. */
export interface RegistrationView {
  readonly state: RegistrationState;
  readonly lastRing: LastRing | null;
  readonly owedSince: number | null;
}

/** A registration that exists, as the walk over all of them meets it. */
export interface WalkedPhone {
  readonly registrationId: string;
  readonly app: string;
  /** Whether the provider said that its token is dead: it cannot be rung. */
  readonly dead: boolean;
  readonly folders: readonly Folder[];
}

export interface StoreCounts {
  readonly registrations: readonly {
    readonly app: string;
    readonly platform: Platform;
    readonly count: number;
  }[];
  /** Registrations whose token the provider called dead or bad: they are not rung until they are renewed. */
  readonly notRung: number;
  readonly subscriptions: Readonly<Record<FolderState, number>>;
  readonly owed: number;
  /** Epoch milliseconds of the oldest thing owed, or null. */
  readonly owedOldestSince: number | null;
}

/** Whether both nodes hold what an answer rests on, or this one only. */
export type Durability = "pair" | "node";

export interface Store {
  /** Opens the database, migrates it and starts the group commit. Throws `store_*`. */
  start(): Promise<void>;
  /** Commits what is pending, checkpoints and closes. */
  stop(): Promise<void>;
  /** Joins the current group commit; resolves when durable. Rejects with `store_unavailable` if it cannot commit. */
  submit<T>(request: Request<T>): Promise<T>;
  /**
   * Reads registrations; in the order asked for.
   * @param onDurable as in `Request`
   */
  read(
    registrationIds: readonly string[],
    onDurable?: (durability: Durability) => void,
  ): Promise<readonly RegistrationView[]>;
  /** Finds the registration and folder on which a SubscriptionId is noted. */
  findSubscription(
    subscriptionMac: Buffer,
  ): Promise<{ registrationId: string; folder: string; generation: number } | null>;
  /** Ids of registrations that hold a token; nothing says that they are of one phone. */
  findToken(tokenMac: Buffer): Promise<readonly string[]>;
  /** All that is stored under one id, for whoever has to explain it. */
  inspect(registrationId: string): Promise<Inspection>;
  /** Registrations in the order of their ids, for lists that people read; a page at a time, so that rings go on. */
  list(page: ListPage): Promise<readonly ListedPhone[]>;
  /** Writes a copy of the database, as it is at one moment, into an empty file; rings and commits go on meanwhile. */
  copyTo(path: string): Promise<void>;
  /** Ids of a queue's registrations that are due at `now` (epoch milliseconds), oldest first, at most `limit`. */
  due(queue: Queue, now: number, limit: number): Promise<readonly string[]>;
  /** When the queue's next thing after `after` becomes due (both epoch milliseconds), or null. */
  nextDueAt(queue: Queue, after: number): Promise<number | null>;
  /** Reads what the rings for these registrations carry; those with nothing owed or nothing to ring are left out. */
  begin(registrationIds: readonly string[]): Promise<readonly Ring[]>;
  /** Notes how rings ended; joins a group commit. */
  settle(settlements: readonly Settlement[]): Promise<void>;
  /** The wall clock was set. Resolves when what waits goes on waiting for as long as it was meant to. */
  clockJumped(): Promise<void>;
  counts(now: number): Promise<StoreCounts>;
  /** The next registrations after this one, or the first ones, in the order of their ids; at most `limit`. */
  walk(afterId: string | null, limit: number): Promise<readonly WalkedPhone[]>;
  /** Lets registrations fall idle that were not renewed for `idleMs`; returns how many. */
  sweep(now: number, idleMs: number): Promise<number>;
  /** Removes for good what is left of deleted and idle registrations within these limits; returns how many. */
  removeSpent(limit: SpentLimit): Promise<number>;
  /** Removes rows of feeds no longer in use that are of no use any more, within these limits; returns how many. */
  removeFormer(limit: FormerLimit): Promise<number>;
  position(): Promise<Position>;
  /** Rows written after this position of this node's feed, in order, at most `limit`. */
  rowsAfter(seq: number, limit: number): Promise<readonly ReplicaRow[]>;
  /** The same with the place that they lead to, which is after `seq` even where no rows are left. */
  page(seq: number, limit: number): Promise<Page>;
  /**
   * Merges another node's rows; joins a group commit. What is due by them is announced.
   * @param upTo how far its feed is read with them, noted in the same commit
   */
  merge(theirs: readonly ReplicaRow[], upTo?: Position): Promise<void>;
  peerKnowledge(): Promise<PeerKnowledge>;
  /** Whether this database has the commit that another node's cursor in this node's feed names. */
  placeOf(cursor: Position): CommitPlace;
  /** These commits, and the newest, are remembered until the next call; others are forgotten. */
  keepCommits(commits: KeptCommits): void;
  /** The last position of this node's feed that is durable. */
  committedSeq(): number;
  /**
   * Says so after each commit that moved it. One listener.
   * @param listener is given the last position, and which of the new ones need not be sent back
   */
  onCommitted(listener: (seq: number, echoes: readonly EchoRange[]) => void): void;
  /**
   * Goes on under a new feed, after this database was restored or rolled back: every phone is rung once more,
   * spread out, since nobody knows what it was rung with meanwhile. The other node's feed is to be read anew.
   */
  beginFeed(): Promise<void>;
  /** One real commit, as the self-check needs it; returns its duration in milliseconds. */
  probe(): Promise<number>;
  /** Gives up the reserve, for what else has to be written to a full disk; whether there was one. */
  makeRoom(): boolean;
  /** Says which registrations became due, after the commit. One listener. */
  onDue(listener: (news: readonly DueNews[]) => void): void;
}
