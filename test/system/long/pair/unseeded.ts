// A node whose database is empty, and what it may not do before it has the other node's rows: be active, or answer anybody.
import { randomUUID } from "node:crypto";
import { lostRegistrations } from "./checker.ts";
import { ADDRESS } from "./network.ts";
import type { PairNode } from "./node.ts";
import { PORTS } from "./props.ts";
import type { PairScene } from "./scene.ts";
import { readWishes } from "./stores.ts";

export interface UnseededWatch {
  /** When it was last known to be unseeded, on the ledger's clock; null: it was not seen so. */
  lastSeenMs(): number | null;
  /** Waits until it has become seeded, not longer than that. */
  over(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

const EVERY_MS = 20;
const ANSWER_WITHIN_MS = 700;
const COPY = "filled";
// So many losses are named; the others are like them.
const NAMED = 3;

/** Asks it over and over, from before it starts; what it does wrong is a complaint. */
export function watchUnseeded(node: PairNode, { props, ledger }: PairScene): UnseededWatch {
  let firstMs: number | null = null;
  let lastMs: number | null = null;
  let asked = 0;
  let isStopped = false;
  // These the other node has by now.
  const puts = [...ledger.puts];
  const wrong = new Set<string>();

  async function ask(port: number, path: string, init: RequestInit = {}) {
    try {
      const response = await fetch(`https://${ADDRESS[node.name]}:${port}${path}`, {
        ...init,
        keepalive: false,
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        tls: { ca: props.ca },
      });
      return { status: response.status, text: await response.text() };
    } catch {
      return null;
    }
  }

  /** What it lacks although it says that it has every row. */
  function lacking(): readonly string[] {
    const wishes = readWishes(node.copyStore(COPY));
    const stores = { "bell-a": wishes, "bell-b": wishes };
    const deletions = [...ledger.deletions.values()];
    return lostRegistrations({ puts, deletions, diskLosses: ledger.diskLosses, stores }).filter((words) =>
      words.includes(node.name),
    );
  }

  /** False once it is not unseeded any more. */
  async function look(): Promise<boolean> {
    const pid = node.pid;
    const [registration, notification, primary] = await Promise.all([
      ask(PORTS.registration, `/v1/registrations/${randomUUID()}`),
      ask(PORTS.exchange, "/ews/nothing", { method: "POST", body: "" }),
      ask(PORTS.exchange, "/primary"),
    ]);
    const askedAtMs = ledger.now();
    const status = await node.status();
    // It was unseeded then if the same process still is.
    if (status === null || node.pid !== pid) return true;
    const { seeding, role } = status.here;
    if (seeding !== "unseeded") {
      for (const words of lacking().slice(0, NAMED)) wrong.add(`said that it has every row: ${words}`);
      return false;
    }
    firstMs ??= askedAtMs;
    lastMs = askedAtMs;
    asked += 1;
    if (role === "active" || primary?.text.startsWith("ROLE=ACTIVE") === true)
      wrong.add("was active while it was unseeded");
    for (const answer of [registration, notification]) {
      if (answer !== null && answer.status !== 503)
        wrong.add(`answered ${answer.status} while it was unseeded`);
    }
    return true;
  }

  async function watch(): Promise<void> {
    while (!isStopped && (await look())) await Bun.sleep(EVERY_MS);
    const words = lastMs === null ? "not seen" : `${Math.round(lastMs - (firstMs ?? lastMs))} ms`;
    ledger.note(`${node.name} was unseeded: ${words}, asked ${asked} times`);
    for (const what of wrong) ledger.complaints.push(`${node.name}, whose disk was empty, ${what}`);
  }
  const watching = watch();

  return {
    lastSeenMs: () => lastMs,
    over: async (limitMs) => {
      await Promise.race([watching, Bun.sleep(limitMs)]);
      isStopped = true;
      await watching;
    },
    async stop() {
      isStopped = true;
      await watching;
    },
  };
}
