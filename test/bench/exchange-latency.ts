// How long things take at half of the load that was reached: the ring, as the appliance's histogram tells it, and
// the answer, as Exchange sees it.
import type { KeyKind } from "../../src/rehearsal/certificates.ts";
import { checkAccepted, type Field } from "./exchange-race.ts";
import type { Probe } from "./probe.ts";
import { type Buckets, observations, since } from "./statistics.ts";
import type { Handshake } from "./wrk.ts";

export interface Latency {
  readonly kind: KeyKind;
  readonly handshake: Handshake;
  readonly perSecond: number;
  /** From the POST's last byte to the provider's acceptance, seconds. */
  readonly ring: Buckets;
  /** From before connecting to the answer, milliseconds: TCP and TLS handshake included. */
  readonly wholeMs: readonly number[];
}

// Most connections pause, so it takes more of them than under full load.
const CONNECTIONS = 256;
const PROBES_PER_SECOND = 40;
// The rings of the last notifications: a quiet appliance is done within milliseconds.
const AFTERMATH_MS = 1_000;

/** Loads the appliance with about `perSecond` notifications, spread at random. */
export async function measureLatency(
  field: Field,
  probe: Probe,
  kind: KeyKind,
  handshake: Handshake,
  perSecond: number,
  durationMs: number,
): Promise<Latency> {
  const { ringing, wrk, phones } = field;
  const before = await ringing.metrics();
  const [load, probed] = await Promise.all([
    wrk.run({
      url: ringing.house.exchangeUrl,
      target: "bell",
      handshake,
      phones,
      connections: CONNECTIONS,
      durationMs,
      pauseMs: (CONNECTIONS / perSecond) * 1000,
    }),
    probe.steady(ringing.house.exchangeUrl, PROBES_PER_SECOND, durationMs),
  ]);
  await Bun.sleep(AFTERMATH_MS);
  const after = await ringing.metrics();
  const rose = (name: string, labels = {}) => after.sum(name, labels) - before.sum(name, labels);
  checkAccepted(rose, load.requests + probed.posts, load.sent + probed.posts);
  const ring = since(before.histogram("inboxbell_ring_seconds"), after.histogram("inboxbell_ring_seconds"));
  if (observations(ring) === 0) throw new Error("No ring was counted under load.");
  return {
    kind,
    handshake,
    perSecond: (load.requests + probed.posts) / load.seconds,
    ring,
    wholeMs: probed.timesMs,
  };
}
