// How far the two nodes' wall clocks are apart, from beats and the beats that answer them. Reported only: nothing that
// is stored depends on it.
import type { Logger } from "../ops/log.ts";

/** One beat that came back in the peer's beat. */
export interface BeatTrip {
  /** When this node sent it, and heard the peer's: this node's monotonic clock, milliseconds. */
  readonly sentMs: number;
  readonly heardMs: number;
  /** How long the peer had it before it sent its own. */
  readonly heldMs: number;
  /** The wall clocks when the peer's beat was sent and when it was heard; epoch milliseconds. */
  readonly peerAt: number;
  readonly hereAt: number;
}

export interface SkewMeter {
  note(trip: BeatTrip): void;
  /** How far the peer's clock is ahead of this node's, milliseconds (negative: behind); null while unknown. */
  readonly skewMs: number | null;
  /** The shortest way there and back of late, milliseconds; half of it is what `skewMs` may be wrong by. */
  readonly roundTripMs: number | null;
}

// About four seconds of beats: a clock that was set shows by then.
const TRIPS = 16;

/** The trip that was quickest tells most: what delayed the others may have been on one way only. */
export function createSkewMeter(): SkewMeter {
  const trips: { readonly roundTripMs: number; readonly skewMs: number }[] = [];
  const best = () =>
    trips.reduce<(typeof trips)[number] | null>(
      (least, each) => (least === null || each.roundTripMs < least.roundTripMs ? each : least),
      null,
    );
  return {
    note({ sentMs, heardMs, heldMs, peerAt, hereAt }) {
      const roundTripMs = heardMs - sentMs - heldMs;
      // The peer's timer and this one's are read at different moments of their loops.
      if (roundTripMs < 0) return;
      trips.push({ roundTripMs, skewMs: peerAt + roundTripMs / 2 - hereAt });
      if (trips.length > TRIPS) trips.shift();
    },
    get skewMs() {
      const trip = best();
      return trip === null ? null : Math.round(trip.skewMs);
    },
    get roundTripMs() {
      return best()?.roundTripMs ?? null;
    },
  };
}

export interface SkewWatch extends SkewMeter {
  /** Another process speaks: what was measured is of no use any more. */
  forget(): void;
}

// A difference that an administrator should know of, milliseconds; told once, and again after it was half as large.
const TOLD_MS = 2_000;

/** Measures, and logs when the clocks are far apart and when they agree again. */
export function createSkewWatch(peerName: string, log: Logger): SkewWatch {
  let meter = createSkewMeter();
  let isTold = false;
  return {
    note(trip) {
      meter.note(trip);
      const { skewMs } = meter;
      if (skewMs === null) return;
      if (!isTold && Math.abs(skewMs) > TOLD_MS) {
        isTold = true;
        log.warn(
          { peer: peerName, skewMs },
          "The clocks of the two nodes are apart. Let both follow one time server.",
        );
      } else if (isTold && Math.abs(skewMs) < TOLD_MS / 2) {
        isTold = false;
        log.info({ peer: peerName, skewMs }, "The clocks of the two nodes agree again.");
      }
    },
    forget() {
      meter = createSkewMeter();
    },
    get skewMs() {
      return meter.skewMs;
    },
    get roundTripMs() {
      return meter.roundTripMs;
    },
  };
}
