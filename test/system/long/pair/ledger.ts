// Collects a run's evidence while it happens.
import type {
  Deletion,
  DiskLoss,
  Durable,
  Ended,
  Evidence,
  Failure,
  Freeze,
  Meeting,
  Notified,
  PushSeen,
  Put,
  Revival,
  Spell,
  Subscription,
  Takeover,
  TokenDeath,
} from "./evidence.ts";

export interface TimelineEntry {
  readonly atMs: number;
  readonly what: string;
}

/** All lists of the evidence, growing. */
export interface Ledger {
  readonly now: () => number;
  readonly timeline: TimelineEntry[];
  readonly puts: Put[];
  readonly deletions: Map<string, Deletion>;
  readonly subscriptions: Subscription[];
  readonly deaths: TokenDeath[];
  readonly notified: Notified[];
  readonly meetings: Meeting[];
  readonly ends: Ended[];
  readonly pushes: PushSeen[];
  readonly revivals: Revival[];
  readonly failures: Failure[];
  readonly calm: Spell[];
  readonly switches: Spell[];
  readonly freezes: Freeze[];
  readonly diskLosses: DiskLoss[];
  readonly takeovers: Takeover[];
  readonly overloaded: Spell[];
  readonly complaints: string[];
  note(what: string): void;
}

export function createLedger(): Ledger {
  const begunAt = performance.now();
  const now = () => performance.now() - begunAt;
  const timeline: TimelineEntry[] = [];
  return {
    now,
    timeline,
    puts: [],
    deletions: new Map(),
    subscriptions: [],
    deaths: [],
    notified: [],
    meetings: [],
    ends: [],
    pushes: [],
    revivals: [],
    failures: [],
    calm: [],
    switches: [],
    freezes: [],
    diskLosses: [],
    takeovers: [],
    overloaded: [],
    complaints: [],
    note(what) {
      const atMs = Math.round(now());
      timeline.push({ atMs, what });
      // What a run that never ended did last is on its standard error.
      process.stderr.write(`${(atMs / 1000).toFixed(1)} s: ${what}\n`);
    },
  };
}

/** What the lists hold, with what is known at the end only. */
export function evidenceOf(
  ledger: Ledger,
  end: Pick<
    Evidence,
    "roles" | "refusals" | "stores" | "quietRows" | "quietFromMs" | "unended" | "complaints"
  >,
): Evidence {
  const { puts, subscriptions, notified, ends, pushes, revivals, failures, calm, switches } = ledger;
  const { deaths, meetings, freezes, diskLosses, takeovers, overloaded } = ledger;
  return {
    puts,
    deletions: [...ledger.deletions.values()],
    subscriptions,
    deaths,
    notified,
    meetings,
    ends,
    pushes,
    revivals,
    failures,
    calm,
    switches,
    freezes,
    diskLosses,
    takeovers,
    overloaded,
    ...end,
    complaints: [...ledger.complaints, ...end.complaints],
  };
}

/** The word of an answer's `Inboxbell-Durable`. */
export function durableOf(word: string | null | undefined): Durable {
  return word === "pair" || word === "node" ? word : null;
}
