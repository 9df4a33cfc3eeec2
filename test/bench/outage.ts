// The providers go away, every phone comes to be owed a ring, traffic goes on, the providers come back: how long
// until all is rung, how fast, and how much memory it took meanwhile.
import { startAppliance } from "./appliance.ts";
import { memoryOf, until } from "./processes.ts";
import { startProviders } from "./providers.ts";
import type { PartContext, PartResult } from "./result.ts";
import { createHouse, type Stage } from "./stage.ts";
import { megabytes, percent, rate, whole } from "./statistics.ts";
import { createWrk } from "./wrk.ts";

const CONNECTIONS = 64;
// New notifications during the outage, a second.
const TRICKLE = 100;
const TRICKLE_CONNECTIONS = 16;
const SAMPLE_MS = 250;
const OWING_LIMIT_MS = 180_000;
// The longest wait between two probes is a minute; the rest is for the rings.
const RECOVERY_LIMIT_MS = 240_000;
const MOST_GROWTH_BYTES = 30e6;

export async function outagePart(stage: Stage, context: PartContext): Promise<PartResult> {
  const { scale, binary, tell } = context;
  const phones = scale.registrations;
  const providers = await startProviders(stage, phones);
  const house = await createHouse(stage, "outage", await stage.seed(phones, "apns"), "p256", providers.urls);
  await providers.leave();
  const appliance = await startAppliance(binary, house);
  const owed = async () => (await appliance.metrics()).sum("inboxbell_owed");
  const rss: { phase: string; bytes: number }[] = [];
  let phase = "before";
  const sampler = setInterval(() => rss.push({ phase, bytes: memoryOf(appliance.pid).rss }), SAMPLE_MS);
  const most = (name: string) =>
    Math.max(...rss.filter((sample) => sample.phase === name).map((sample) => sample.bytes));
  try {
    await Bun.sleep(scale.restMs);
    phase = "owing";
    tell(`${whole(phones)} phones come to be owed`);
    const wrk = createWrk(stage);
    const common = { url: house.exchangeUrl, target: "bell", phones, handshake: "resumed" } as const;
    await wrk.run({
      ...common,
      connections: CONNECTIONS,
      durationMs: OWING_LIMIT_MS,
      keepAlive: true,
      count: phones,
    });
    const owedAtFirst = await owed();
    if (owedAtFirst !== phones) throw new Error(`${owedAtFirst} of ${phones} phones are owed a ring.`);

    phase = "outage";
    tell(`the providers stay away for ${scale.outageMs / 1000} s`);
    const trickle = Math.round((TRICKLE * scale.outageMs) / 1000);
    await wrk.run({
      ...common,
      connections: TRICKLE_CONNECTIONS,
      durationMs: 2 * scale.outageMs + OWING_LIMIT_MS,
      pauseMs: (TRICKLE_CONNECTIONS / TRICKLE) * 1000,
      count: trickle,
    });
    const owedAtLast = await owed();
    const outageMost = most("outage");

    phase = "recovery";
    tell("the providers are back");
    await providers.return();
    const accepted = async () => (await providers.counts()).apns.accepted;
    const back = performance.now();
    await until(
      "the first ring arrives",
      RECOVERY_LIMIT_MS,
      async () => (await accepted()) > 0,
      SAMPLE_MS / 10,
    );
    const firstRing = performance.now();
    await until(
      "half is rung",
      RECOVERY_LIMIT_MS,
      async () => (await accepted()) >= phones / 2,
      SAMPLE_MS / 10,
    );
    const half = { at: performance.now(), count: await accepted() };
    await until("all is rung", RECOVERY_LIMIT_MS, async () => (await accepted()) >= phones, SAMPLE_MS / 10);
    const all = { at: performance.now(), count: await accepted() };
    await until("nothing is owed", RECOVERY_LIMIT_MS, async () => (await owed()) === 0, SAMPLE_MS);
    const drained = performance.now();
    const right = await providers.right(phones, "apns", wrk.sent);
    if (right !== phones) throw new Error(`Only ${right} of ${phones} phones show the newest unread count.`);
    const rung = await accepted();

    phase = "after";
    await Bun.sleep(scale.restMs);
    const before = most("before");
    const figures = {
      phones,
      outageSeconds: scale.outageMs / 1000,
      notifications: wrk.sent,
      owedAtLast,
      noticedSeconds: (firstRing - back) / 1000,
      drainSeconds: (drained - firstRing) / 1000,
      drainPerSecond: (phones / (all.at - firstRing)) * 1000,
      secondHalfPerSecond: ((all.count - half.count) / (all.at - half.at)) * 1000,
      rung,
      right,
      rss: {
        before,
        owing: most("owing"),
        outage: outageMost,
        recovery: most("recovery"),
        after: rss.at(-1)?.bytes ?? 0,
      },
    };
    return resultOf(figures, context);
  } finally {
    clearInterval(sampler);
    await appliance.stop();
    house.remove();
    await providers.stop();
  }
}

interface Figures {
  readonly phones: number;
  readonly outageSeconds: number;
  readonly notifications: number;
  readonly noticedSeconds: number;
  readonly drainSeconds: number;
  readonly drainPerSecond: number;
  readonly secondHalfPerSecond: number;
  readonly rung: number;
  readonly rss: Readonly<Record<"before" | "owing" | "outage" | "recovery" | "after", number>>;
}

function resultOf(figures: Figures, { scale, done }: PartContext): PartResult {
  const { rss, phones } = figures;
  const rings = done.find((part) => part.name === "rings")?.figures["apns own 4"] as
    | { perSecond: number }
    | undefined;
  const beside =
    rings === undefined
      ? ""
      : `${percent(figures.secondHalfPerSecond / rings.perSecond)} of the rate over four connections above`;
  const growth = Math.max(rss.outage, rss.recovery) - rss.owing;
  return {
    name: "outage",
    title: "An outage and the recovery",
    method: [
      `The compiled binary with ${whole(phones)} iPhones; APNs is away (connections refused). Each phone is notified once, so that ${whole(phones)} rings are owed; then the outage lasts ${figures.outageSeconds} s with ${TRICKLE} further notifications a second. It stands for one of ten minutes: what is owed does not depend on its length, and the longest wait between two probes, a minute, is the same. Then APNs is back. Afterwards every phone showed the newest unread count.`,
    ],
    rows: [
      {
        figure: "until the first ring after the return",
        value: `${figures.noticedSeconds.toFixed(1)} s`,
        detail: "the next probe",
      },
      {
        figure: `until nothing is owed after that`,
        value: `${figures.drainSeconds.toFixed(1)} s`,
        detail: `${whole(figures.rung)} rings for ${whole(figures.notifications)} notifications`,
      },
      {
        figure: "rate, with the ramp",
        value: rate(figures.drainPerSecond),
      },
      {
        figure: "rate, second half",
        value: rate(figures.secondHalfPerSecond),
        detail: beside,
      },
      { figure: "memory before", value: megabytes(rss.before) },
      { figure: "memory at most while rings came to be owed", value: megabytes(rss.owing) },
      { figure: "memory at most during the outage", value: megabytes(rss.outage) },
      { figure: "memory at most during the recovery", value: megabytes(rss.recovery) },
      {
        figure: "memory at rest afterwards",
        value: megabytes(rss.after),
        detail: `${scale.restMs / 1000} s later`,
      },
    ],
    aims: [
      {
        what: `memory grows by less than ${megabytes(MOST_GROWTH_BYTES)} during outage and recovery`,
        reached: growth < MOST_GROWTH_BYTES,
        value: megabytes(growth),
      },
    ],
    figures: { ...figures },
  };
}
