// What is known of one phone, put together from its rows and from what the running node knows besides: the facts that
// `why` answers from. Pure. No token, no SubscriptionId and no hash of one is in here.
import type { AppConfig } from "../config/types.ts";
import type { PhoneAnswers, RingAnswer } from "../delivery/ring-memory.ts";
import { ringsFor } from "../exchange/ring-folders.ts";
import { registrationState } from "../registration/view.ts";
import { folderState } from "../store/folder-state.ts";
import type { Inspection } from "../store/inspect.ts";
import type { Folder, FolderKind, FolderState, LastRing, Platform, Reason } from "../store/types.ts";

export type PhoneState = "live" | "expected" | "resubscribe" | "dead";

/** All times are epoch milliseconds. */
export interface PhoneFacts {
  readonly registrationId: string;
  /** When these facts were true. */
  readonly now: number;
  readonly standing: "unknown" | "deleted" | "idle" | "present";
  /** When it was deleted or fell idle. */
  readonly endedAt: number | null;
  readonly phone: {
    readonly app: string;
    readonly platform: Platform;
    readonly state: PhoneState;
    /** What the provider's verdict on the token has led to. */
    readonly dead: "no" | "stopped" | "ended";
    readonly revision: number;
    readonly createdAt: number;
    readonly renewedAt: number;
    /** When it falls idle unless it is renewed; null where the configuration is not at hand. */
    readonly idleAt: number | null;
  } | null;
  readonly folders: readonly FolderFacts[];
  /** When Exchange last told of something, heartbeats not counted. */
  readonly newsAt: number | null;
  /** The newest unread count. */
  readonly badge: { readonly count: number; readonly acceptedAt: number; readonly isOwed: boolean } | null;
  readonly owed: {
    readonly reasons: readonly {
      readonly reason: Reason;
      readonly folder: string | null;
      readonly since: number;
    }[];
    /** Null where the phone cannot be rung. */
    readonly due: Inspection["due"];
    readonly next: Inspection["next"];
  } | null;
  readonly lastRing: LastRing | null;
  /** How many rings the provider took, as far as rows of them are kept. */
  readonly accepted: number;
  /** What only a running node knows; null where none runs. */
  readonly node: NodeFacts | null;
}

export interface FolderFacts {
  readonly name: string;
  readonly kind: FolderKind;
  readonly state: FolderState;
  readonly lastHeardAt: number | null;
  /** Since when it is silent or failed. */
  readonly troubledAt: number | null;
  /** How often the app was asked to subscribe again, and when last. */
  readonly asks: number;
  readonly askedAt: number | null;
  /** Whether the configuration wants this kind of folder to ring. */
  readonly rings: boolean;
}

export interface NodeFacts {
  readonly role: "active" | "passive";
  /** A ring is on its way now. */
  readonly ringing: boolean;
  readonly pause: { readonly reason: string; readonly hint: string; readonly since: number } | null;
  /** Rings are due, nothing says why, and none gets through. */
  readonly stalled: boolean;
  /** The last answer of the provider that did not take a ring, since the start. */
  readonly refused: RingAnswer | null;
  /** The last answer to a test ring, since the start. */
  readonly test: RingAnswer | null;
}

/** What the facts are taken with. */
export interface Circumstances {
  /** Epoch milliseconds. */
  readonly now: number;
  /** Null where the configuration is not at hand. */
  readonly config: { readonly apps: readonly AppConfig[]; readonly idleMs: number } | null;
  readonly node: NodeFacts | null;
}

export const NO_ANSWERS: PhoneAnswers = { refused: null, test: null };

/** Puts the facts of one registration together. */
export function phoneFacts(inspection: Inspection, { now, config, node }: Circumstances): PhoneFacts {
  const { state, reasons, due, next, badge } = inspection;
  const common = {
    registrationId: inspection.registrationId,
    now,
    folders: [],
    newsAt: inspection.newsAt,
    badge,
    owed: null,
    lastRing: inspection.lastRing,
    accepted: inspection.accepted,
    node,
  };
  switch (state.kind) {
    case "deleted":
      return { ...common, standing: "deleted", endedAt: state.at, phone: null };
    case "missing": {
      const standing = inspection.idleAt === null ? "unknown" : "idle";
      return { ...common, standing, endedAt: inspection.idleAt, phone: null };
    }
    case "present": {
      const { registration, folders, dead } = state;
      const { app, platform, revision, createdAt, renewedAt } = registration;
      const isOwed = reasons.length > 0 || badge?.isOwed === true || due !== null;
      return {
        ...common,
        standing: "present",
        endedAt: null,
        phone: {
          app,
          platform,
          state: registrationState(state),
          dead,
          revision,
          createdAt,
          renewedAt,
          idleAt: config === null ? null : renewedAt + config.idleMs,
        },
        folders: folders.map((folder) => folderFacts(folder, config?.apps ?? [], app)),
        owed: isOwed ? { reasons, due, next } : null,
      };
    }
  }
}

function folderFacts(folder: Folder, apps: readonly AppConfig[], app: string): FolderFacts {
  const { name, kind, lastHeardAt, asks, askedAt } = folder;
  const state = folderState(folder);
  return {
    name,
    kind,
    state,
    lastHeardAt,
    troubledAt: state === "failed" ? folder.failedAt : state === "silent" ? folder.silentAt : null,
    asks,
    askedAt,
    rings: ringsFor(apps, app, kind),
  };
}
