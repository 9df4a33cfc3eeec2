// Says in the log that a certificate ends soon: when it is first seen, and again as the end comes nearer.
import type { Logger } from "../ops/log.ts";
import type { TlsIdentity } from "./tls.ts";

const DAY_MS = 86_400_000;
// Days before the end. A month is time for an authority that works by hand; a week before it has become urgent.
const STEPS = [1, 7, 14, 30] as const;
const URGENT_DAYS = 7;

/** Which of the steps has been reached: the smallest that is not below the days left; null while none is. */
export function expiryStep(expiresAt: number, now: number): number | null {
  const days = (expiresAt - now) / DAY_MS;
  return STEPS.find((step) => days <= step) ?? null;
}

export interface ExpiryNotices {
  /**
   * Tells what has not been told of this certificate.
   * @param now epoch milliseconds
   */
  tell(listener: string, identity: TlsIdentity, now: number): void;
}

export function createExpiryNotices(log: Logger): ExpiryNotices {
  const told = new Map<string, string>();
  return {
    tell(listener, { certificate, expiresAt, outOfDate }, now) {
      const isOver = expiresAt <= now;
      const step = expiryStep(expiresAt, now);
      const stage = `${isOver ? "over" : step} ${certificate}`;
      if (told.get(listener) === stage) return;
      told.set(listener, stage);
      const days = Math.floor((expiresAt - now) / DAY_MS);
      if (isOver || outOfDate !== null) {
        const sentence = outOfDate ?? "A listener's TLS certificate has expired: no client will connect.";
        log.error({ code: "tls_invalid", listener }, sentence);
      } else if (step !== null) {
        const level = step <= URGENT_DAYS ? "error" : "warn";
        log[level]({ listener, days }, "A listener's TLS certificate expires soon.");
      }
    },
  };
}
