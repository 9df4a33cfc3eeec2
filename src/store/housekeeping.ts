// What goes in time without anybody asking: registrations that nobody renews, what is left of ended ones, and rows of
// feeds no longer in use. Some at a time, so that others get on.
import type { LazyFolders } from "./lazy-folders.ts";
import { idText } from "./rows.ts";
import type { Session } from "./session.ts";
import type { Store } from "./types.ts";

export interface HousekeepingParts {
  /** The open database. */
  readonly opened: () => Session;
  readonly inCommit: <T>(work: (session: Session) => T) => Promise<T>;
  readonly lazy: LazyFolders;
}

/** Rows of registrations that may go, within limits that differ by kind. */
interface Removable<Limit> {
  find(
    afterId: Buffer | null,
    limit: Limit,
  ): { readonly ids: readonly Buffer[]; readonly last: Buffer | null };
  remove(id: Buffer, limit: Limit): number;
}

export function createHousekeeping({
  opened,
  inCommit,
  lazy,
}: HousekeepingParts): Pick<Store, "sweep" | "removeSpent" | "removeFormer"> {
  async function removeAll<Limit>(of: (session: Session) => Removable<Limit>, limit: Limit): Promise<number> {
    let removed = 0;
    for (let after: Buffer | null = null; ; ) {
      const { ids, last } = of(opened()).find(after, limit);
      if (ids.length > 0) {
        removed += await inCommit((session) =>
          ids.reduce((sum, id) => sum + of(session).remove(id, limit), 0),
        );
      }
      if (last === null) return removed;
      after = last;
      // Whoever came meanwhile is served in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  return {
    async sweep(at, idleMs) {
      const { survey, restoredAt } = opened();
      // Apps may have renewed what a backup does not know of: from the restore on all of them have the whole time.
      if (restoredAt !== null && at - idleMs < restoredAt) return 0;
      const ids = survey.idle(at - idleMs);
      const sweeps = ids.map((id) =>
        inCommit(({ rows }) => {
          const stored = rows.registration(id);
          // Asked again inside the transaction: it may have been renewed since.
          if (stored?.kind !== "present" || stored.registration.renewedAt > at - idleMs) return 0;
          const { revision, createdAt, renewedAt } = stored.registration;
          rows.bury(id, revision, createdAt, renewedAt, { idleAt: at });
          lazy.forget(idText(id));
          return 1;
        }),
      );
      return (await Promise.all(sweeps)).reduce<number>((sum, done) => sum + done, 0);
    },

    removeSpent: (limit) => removeAll(({ spent }) => spent, limit),

    removeFormer: (limit) => removeAll(({ former }) => former, limit),
  };
}
