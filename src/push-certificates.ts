// Watches when the push certificates expire: by then no iPhone of the app would be rung any more.
import { pushCertificateExpiry } from "./config/push-certificate-expiry.ts";
import type { Secrets } from "./config/types.ts";
import { expiryStep } from "./net/expiry-notice.ts";
import type { Logger } from "./ops/log.ts";
import type { Metrics } from "./ops/metrics.ts";

const DAY_MS = 86_400_000;
const EVERY_MS = DAY_MS / 4;
// A week before the end it has become urgent.
const URGENT_DAYS = 7;

export interface PushCertificatesOptions {
  /** The secrets of the moment. */
  readonly secrets: () => Secrets;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "credentialExpirySeconds">;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface PushCertificates {
  start(): void;
  /** Looks at all of them: sets their gauges, and says in the log what ends within a month. Does not reject. */
  look(): Promise<void>;
  stop(): void;
}

export function createPushCertificates(options: PushCertificatesOptions): PushCertificates {
  const { log, metrics, now } = options;
  const told = new Map<string, string>();
  let timer: ReturnType<typeof setInterval> | null = null;

  function tell(app: string, expiresAt: number): void {
    const step = expiryStep(expiresAt, now());
    const days = Math.floor((expiresAt - now()) / DAY_MS);
    const stage = `${days < 0 ? "over" : step} ${expiresAt}`;
    if (step === null || told.get(app) === stage) return;
    told.set(app, stage);
    const hint = "Get a new one from Apple's developer site, put it in the file's place and reload.";
    if (days < 0) log.error({ app }, `The push certificate has expired. ${hint}`);
    else if (step <= URGENT_DAYS) log.error({ app, days }, `The push certificate expires soon. ${hint}`);
    else log.warn({ app, days }, `The push certificate expires soon. ${hint}`);
  }

  async function look(): Promise<void> {
    for (const [app, { apns }] of options.secrets().apps) {
      const expiresAt = apns === null ? null : await pushCertificateExpiry(apns);
      if (expiresAt === null) continue;
      metrics.credentialExpirySeconds.set({ name: `apns ${app}` }, (expiresAt - now()) / 1000);
      tell(app, expiresAt);
    }
  }

  return {
    start() {
      timer = setInterval(look, EVERY_MS);
      timer.unref();
      void look();
    },
    look,
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };
}
