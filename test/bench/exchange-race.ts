// One turn after the other: nginx, the appliance that rings, and the appliance whose providers are away, each under
// the same load on the same core.
import type { KeyKind } from "../../src/rehearsal/certificates.ts";
import type { Appliance, Metrics } from "./appliance.ts";
import type { Nginx } from "./nginx.ts";
import type { Scale } from "./options.ts";
import { cpuSeconds } from "./processes.ts";
import { median } from "./statistics.ts";
import type { Handshake, Wrk } from "./wrk.ts";

/** `ringing`: rings go out meanwhile. `accepting`: the providers are away, and what is owed waits. */
export const CONTENDERS = ["nginx", "ringing", "accepting"] as const;
export type Contender = (typeof CONTENDERS)[number];

export interface Turn {
  readonly perSecond: number;
  /** CPU time of the server for one request, microseconds. */
  readonly cpuMicros: number;
  /** Share of its core that the server used. */
  readonly busy: number;
  /** Notifications that shared one commit; NaN for nginx. */
  readonly perCommit: number;
  /** Rings accepted by the providers; NaN for nginx. */
  readonly ringsPerSecond: number;
}

export interface Race {
  readonly kind: KeyKind;
  readonly handshake: Handshake;
  readonly turns: Readonly<Record<Contender, readonly Turn[]>>;
}

export interface Field {
  readonly nginx: Nginx;
  readonly ringing: Appliance;
  readonly accepting: Appliance;
  readonly wrk: Wrk;
  /** Phones that the load notifies. */
  readonly phones: number;
}

const CONNECTIONS = 64;
const WARM_MS = 2_000;
// What was under way when a load ended is counted within this time.
const AFTERMATH_MS = 300;

export function urlOf(field: Field, contender: Contender, kind: KeyKind): string {
  return contender === "nginx" ? field.nginx.url(kind) : field[contender].house.exchangeUrl;
}

/** Every contender in turn, `rounds` times, after one turn that does not count. */
export async function runRace(
  field: Field,
  kind: KeyKind,
  handshake: Handshake,
  scale: Scale,
): Promise<Race> {
  const turns: Record<Contender, Turn[]> = { nginx: [], ringing: [], accepting: [] };
  for (const contender of CONTENDERS) {
    await takeTurn(field, contender, kind, handshake, Math.min(WARM_MS, scale.turnMs));
  }
  for (let round = 0; round < scale.rounds; round += 1) {
    for (const contender of CONTENDERS) {
      turns[contender].push(await takeTurn(field, contender, kind, handshake, scale.turnMs));
    }
  }
  return { kind, handshake, turns };
}

async function takeTurn(
  field: Field,
  contender: Contender,
  kind: KeyKind,
  handshake: Handshake,
  durationMs: number,
): Promise<Turn> {
  const appliance = contender === "nginx" ? null : field[contender];
  const { pid } = field[contender];
  const before = await appliance?.metrics();
  const cpuBefore = cpuSeconds(pid);
  const load = await field.wrk.run({
    url: urlOf(field, contender, kind),
    target: contender === "nginx" ? "nginx" : "bell",
    handshake,
    phones: field.phones,
    connections: CONNECTIONS,
    durationMs,
  });
  const cpu = cpuSeconds(pid) - cpuBefore;
  await Bun.sleep(AFTERMATH_MS);
  const after = await appliance?.metrics();
  const rose = riseOf(before, after);
  if (appliance !== null) checkAccepted(rose, load.requests, load.sent);
  return {
    perSecond: load.perSecond,
    cpuMicros: (cpu / load.requests) * 1e6,
    busy: cpu / load.seconds,
    perCommit: rose("inboxbell_commit_rows_sum") / rose("inboxbell_commit_rows_count"),
    ringsPerSecond: rose("inboxbell_rings_total", { outcome: "accepted" }) / load.seconds,
  };
}

type Rise = (name: string, labels?: Readonly<Record<string, string>>) => number;

function riseOf(before: Metrics | undefined, after: Metrics | undefined): Rise {
  return (name, labels = {}) =>
    before === undefined || after === undefined
      ? Number.NaN
      : after.sum(name, labels) - before.sum(name, labels);
}

/** Every notification was news and was committed: the appliance's own count agrees with the load's. */
export function checkAccepted(rose: Rise, answered: number, sent: number): void {
  const accepted = rose("inboxbell_notifications_total", { result: "accepted" });
  const all = rose("inboxbell_notifications_total");
  if (accepted !== all || accepted < answered || accepted > sent) {
    throw new Error(
      `The load sent ${sent} notifications and got ${answered} answers; the appliance accepted ${accepted} of ${all}.`,
    );
  }
}

export function medianOf(race: Race, contender: Contender, what: keyof Turn): number {
  return median(race.turns[contender].map((turn) => turn[what]));
}

/** The contender's rate as a share of nginx's, round by round; their median. */
export function ratioOf(race: Race, contender: Contender): number {
  const { nginx } = race.turns;
  return median(
    race.turns[contender].map((turn, round) => turn.perSecond / (nginx[round]?.perSecond ?? Number.NaN)),
  );
}
