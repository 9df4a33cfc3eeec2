// Resident memory of the binary with all registrations: started and idle, under full load, and at rest after it.
import { startAppliance } from "./appliance.ts";
import { memoryOf } from "./processes.ts";
import { startProviders } from "./providers.ts";
import type { PartContext, PartResult } from "./result.ts";
import { createHouse, type Stage } from "./stage.ts";
import { megabytes, rate, whole } from "./statistics.ts";
import { createWrk } from "./wrk.ts";

const MOST_BYTES = 150e6;
const CONNECTIONS = 64;
const LOAD_TURNS = 5;

export async function memoryPart(stage: Stage, { scale, binary, tell }: PartContext): Promise<PartResult> {
  const { registrations, restMs } = scale;
  const seed = await stage.seed(registrations, "both");
  const providers = await startProviders(stage, registrations);
  const house = await createHouse(stage, "memory", seed, "p256", providers.urls);
  const appliance = await startAppliance(binary, house);
  tell("idle");
  await Bun.sleep(restMs);
  const idle = memoryOf(appliance.pid);
  tell("under load");
  const load = await createWrk(stage).run({
    url: house.exchangeUrl,
    target: "bell",
    handshake: "resumed",
    phones: registrations,
    connections: CONNECTIONS,
    durationMs: LOAD_TURNS * scale.turnMs,
  });
  const loaded = memoryOf(appliance.pid);
  tell("at rest again");
  await Bun.sleep(restMs);
  const rested = memoryOf(appliance.pid);
  const registered = (await appliance.metrics()).sum("inboxbell_registrations");
  if (registered !== registrations) throw new Error(`The appliance knows ${registered} registrations only.`);
  await appliance.stop();
  house.remove();
  await providers.stop();
  return {
    name: "memory",
    title: "Memory",
    method: [
      `Resident memory of the compiled binary with ${whole(registrations)} registrations (put into the database by the store's own code), after ${restMs / 1000} s of idleness, after ${(LOAD_TURNS * scale.turnMs) / 1000} s of full load with rings, and ${restMs / 1000} s later. The pages of the executable count.`,
    ],
    rows: [
      { figure: "idle", value: megabytes(idle.rss), detail: `${megabytes(idle.anonymous)} of its own` },
      {
        figure: "after load",
        value: megabytes(loaded.rss),
        detail: `${whole(load.requests)} notifications at ${rate(load.perSecond)}`,
      },
      { figure: "peak", value: megabytes(rested.peak) },
      {
        figure: "at rest after load",
        value: megabytes(rested.rss),
        detail: `${megabytes(rested.anonymous)} of its own`,
      },
    ],
    aims: [
      {
        what: `under ${megabytes(MOST_BYTES)} idle with ${whole(registrations)} registrations`,
        reached: idle.rss < MOST_BYTES,
        value: megabytes(idle.rss),
      },
      {
        what: `under ${megabytes(MOST_BYTES)} at the peak`,
        reached: rested.peak < MOST_BYTES,
        value: megabytes(rested.peak),
      },
    ],
    figures: { registrations, idle, loaded, rested, load },
  };
}
