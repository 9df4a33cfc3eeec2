// Rings: what one carries when it begins, and what is written when it ends.
import type { Keyring } from "../keys/types.ts";
import type { Due, Ledger } from "./apply.ts";
import type { OwedRow, ReasonMarks } from "./owed-rule.ts";
import { allowanceOf, paceAfter, UNPACED } from "./pace.ts";
import type { DeliveryRow } from "./records.ts";
import { isFromBackup } from "./restored.ts";
import { idBytes, type Rows } from "./rows.ts";
import { seenBy } from "./seen.ts";
import type { Ring, RingCarries, Settlement } from "./types.ts";

export interface RingBook {
  /** The ring for this registration, or null if nothing is due (`stale`: its work-list row should go). */
  begin(
    registrationId: string,
    now: number,
  ): { readonly ring: Ring } | { readonly ring: null; readonly stale: boolean };
  /**
   * Writes how a ring ended, inside a transaction; gives what is due after it, or null if nothing is.
   * @param now epoch milliseconds
   */
  settle(settlement: Settlement, now: number): Due | null;
}

/** @param restoredAt when this database was last restored from a backup, epoch milliseconds, or null */
export function createRingBook(
  rows: Rows,
  ledger: Ledger,
  keyring: Keyring,
  feed: string,
  restoredAt: number | null,
): RingBook {
  function begin(registrationId: string, now: number): ReturnType<RingBook["begin"]> {
    const id = idBytes(registrationId);
    const due = rows.due(id);
    if (due === null || due.notBefore > now) return { ring: null, stale: false };
    const stored = rows.registration(id);
    const deliveries = rows.deliveries(id);
    const next = stored?.kind === "present" ? ledger.next(id, stored.registration, deliveries, now) : null;
    if (stored?.kind !== "present" || next === null || next.at > now) return { ring: null, stale: true };
    const { registration, sealedToken } = stored;
    const badgeRef = next.badge === null ? null : { feed: next.badge.feed, mark: next.badge.badgeMark };
    const seen = seenBy(
      feed,
      deliveries.map((row) => ({ feed: row.feed, mark: row.count, seen: row.seen })),
    );
    return {
      ring: {
        registrationId,
        app: registration.app,
        platform: registration.platform,
        token: keyring.open(sealedToken, registrationId, "token"),
        tokenMac: registration.tokenMac,
        renewedAt: registration.renewedAt,
        locale: registration.locale,
        badge: next.badge?.badge ?? null,
        reason: next.reason,
        folder: next.folder,
        attempt: due.attempt,
        since: due.since,
        // Made from what the ring carries: the same on each try, also after a crash, and another for newer news.
        apnsId: keyring.uuidFrom(
          registrationId,
          next.reason,
          next.folder ?? "",
          badgeRef === null ? "" : `${badgeRef.feed}:${badgeRef.mark}`,
          JSON.stringify(next.marks),
        ),
        carries: { badgeRef, seen, marks: next.marks },
      },
    };
  }

  /** Notes which marks a ring answered; gives the rows as they are then. */
  function settleMarks(id: Buffer, owed: readonly OwedRow[], carried: RingCarries["marks"]): OwedRow[] {
    return owed.map((row) => {
      const reasons: Record<string, ReasonMarks> = { ...row.reasons };
      let changed = false;
      for (const [key, byFeed] of Object.entries(carried)) {
        const answered = byFeed[row.feed];
        const marks = reasons[key];
        // The mark that the ring answered is copied: news that came while it was in flight stays owed.
        if (answered === undefined || marks === undefined || marks[1] >= answered) continue;
        reasons[key] = [marks[0], answered, marks[2]];
        changed = true;
      }
      if (!changed) return row;
      const settled = { ...row, reasons };
      rows.writeOwed(id, settled);
      return settled;
    });
  }

  function settle(settlement: Settlement, now: number): Due | null {
    const { ring, at } = settlement;
    const id = idBytes(ring.registrationId);
    const stored = rows.registration(id);
    // Deleted while in flight: a tombstone stays alone.
    if (stored?.kind !== "present") {
      rows.deleteDue(id);
      return null;
    }
    // The phone has another token by now: this ring reached nobody, whatever the provider said of it.
    if (!stored.registration.tokenMac.equals(ring.tokenMac))
      return ledger.refreshDue(ring.registrationId, { at });
    if (settlement.kind === "again") {
      // The clock may have been set since the ring ended: what is known is how long to wait.
      const notBefore = now + Math.max(0, (settlement.notBefore ?? at) - at);
      rows.writeDue(id, stored.registration, {
        notBefore,
        heldUntil: notBefore,
        attempt: ring.attempt + (settlement.counts === false ? 0 : 1),
        since: rows.due(id)?.since ?? ring.since,
      });
      return ledger.refreshDue(ring.registrationId);
    }
    const { registration } = stored;
    const earlier = rows.deliveries(id);
    const mine = nextDelivery(
      earlier.find((row) => row.feed === feed),
      feed,
      // The phone may have had another token since the backup, and a subscription that lives.
      isFromBackup(registration.renewedAt, restoredAt) ? { ...settlement, ends: false } : settlement,
    );
    rows.writeDelivery(id, mine);
    const deliveries = [...earlier.filter((row) => row.feed !== feed), mine];
    const owed = rows.owed(id);
    // A dead token's phone got nothing: all stays owed, for the token that it registers next.
    const left = settlement.kind === "done" ? settleMarks(id, owed, ring.carries.marks) : owed;
    return ledger.refreshDue(ring.registrationId, { at }, { registration, deliveries, owed: left });
  }

  return { begin, settle };
}

/** The delivery row after a ring that ended for good: accepted, given up, or the token judged dead. */
function nextDelivery(before: DeliveryRow | undefined, feed: string, settlement: Settlement): DeliveryRow {
  const { ring, at, outcome } = settlement;
  const carriesBadge = ring.carries.badgeRef !== null && settlement.kind === "done";
  const badges = before?.count ?? 0;
  return {
    feed,
    rings: (before?.rings ?? 0) + 1,
    // A ring without a badge leaves the badge's part as it was, or the same badge would be owed again.
    count: carriesBadge ? badges + 1 : badges,
    ref: carriesBadge ? ring.carries.badgeRef : (before?.ref ?? null),
    tokenMac: carriesBadge ? ring.tokenMac : (before?.tokenMac ?? null),
    seen: carriesBadge ? ring.carries.seen : (before?.seen ?? {}),
    last: { at, reason: ring.reason, outcome, attempts: ring.attempt + 1 },
    apnsId: ring.apnsId,
    pace:
      settlement.kind === "done"
        ? paceAfter(before?.pace ?? UNPACED, ring.platform, allowanceOf(ring.reason, carriesBadge), at)
        : (before?.pace ?? UNPACED),
    accepted: (before?.accepted ?? 0) + (settlement.kind === "done" && outcome === "accepted" ? 1 : 0),
    dead: settlement.kind === "dead" ? verdictOf(settlement) : (before?.dead ?? null),
  };
}

/** Of a renewal by a clock that was ahead it is still the verdict: or the dead token would be rung again and again. */
function verdictOf({ ring, at, ends }: Settlement): NonNullable<DeliveryRow["dead"]> {
  return {
    kind: ends === true ? "ended" : "stopped",
    tokenMac: ring.tokenMac,
    at: Math.max(at, ring.renewedAt),
  };
}
