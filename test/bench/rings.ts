// Rings a second over one and over four connections, beside @parse/node-apn against the same simulator, and beside
// what the simulator itself can take.
import { join } from "node:path";
import type { Platform } from "../../src/store/types.ts";
import { APP, type Mix, tokenOf } from "./fleet.ts";
import { MEASURED_CORE, runOn } from "./processes.ts";
import { type Providers, startProviders } from "./providers.ts";
import type { Aim, PartContext, PartResult, Row } from "./result.ts";
import type { OwnInput, SenderOutput } from "./rings-own.ts";
import { plainRate } from "./rings-plain.ts";
import { createHouse, type Stage } from "./stage.ts";
import { median, percent, rate, whole } from "./statistics.ts";

const LEAST_RATIO = 1.5;
const CONNECTIONS: readonly number[] = [1, 4];
// Of what the simulator can take; above it, the simulator is what was measured.
const MOST_OF_SIMULATOR = 0.85;

/** `own`: with the store; `sender`: without; `plain`: h2load. */
type SenderName = "own" | "sender" | "node-apn" | "plain";

interface Contest {
  readonly platform: Platform;
  readonly sender: SenderName;
  readonly connections: number;
}

interface Turn {
  readonly perSecond: number;
  /** CPU time of the sender for one ring, microseconds; NaN for h2load. */
  readonly cpuMicros: number;
  /** The same of the simulators' process. */
  readonly simulatorMicros: number;
}

const CONTESTS: readonly Contest[] = [
  ...CONNECTIONS.flatMap((connections): Contest[] => [
    { platform: "apns", sender: "plain", connections },
    { platform: "apns", sender: "own", connections },
    { platform: "apns", sender: "sender", connections },
    { platform: "apns", sender: "node-apn", connections },
  ]),
  ...CONNECTIONS.flatMap((connections): Contest[] => [
    { platform: "fcm", sender: "plain", connections },
    { platform: "fcm", sender: "own", connections },
    { platform: "fcm", sender: "sender", connections },
  ]),
];

export async function ringsPart(stage: Stage, context: PartContext): Promise<PartResult> {
  const { scale, tell } = context;
  const turns = new Map<Contest, Turn[]>();
  for (let round = 0; round < scale.ringRounds; round += 1) {
    tell(`round ${round + 1} of ${scale.ringRounds}`);
    // Fresh simulators each round: what they remember of earlier rounds would make them slower.
    const providers = await startProviders(stage, scale.rings);
    for (const contest of CONTESTS) {
      const before = providers.cpu();
      const turn = await take(stage, providers, contest, scale.rings);
      const simulatorMicros = ((providers.cpu() - before) / scale.rings) * 1e6;
      turns.set(contest, [...(turns.get(contest) ?? []), { ...turn, simulatorMicros }]);
    }
    await checkClean(providers);
    await providers.stop();
  }
  const of = (contest: Contest, what: keyof Turn) =>
    median((turns.get(contest) ?? []).map((turn) => turn[what]));
  return {
    name: "rings",
    title: "Rings",
    method: [
      `${whole(scale.rings)} rings of a badge to as many phones, the first fifth not counted (everything warms up); ${scale.ringRounds} rounds, medians. Sender on one core, simulators on the other. Inboxbell: its own store, dispatcher and senders run from source in a process of their own (the binary has no verb that only rings), each ring read from a database that owes it and noted there as settled, with an fsync for each group; and its sender alone, which like its peer stores nothing; 100 requests at once for each connection.`,
      `@parse/node-apn runs under Node, sends the same badges with 100 requests at once for each connection, and keeps nothing on a disk. h2load shows what the simulator itself can take; a sender that comes near it was held up by the simulator.`,
    ],
    rows: CONTESTS.map((contest) => rowOf(contest, of)),
    aims: (["own", "sender"] as const).flatMap((sender) =>
      CONNECTIONS.map((connections) => aimOf(sender, connections, of)),
    ),
    figures: Object.fromEntries(
      CONTESTS.map((contest) => [
        `${contest.platform} ${contest.sender} ${contest.connections}`,
        { ...contest, perSecond: of(contest, "perSecond"), turns: turns.get(contest) },
      ]),
    ),
  };
}

async function take(
  stage: Stage,
  providers: Providers,
  contest: Contest,
  rings: number,
): Promise<Omit<Turn, "simulatorMicros">> {
  const { platform, connections } = contest;
  if (contest.sender === "plain") {
    const perSecond = await plainRate(stage, providers, platform, connections, rings);
    return { perSecond, cpuMicros: Number.NaN };
  }
  const before = await providers.counts();
  const output =
    contest.sender === "node-apn"
      ? await ringNodeApn(stage, providers, contest, rings)
      : await ringOwn(stage, providers, contest, rings);
  const after = await providers.counts();
  const accepted = after[platform].accepted - before[platform].accepted;
  const opened = after[platform].connections - before[platform].connections;
  // Google's token endpoint is on the same server: its connection comes on top.
  const expected = connections + (platform === "fcm" ? 1 : 0);
  if (accepted !== rings || opened !== expected) {
    throw new Error(
      `${contest.sender} sent ${accepted} of ${rings} rings to ${platform} over ${opened} connections instead of ${expected}.`,
    );
  }
  return { perSecond: output.rings / output.seconds, cpuMicros: (output.cpuSeconds / output.rings) * 1e6 };
}

async function ringOwn(
  stage: Stage,
  providers: Providers,
  contest: Contest,
  rings: number,
): Promise<SenderOutput> {
  const mix: Mix = contest.platform;
  const house = await createHouse(stage, "rings", await stage.seed(rings, mix, true), "p256", providers.urls);
  const input: OwnInput = {
    configFile: house.configFile,
    platform: contest.platform,
    connections: contest.connections,
    rings,
    store: contest.sender === "own",
  };
  const out = await runOn(MEASURED_CORE, [process.execPath, join(import.meta.dir, "rings-own.ts")], {
    input: JSON.stringify(input),
  });
  house.remove();
  return JSON.parse(out) as SenderOutput;
}

async function ringNodeApn(
  stage: Stage,
  providers: Providers,
  contest: Contest,
  rings: number,
): Promise<SenderOutput> {
  const { hostname, port } = new URL(providers.urls.apns);
  // A key of its own for each of its runs beside one simulator.
  const key = stage.peerKeys[CONNECTIONS.indexOf(contest.connections)];
  if (key === undefined) throw new Error("There are fewer keys than runs.");
  const { privateKey, keyId, teamId } = key;
  const input = {
    provider: {
      token: { key: privateKey, keyId, teamId },
      production: true,
      address: hostname,
      port: Number(port),
      ca: stage.ca,
    },
    clientCount: contest.connections,
    tokens: Array.from({ length: rings }, (_, phone) => tokenOf(phone, "apns")),
    topic: APP,
  };
  const out = await runOn(MEASURED_CORE, ["node", join(import.meta.dir, "rings-node-apn.mjs")], {
    input: JSON.stringify(input),
  });
  return JSON.parse(out) as SenderOutput;
}

async function checkClean(providers: Providers): Promise<void> {
  const counts = await providers.counts();
  for (const [name, { refused, violations }] of Object.entries(counts)) {
    if (refused + violations > 0)
      throw new Error(`${name} refused ${refused} rings and saw ${violations} violations.`);
  }
}

type Figure = (contest: Contest, what: keyof Turn) => number;

function find(platform: Platform, sender: SenderName, connections: number): Contest {
  const found = CONTESTS.find(
    (contest) =>
      contest.platform === platform && contest.sender === sender && contest.connections === connections,
  );
  if (found === undefined) throw new Error(`No contest of ${sender} on ${platform}.`);
  return found;
}

const NAMES: Readonly<Record<SenderName, string>> = {
  own: "Inboxbell",
  sender: "Inboxbell's sender, no store",
  "node-apn": "@parse/node-apn",
  plain: "simulator's limit (h2load)",
};

function rowOf(contest: Contest, of: Figure): Row {
  const { platform, sender, connections } = contest;
  const figure = `${platform === "apns" ? "APNs" : "FCM"}, ${connections === 1 ? "one connection" : `${connections} connections`}: ${NAMES[sender]}`;
  const value = rate(of(contest, "perSecond"));
  const simulator = `${Math.round(of(contest, "simulatorMicros"))} µs CPU of the simulator`;
  if (sender === "plain") return { figure, value, detail: simulator };
  const share = of(contest, "perSecond") / of(find(platform, "plain", connections), "perSecond");
  const held = share > MOST_OF_SIMULATOR ? ": held up by it" : "";
  return {
    figure,
    value,
    detail: `${Math.round(of(contest, "cpuMicros"))} µs CPU each, ${simulator}, ${percent(share)} of its limit${held}`,
  };
}

function aimOf(sender: "own" | "sender", connections: number, of: Figure): Aim {
  const own = of(find("apns", sender, connections), "perSecond");
  const peer = of(find("apns", "node-apn", connections), "perSecond");
  return {
    what: `${NAMES[sender]}, APNs, ${connections === 1 ? "one connection" : `${connections} connections`}: at least ${LEAST_RATIO} times @parse/node-apn`,
    reached: own >= LEAST_RATIO * peer,
    value: `${(own / peer).toFixed(2)} times`,
  };
}
