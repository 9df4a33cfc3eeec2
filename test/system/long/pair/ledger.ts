// Collects a run's evidence while it happens.
import type {
  Deletion,
  DiskLoss,
  Durable,
  Ended,
  Evidence,
  Failure,
  Notified,
  PushSeen,
  Put,
  Revival,
  Spell,
  Subscription,
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
  readonly notified: Notified[];
  readonly ends: Ended[];
  readonly pushes: PushSeen[];
  readonly revivals: Revival[];
  readonly failures: Failure[];
  readonly calm: Spell[];
  readonly switches: Spell[];
  readonly diskLosses: DiskLoss[];
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
    notified: [],
    ends: [],
    pushes: [],
    revivals: [],
    failures: [],
    calm: [],
    switches: [],
    diskLosses: [],
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
  end: Pick<Evidence, "roles" | "stores" | "quietFromMs" | "unended" | "complaints">,
): Evidence {
  const { puts, subscriptions, notified, ends, pushes, revivals, failures, calm, switches, diskLosses } =
    ledger;
  return {
    puts,
    deletions: [...ledger.deletions.values()],
    subscriptions,
    notified,
    ends,
    pushes,
    revivals,
    failures,
    calm,
    switches,
    diskLosses,
    ...end,
    complaints: [...ledger.complaints, ...end.complaints],
  };
}

/** The word of an answer's `Inboxbell-Durable`. */
export function durableOf(word: string | null | undefined): Durable {
  return word === "pair" || word === "node" ? word : null;
}
