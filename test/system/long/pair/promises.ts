// What a run's answers promise, and what releases from it. Pure.
import type { Answered, Deletion, Evidence, Subscription, TokenDeath } from "./evidence.ts";
import { within } from "./spells.ts";

/** What was acknowledged, and what excuses a loss. */
export type Acknowledged = Pick<
  Evidence,
  "puts" | "deletions" | "subscriptions" | "deaths" | "notified" | "diskLosses"
>;

/** Whether what was answered must be there in the end. */
export function isPromised({ durable, atMs }: Answered, evidence: Pick<Evidence, "diskLosses">): boolean {
  switch (durable) {
    case "pair":
      return true;
    case "node":
      // Which node answered is not known behind a load balancer: any loss of a disk after it excuses.
      return !evidence.diskLosses.some((loss) => within(atMs, loss));
    case null:
      return false;
  }
}

/** Deletions that were acknowledged and have to last. */
export function promisedDeletions(
  evidence: Pick<Evidence, "deletions" | "diskLosses">,
): readonly (Deletion & { readonly answered: Answered })[] {
  return evidence.deletions.flatMap((deletion) => {
    const { answered } = deletion;
    return answered !== null && isPromised(answered, evidence) ? [{ ...deletion, answered }] : [];
  });
}

/** Whether a subscription may have ended by then: its registration was deleted or has lost its phone, or a newer one was made. */
export function mayEnd(
  { id, folder, generation }: Subscription,
  atMs: number,
  evidence: Pick<Evidence, "deletions" | "subscriptions" | "deaths" | "diskLosses">,
): boolean {
  return (
    evidence.deletions.some((each) => each.id === id && each.sentAtMs < atMs) ||
    evidence.deaths.some((each) => each.id === id && each.atMs < atMs && hasLostPhone(each, evidence)) ||
    evidence.subscriptions.some(
      (each) =>
        each.id === id && each.folder === folder && each.generation > generation && each.madeAtMs < atMs,
    )
  );
}

/** Whether the death of a token leaves its registration without one: the app is gone, or its next token was lost with a disk. */
function hasLostPhone({ replaced }: TokenDeath, evidence: Pick<Evidence, "diskLosses">): boolean {
  return replaced === null || !isPromised(replaced, evidence);
}

/** Registrations of which nothing is owed any more. */
export function released(
  evidence: Pick<Acknowledged, "deletions" | "deaths" | "diskLosses">,
): ReadonlySet<string> {
  const bare = evidence.deaths.filter((each) => hasLostPhone(each, evidence));
  return new Set([...evidence.deletions, ...bare].map(({ id }) => id));
}

/** The newest subscription to a folder of each registration. */
export function newestOf(subscriptions: readonly Subscription[], folder: string): readonly Subscription[] {
  const newest = new Map<string, Subscription>();
  for (const each of subscriptions) {
    if (each.folder === folder && (newest.get(each.id)?.generation ?? 0) < each.generation)
      newest.set(each.id, each);
  }
  return [...newest.values()];
}
