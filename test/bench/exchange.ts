// How many notifications a second the binary answers on a new TLS connection each, beside nginx on the same core,
// and how long a ring takes at half of that load.
import { startAppliance } from "./appliance.ts";
import { type Latency, measureLatency } from "./exchange-latency.ts";
import {
  CONTENDERS,
  type Contender,
  type Field,
  medianOf,
  type Race,
  ratioOf,
  runRace,
  urlOf,
} from "./exchange-race.ts";
import { checkHandshakes } from "./handshakes.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { createProbe } from "./probe.ts";
import { startProviders } from "./providers.ts";
import type { Aim, PartContext, PartResult, Row } from "./result.ts";
import { createHouse, KEY_KINDS, type Stage } from "./stage.ts";
import {
  bucketQuantile,
  milliseconds,
  observations,
  percent,
  quantile,
  rate,
  shareUpTo,
  whole,
} from "./statistics.ts";
import { createWrk, HANDSHAKES } from "./wrk.ts";

const LEAST_SHARE = 0.4;
const MOST_P99_SECONDS = 0.05;

export async function exchangePart(stage: Stage, context: PartContext): Promise<PartResult> {
  const { scale, binary, tell } = context;
  const seed = await stage.seed(scale.registrations, "both");
  const providers = await startProviders(stage, scale.registrations);
  // The last hundredth of the phones belongs to the probe.
  const phones = Math.floor(scale.registrations * 0.99);
  const races: Race[] = [];
  const latencies: Latency[] = [];
  let nginx: Nginx | null = null;
  for (const kind of KEY_KINDS) {
    const house = await createHouse(stage, "ringing", seed, kind, providers.urls);
    const deaf = await createHouse(stage, "accepting", seed, kind, null);
    const probe = createProbe(stage, { first: phones, end: scale.registrations });
    const ringing = await startAppliance(binary, house);
    const accepting = await startAppliance(binary, deaf);
    nginx ??= await startNginx(stage, await probe.example(house.exchangeUrl));
    const field: Field = { nginx, ringing, accepting, wrk: createWrk(stage), phones };
    for (const contender of CONTENDERS)
      await checkHandshakes(stage, contender, urlOf(field, contender, kind));
    for (const handshake of HANDSHAKES) {
      tell(`${kind}, ${handshake} handshakes: ${scale.rounds} rounds of ${CONTENDERS.join(", ")}`);
      const race = await runRace(field, kind, handshake, scale);
      races.push(race);
      const half = medianOf(race, "ringing", "perSecond") / 2;
      tell(`${kind}, ${handshake} handshakes: latency at ${rate(half)}`);
      latencies.push(await measureLatency(field, probe, kind, handshake, half, scale.latencyMs));
    }
    await Promise.all([ringing.stop(), accepting.stop()]);
    house.remove();
    deaf.remove();
  }
  await nginx?.stop();
  await providers.stop();
  return {
    name: "exchange",
    title: "Notifications from Exchange",
    method: [
      `The compiled binary with ${whole(scale.registrations)} registrations and nginx, one core each turn; wrk with 64 connections and the simulated providers on the other core. Every request is on a new TLS connection and is another phone's news (unread count and watermarks of its own), so each is committed with an fsync before it is answered; every answer was checked.`,
      `Resumed: TLS 1.3 with session tickets. Full: TLS 1.2, a whole handshake each time. Turns of ${scale.turnMs / 1000} s, ${scale.rounds} rounds; medians. "Ringing": the rings go out at the same time, on the same core. "Accepting": the providers are away.`,
      "Latency at half of the rate reached while ringing. Ring: from the POST's last byte to the provider's acceptance (`inboxbell_ring_seconds`, interpolated between its bounds). Answer: from before connecting to the whole answer, seen by a second client with full handshakes.",
    ],
    rows: [...races.flatMap(raceRows), ...latencies.flatMap(latencyRows)],
    aims: [...races.flatMap(raceAims), ...latencies.map(latencyAim)],
    figures: { races: races.map(raceFigures), latencies: latencies.map(latencyFigures) },
  };
}

const NAMES: Readonly<Record<Contender, string>> = {
  nginx: "nginx",
  ringing: "Inboxbell, ringing",
  accepting: "Inboxbell, accepting",
};

const caseOf = ({ kind, handshake }: Pick<Race, "kind" | "handshake">) =>
  `${kind === "p256" ? "P-256" : "RSA-2048"}, ${handshake}`;

function raceRows(race: Race): Row[] {
  return CONTENDERS.map((contender) => {
    const figure = `${caseOf(race)}: ${NAMES[contender]}`;
    const micros = medianOf(race, contender, "cpuMicros");
    const busy = `core ${percent(medianOf(race, contender, "busy"))} busy`;
    const value = rate(medianOf(race, contender, "perSecond"));
    if (contender === "nginx") return { figure, value, detail: `${Math.round(micros)} µs CPU each, ${busy}` };
    const commits = `${medianOf(race, contender, "perCommit").toFixed(0)} a commit`;
    const rings =
      contender === "ringing" ? `, ${rate(medianOf(race, contender, "ringsPerSecond"))} rings` : "";
    return {
      figure,
      value: `${value} = ${percent(ratioOf(race, contender))} of nginx`,
      detail: `${Math.round(micros)} µs CPU each (nginx takes ${percent(medianOf(race, "nginx", "cpuMicros") / micros)} of that), ${busy}, ${commits}${rings}`,
    };
  });
}

function raceAims(race: Race): Aim[] {
  return (["ringing", "accepting"] as const).map((contender) => ({
    what: `${caseOf(race)}, ${contender}: at least ${percent(LEAST_SHARE)} of nginx`,
    reached: ratioOf(race, contender) >= LEAST_SHARE,
    value: percent(ratioOf(race, contender)),
  }));
}

function raceFigures(race: Race) {
  return { ...race, ratios: { ringing: ratioOf(race, "ringing"), accepting: ratioOf(race, "accepting") } };
}

function latencyRows(latency: Latency): Row[] {
  const { ring, wholeMs } = latency;
  const at = `at ${rate(latency.perSecond)}`;
  return [
    {
      figure: `${caseOf(latency)}: ring ${at}`,
      value: `p50 ${milliseconds(1000 * bucketQuantile(ring, 0.5))}, p99 ${milliseconds(1000 * bucketQuantile(ring, 0.99))}`,
      detail: `${percent(shareUpTo(ring, MOST_P99_SECONDS))} of ${whole(observations(ring))} within ${1000 * MOST_P99_SECONDS} ms`,
    },
    {
      figure: `${caseOf(latency)}: answer ${at}`,
      value: `p50 ${milliseconds(quantile(wholeMs, 0.5))}, p99 ${milliseconds(quantile(wholeMs, 0.99))}`,
      detail: `${whole(wholeMs.length)} posts, connecting included`,
    },
  ];
}

function latencyAim(latency: Latency): Aim {
  const p99 = bucketQuantile(latency.ring, 0.99);
  return {
    what: `${caseOf(latency)}: ring p99 at half load below ${1000 * MOST_P99_SECONDS} ms`,
    reached: p99 < MOST_P99_SECONDS,
    value: milliseconds(1000 * p99),
  };
}

function latencyFigures(latency: Latency) {
  const { kind, handshake, perSecond, ring, wholeMs } = latency;
  return {
    kind,
    handshake,
    perSecond,
    rings: observations(ring),
    ringP50Seconds: bucketQuantile(ring, 0.5),
    ringP99Seconds: bucketQuantile(ring, 0.99),
    answerP50Ms: quantile(wholeMs, 0.5),
    answerP99Ms: quantile(wholeMs, 0.99),
  };
}
