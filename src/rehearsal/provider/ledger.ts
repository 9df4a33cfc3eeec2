// What a simulated push service has seen: accepted pushes by token, every request with its answer, offences of
// the sender, and counts. Bounded, since a rehearsal may run for days.

/** One request and what became of it. */
export interface SeenRequest {
  readonly at: number;
  readonly token: string;
  /** The sender's id for the push, if the service has such a thing: the same on every retry. */
  readonly id?: string;
  /** HTTP status, or undefined where no answer was sent (hang, reset, lost). */
  readonly status?: number;
  /** The service's reason or error code; "accepted" for a success. */
  readonly reason: string;
}

/** Something that a correct sender never does. */
export interface Violation {
  readonly at: number;
  readonly token: string;
  readonly rule: string;
  readonly detail: string;
}

/** Totals since the start. */
export interface Totals {
  readonly connections: number;
  readonly openConnections: number;
  readonly requests: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
}

export interface Ledger<Accepted extends { readonly token: string }> {
  connected(): void;
  disconnected(): void;
  accepted(push: Accepted): void;
  answered(request: SeenRequest): void;
  violated(violation: Violation): void;
  /** Accepted pushes of one token, oldest first (the newest `HISTORY_LIMIT`). */
  history(token: string): readonly Accepted[];
  /** Every request in order of its answer (the newest `REQUEST_LIMIT`). */
  requests(): readonly SeenRequest[];
  violations(): readonly Violation[];
  totals(): Totals;
}

// Enough for any test to look back; 1 000 phones for a week stay within some tens of megabytes.
const HISTORY_LIMIT = 200;
const REQUEST_LIMIT = 20_000;
const VIOLATION_LIMIT = 1_000;

function keep<T>(list: T[], item: T, limit: number): void {
  list.push(item);
  // Cut in large steps: shifting one at a time would copy the array on every request.
  if (list.length > limit * 2) list.splice(0, list.length - limit);
}

/** An empty ledger. */
export function createLedger<Accepted extends { readonly token: string }>(): Ledger<Accepted> {
  const pushes = new Map<string, Accepted[]>();
  const requests: SeenRequest[] = [];
  const violations: Violation[] = [];
  const refused = new Map<string, number>();
  let connections = 0;
  let openConnections = 0;
  let requestCount = 0;
  let acceptedCount = 0;
  return {
    connected() {
      connections += 1;
      openConnections += 1;
    },
    disconnected() {
      openConnections -= 1;
    },
    accepted(push) {
      acceptedCount += 1;
      const list = pushes.get(push.token) ?? [];
      keep(list, push, HISTORY_LIMIT);
      pushes.set(push.token, list);
    },
    answered(request) {
      requestCount += 1;
      if (request.reason !== "accepted") refused.set(request.reason, (refused.get(request.reason) ?? 0) + 1);
      keep(requests, request, REQUEST_LIMIT);
    },
    violated(violation) {
      keep(violations, violation, VIOLATION_LIMIT);
    },
    history: (token) => pushes.get(token) ?? [],
    requests: () => requests,
    violations: () => violations,
    totals: () => ({
      connections,
      openConnections,
      requests: requestCount,
      accepted: acceptedCount,
      refused: Object.fromEntries(refused),
    }),
  };
}
