// A second client beside the load: it posts as the simulated Exchange does and sees what Exchange sees, from before
// the connection is made to the answer. Also the one that fetches an answer for nginx to repeat.
import { createScaledClock } from "../../src/rehearsal/ews/clock.ts";
import { renderNotification } from "../../src/rehearsal/ews/notification.ts";
import { post } from "../../src/rehearsal/ews/post.ts";
import { callbackPath } from "./fleet.ts";
import type { Stage } from "./stage.ts";

export interface ProbeResult {
  readonly posts: number;
  /** From before connecting to the answer, milliseconds. */
  readonly timesMs: readonly number[];
}

// Exchange's own limit.
const TIMEOUT_MS = 60_000;

/** The body of the `count`-th notification to a phone that is not among those of the load. */
export function probeBody(phone: number, count: number): string {
  const mark = (n: number) => Buffer.from(`probe ${phone} ${count + n}`.padEnd(29)).toString("base64");
  const folder = {
    type: "folder",
    id: `probe-inbox-${phone}`.padEnd(88, "A"),
    changeKey: "AQAAAA==",
  } as const;
  const root = { ...folder, id: `probe-root-${phone}`.padEnd(88, "A") };
  const item = {
    type: "item",
    id: `probe-item-${phone}-${count}`.padEnd(152, "A"),
    changeKey: "CQAAAA==",
  } as const;
  const at = Date.now();
  return renderNotification({
    subscriptionId: `probe-${phone}`.padEnd(88, "A"),
    previousWatermark: mark(0),
    moreEvents: false,
    events: [
      { kind: "Created", watermark: mark(1), at, object: item, parent: folder },
      { kind: "NewMail", watermark: mark(2), at, object: item, parent: folder },
      {
        kind: "Modified",
        watermark: mark(3),
        at,
        object: folder,
        parent: root,
        unreadCount: 10 + (count % 90),
      },
    ],
  });
}

/** @param phones the phones that it may use: first (inclusive) and end (exclusive) */
export function createProbe(stage: Stage, phones: { readonly first: number; readonly end: number }) {
  let next = 1;

  async function once(exchangeUrl: string): Promise<number> {
    const n = next;
    next += 1;
    const size = phones.end - phones.first;
    const phone = phones.first + (n % size);
    const body = Buffer.from(probeBody(phone, 3 * Math.floor(n / size)));
    const clock = createScaledClock(1);
    const wire = { clock, ca: stage.ca, hosts: {}, timeoutMs: TIMEOUT_MS };
    const url = new URL(`${exchangeUrl}${callbackPath(stage.keyring, phone)}`);
    const started = performance.now();
    const verdict = await post(wire, { url, callerData: null }, body, new AbortController().signal);
    const took = performance.now() - started;
    clock.stop();
    if (verdict.kind !== "ok" || verdict.broke !== undefined) {
      throw new Error(`Exchange would not take an answer: ${JSON.stringify(verdict)}`);
    }
    return took;
  }

  return {
    /** Posts `perSecond` times a second, whether earlier posts are answered or not, for `durationMs`. */
    async steady(exchangeUrl: string, perSecond: number, durationMs: number): Promise<ProbeResult> {
      const started = performance.now();
      const posts: Promise<number>[] = [];
      for (let n = 0; n * 1000 < durationMs * perSecond; n += 1) {
        const waitMs = started + (n * 1000) / perSecond - performance.now();
        if (waitMs > 0) await Bun.sleep(waitMs);
        posts.push(once(exchangeUrl));
      }
      const timesMs = await Promise.all(posts);
      return { posts: timesMs.length, timesMs };
    },
    /** The body of an answer. */
    async example(exchangeUrl: string): Promise<string> {
      const answer = await fetch(`${exchangeUrl}${callbackPath(stage.keyring, phones.first)}`, {
        method: "POST",
        body: probeBody(phones.first, 0),
        headers: { "Content-Type": "text/xml; charset=utf-8" },
        keepalive: false,
        tls: { ca: stage.ca },
      });
      if (answer.status !== 200) throw new Error(`The first notification was answered ${answer.status}.`);
      return answer.text();
    },
  };
}
export type Probe = ReturnType<typeof createProbe>;
