// The arithmetic of a rehearsal: what was lost, how long it took, and whether it was a success. Pure.

export interface PhoneResult {
  readonly phone: string;
  readonly mailbox: string;
  /** The badge that the phone shows, or null. */
  readonly badge: number | null;
  /** Exchange's unread count of the inbox. */
  readonly unread: number;
  /** Whether the inbox's count ever changed. */
  readonly touched: boolean;
}

export interface RunResult {
  readonly seconds: number;
  readonly notifications: number;
  readonly rings: number;
  /** Of new mail and wake-ups, from Exchange's POST to the provider's acceptance, milliseconds. */
  readonly latenciesMs: readonly number[];
  readonly phones: readonly PhoneResult[];
  /** Wake-ups (new mail, calendar, subscribe again) that Exchange's POSTs asked for and that never came. */
  readonly missingWakes: number;
  /** Rules broken by the appliance, as the simulators saw them. */
  readonly violations: readonly string[];
  /** Exit code of the appliance; null if there was none to start, "signal" words if it was killed. */
  readonly applianceExit: number | string | null;
}

export interface Summary {
  readonly ok: boolean;
  readonly seconds: number;
  readonly notifications: number;
  readonly rings: number;
  readonly phones: number;
  /** Phones whose badge is not Exchange's count, and wake-ups that never came. */
  readonly lost: number;
  readonly missingWakes: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly violations: readonly string[];
  readonly applianceExit: number | string | null;
  readonly wrong: readonly PhoneResult[];
}

/** Whether the phone shows what Exchange counts. */
export function isRight(phone: PhoneResult): boolean {
  return phone.badge === phone.unread || (phone.badge === null && !phone.touched);
}

/** @param sorted ascending; `share` from 0 to 1 */
export function percentile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? sorted[0] ?? null;
}

export function summarize(run: RunResult): Summary {
  const sorted = [...run.latenciesMs].sort((a, b) => a - b);
  const wrong = run.phones.filter((phone) => !isRight(phone));
  const lost = wrong.length + run.missingWakes;
  const exitedWell = run.applianceExit === 0 || run.applianceExit === null;
  return {
    // Without a single notification nothing was shown, so that is no success either.
    ok: lost === 0 && run.violations.length === 0 && exitedWell && run.notifications > 0 && run.rings > 0,
    seconds: run.seconds,
    notifications: run.notifications,
    rings: run.rings,
    phones: run.phones.length,
    lost,
    missingWakes: run.missingWakes,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    violations: run.violations,
    applianceExit: run.applianceExit,
    wrong,
  };
}

/** The summary for a person. */
export function summaryText(summary: Summary): string {
  const ms = (value: number | null) => (value === null ? "-" : `${value.toFixed(1)} ms`);
  const lines = [
    "",
    `Rehearsal of ${summary.seconds.toFixed(0)} s with ${summary.phones} phones`,
    `  notifications  ${summary.notifications}`,
    `  rings          ${summary.rings}`,
    `  lost           ${summary.lost}`,
    `  latency        p50 ${ms(summary.p50Ms)}, p99 ${ms(summary.p99Ms)} (new mail, from Exchange's POST to the provider's acceptance)`,
  ];
  for (const phone of summary.wrong.slice(0, 10)) {
    lines.push(
      `  WRONG  ${phone.phone} shows ${phone.badge ?? "nothing"}, ${phone.mailbox} has ${phone.unread} unread`,
    );
  }
  if (summary.missingWakes > 0) lines.push(`  MISSING  ${summary.missingWakes} wake-ups never came`);
  for (const violation of summary.violations.slice(0, 10)) lines.push(`  VIOLATION  ${violation}`);
  if (summary.applianceExit !== 0 && summary.applianceExit !== null) {
    lines.push(`  The appliance ended with ${summary.applianceExit}.`);
  }
  if (summary.notifications === 0) lines.push("  Exchange sent nothing in this time, so nothing was shown.");
  lines.push(summary.ok ? "  Nothing was lost." : "  This run was NOT good.");
  return lines.join("\n");
}
