// What a simulated push service can be told to do wrong, and when. The plan is kept here; carrying it out on the
// wire is the business of `connection.ts`.

/** One way of not answering as one should. */
export type Misbehaviour =
  /** This answer instead of a judgement; the push is not accepted. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The right answer, but after `ms`. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Judged as usual (an accepted push is delivered), but never answered. */
  | { readonly kind: "lose-answer" }
  /** Neither judged nor answered; the connection stays. */
  | { readonly kind: "hang" }
  /**
   * HTTP/2 GOAWAY. `unprocessed`: the last stream id is below this request, which is not judged. `answered`: the
   * last stream is this one and it gets its answer. `unanswered`: the last stream is this one, it is judged, but
   * the connection closes without its answer: the sender cannot know. On HTTP/1.1 it is a closed connection.
   */
  | {
      readonly kind: "goaway";
      readonly processed: "unprocessed" | "answered" | "unanswered";
      readonly reason?: string;
      /** HTTP/2 error code, 0 (NO_ERROR) if left out. */
      readonly code?: number;
    }
  /** RST_STREAM with this HTTP/2 error code: 7 REFUSED_STREAM (the default) means never processed. */
  | { readonly kind: "reset-stream"; readonly code?: number }
  /** TCP FIN without GOAWAY, not judged. */
  | { readonly kind: "close" }
  /** TCP RST, not judged. */
  | { readonly kind: "abort" }
  /** Half-open: from now on the connection neither reads nor writes, but stays open. */
  | { readonly kind: "freeze" }
  /** SETTINGS with this MAX_CONCURRENT_STREAMS, then the right answer. */
  | { readonly kind: "lower-streams"; readonly to: number };

/** Which requests are concerned: the next ones, or every n-th until `clear`; of one token or of all. */
export interface When {
  /** How many requests; 1 if neither this nor `every` is given. */
  readonly next?: number;
  /** Every n-th matching request; 1 is every one. */
  readonly every?: number;
  /** Only requests for this device token. */
  readonly token?: string;
}

/** The plan: what to do wrong, and when. */
export interface MisbehaviourPlan {
  add(what: Misbehaviour, when?: When): void;
  /** Forgets everything planned: from now on the service behaves. */
  clear(): void;
  /** What to do with the request for `token`; counts it. The first entry that matches wins. */
  take(token: string): Misbehaviour | undefined;
}

interface Entry {
  readonly what: Misbehaviour;
  readonly when: When;
  left: number;
  seen: number;
}

/** An empty plan. */
export function createMisbehaviourPlan(): MisbehaviourPlan {
  let entries: Entry[] = [];
  return {
    add(what, when = {}) {
      const left = when.every === undefined ? (when.next ?? 1) : Number.POSITIVE_INFINITY;
      entries.push({ what, when, left, seen: 0 });
    },
    clear() {
      entries = [];
    },
    take(token) {
      for (const entry of entries) {
        if (entry.when.token !== undefined && entry.when.token !== token) continue;
        entry.seen += 1;
        if (entry.when.every !== undefined && entry.seen % entry.when.every !== 0) continue;
        entry.left -= 1;
        if (entry.left <= 0) entries = entries.filter((other) => other !== entry);
        return entry.what;
      }
      return undefined;
    },
  };
}
