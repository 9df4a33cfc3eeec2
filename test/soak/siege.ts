// A siege: the compiled binary among hostile clients, while a well-behaved Exchange and its phones go on as ever.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { type Running, type Scene, setScene, until } from "../system/helpers.ts";
import type { AttackersOptions, AttackResult } from "./attackers.ts";

export interface SiegeOptions {
  readonly seconds: number;
  /** Connections of the crowd. */
  readonly crowd: number;
  readonly seed: string;
  /** Told once in a while how it goes. */
  readonly onProgress?: (line: string) => void;
}

export interface SiegeReport {
  readonly attacks: readonly AttackResult[];
  /** Notifications that were answered, and how long that took. */
  readonly posts: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  /** Posts that failed, by reason; posts that were sent again; subscriptions that ended against Exchange's will. */
  readonly failures: Readonly<Record<string, number>>;
  readonly retries: number;
  readonly lostSubscriptions: number;
  /** Rules that the appliance broke, as simulators and phones saw it. */
  readonly violations: readonly string[];
  /** Phones whose badge was wrong in the end. */
  readonly wrongBadges: readonly string[];
  /** New phones that registered during the siege. */
  readonly newcomers: number;
  readonly peakConnections: number;
  /** Refused connections and requests by reason, of both listeners. */
  readonly refused: Readonly<Record<string, number>>;
  readonly peakMegabytes: number;
  /** Connections that were left when the hostile clients had gone. */
  readonly connectionsAfter: number;
  readonly exitCode: number | string;
  /** Lines of the log that tell of an error. */
  readonly errors: readonly string[];
}

/** Connections that the two public listeners hold at most, together. */
export const MOST_CONNECTIONS = 2 * 4096;
/** Far above what the appliance needs among hostile clients; a leak passes it within the hour. */
export const MOST_MEGABYTES = 400;
/** Of 100 notifications 99 are answered within this time. */
export const P99_MS = 250;

/** What a report shows that must not be, a sentence each. */
export function rulesBroken(report: SiegeReport): readonly string[] {
  const broken: string[] = [];
  const rule = (holds: boolean, what: string) => {
    if (!holds) broken.push(what);
  };
  for (const { name, broken: reasons } of report.attacks) {
    rule(Object.keys(reasons).length === 0, `${name}: ${JSON.stringify(reasons)}`);
  }
  rule(
    Object.keys(report.failures).length === 0,
    `posts of Exchange failed: ${JSON.stringify(report.failures)}`,
  );
  rule(report.retries === 0, `${report.retries} posts were sent again`);
  rule(report.lostSubscriptions === 0, `${report.lostSubscriptions} subscriptions were lost`);
  rule(report.p99Ms < P99_MS, `the 99th percentile is ${report.p99Ms.toFixed(0)} ms`);
  rule(report.wrongBadges.length === 0, `wrong badges: ${report.wrongBadges.join(", ")}`);
  rule(report.violations.length === 0, `rules of the simulators: ${report.violations.join(", ")}`);
  rule(report.peakConnections <= MOST_CONNECTIONS, `${report.peakConnections} connections were held`);
  rule(report.connectionsAfter === 0, `${report.connectionsAfter} connections were left`);
  rule(report.peakMegabytes < MOST_MEGABYTES, `${report.peakMegabytes} MB of memory`);
  rule(report.errors.length === 0, `the log tells of errors: ${report.errors.slice(0, 5).join(" ")}`);
  rule(report.exitCode === 0, `it ended with ${report.exitCode}`);
  return broken;
}

const PHONES = 24;
const VICTIMS = 6;
// Changes a second in all mailboxes together.
const MAILS_PER_SECOND = 20;
const NEWCOMER_EVERY_MS = 5000;
// A slow body may live this long after its client has stopped to send.
const CALM_LIMIT_MS = 60_000;

export async function besiege(options: SiegeOptions): Promise<SiegeReport> {
  const scene = await setScene("siege");
  try {
    return await run(scene, options);
  } finally {
    await scene.stop();
  }
}

async function run(scene: Scene, options: SiegeOptions): Promise<SiegeReport> {
  const appliance = await scene.up();
  let made = 0;
  const addPhone = async (): Promise<Phone> => {
    made += 1;
    const platform = made % 2 === 0 ? "apns" : "fcm";
    const phone = scene.addPhone({ platform, mailbox: `box-${made}`, tellsInbox: true });
    await phone.enrol();
    return phone;
  };
  const victims: Phone[] = [];
  while (victims.length < VICTIMS) victims.push(await addPhone());
  const phones: Phone[] = [];
  while (phones.length < PHONES) phones.push(await addPhone());

  const attackers = startAttackers({
    exchangePort: scene.props.ports.exchange,
    registrationPort: scene.props.ports.registration,
    capabilityPaths: victims.map((phone) => new URL(scene.callbackUrl(phone)).pathname),
    notification: readFileSync(
      join(import.meta.dir, "..", "samples", "syn-21-newmail-created-modified-unread1.xml"),
      "utf8",
    ),
    seed: options.seed,
    crowd: options.crowd,
  });
  let attacks: readonly AttackResult[];
  const watch = createWatch(scene, appliance);
  try {
    const over = performance.now() + options.seconds * 1000;
    let newcomerAt = performance.now() + NEWCOMER_EVERY_MS;
    let progressAt = performance.now() + 60_000;
    let next = 0;
    while (performance.now() < over) {
      const phone = phones[next % phones.length];
      next += 1;
      if (phone !== undefined) change(scene, phone, next);
      if (performance.now() > newcomerAt) {
        newcomerAt += NEWCOMER_EVERY_MS;
        phones.push(await addPhone());
      }
      if (performance.now() > progressAt) {
        progressAt += 60_000;
        options.onProgress?.(summary(scene, await watch.look()));
      }
      await Bun.sleep(1000 / MAILS_PER_SECOND);
    }
  } finally {
    await watch.stop();
    attacks = await attackers.stop();
  }
  // Whatever was under way is answered, and every phone shows what is true.
  await scene.exchange.idle();
  const wrong = () => phones.filter((phone) => phone.badge !== scene.exchange.unread(phone.mailbox, "inbox"));
  await until(() => wrong().length === 0, "every phone is right", CALM_LIMIT_MS).catch(() => {});
  const connectionsAfter = await calm(scene);
  const wrongBadges = wrong().map(
    (phone) => `${phone.name}: ${phone.badge} for ${scene.exchange.unread(phone.mailbox, "inbox")}`,
  );
  const refused = await refusals(scene);
  const violations = scene.violations();
  const statistics = scene.exchange.statistics();
  const at = (share: number) =>
    statistics.latenciesMs[Math.floor(statistics.latenciesMs.length * share)] ?? 0;
  const ended = await appliance.stop();
  const { peak } = watch;
  return {
    attacks,
    posts: statistics.delivered,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    slowestMs: statistics.latenciesMs.at(-1) ?? 0,
    failures: statistics.failures,
    retries: statistics.retries,
    lostSubscriptions: statistics.ended.unsubscribed + statistics.ended.dropped,
    violations,
    wrongBadges,
    newcomers: phones.length - PHONES,
    peakConnections: peak.connections,
    refused,
    peakMegabytes: Math.round(peak.megabytes),
    connectionsAfter,
    exitCode: ended.code,
    errors: appliance.lines.filter(
      (line) =>
        /"level":"?(error|50)|reached nobody|"code":"internal"/.test(line) &&
        // A mutated callback URL may name a key that there never was.
        !line.includes('"key_unknown"'),
    ),
  };
}

/** Mail comes more often than it is read. */
function change(scene: Scene, phone: Phone, n: number): void {
  const box = scene.exchange.mailbox(phone.mailbox);
  const unread = n % 3 === 0 ? box.items("inbox").find((item) => !item.read) : undefined;
  if (unread === undefined) box.deliver();
  else box.markRead(unread.id);
}

function startAttackers(options: AttackersOptions) {
  // They would be other machines: where the processors are few, they come after what is measured.
  const nice = ["nice", "-n", "10"];
  const command = [process.execPath, join(import.meta.dir, "attackers.ts"), JSON.stringify(options)];
  const child = Bun.spawn([...nice, ...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  return {
    async stop(): Promise<readonly AttackResult[]> {
      await child.stdin.end();
      const [, line = "[]"] = (await new Response(child.stdout).text()).split("\n");
      await child.exited;
      return JSON.parse(line === "" ? "[]" : line) as readonly AttackResult[];
    },
  };
}

interface Sight {
  readonly connections: number;
  readonly megabytes: number;
}

async function look(scene: Scene, appliance: Running): Promise<Sight> {
  const text = await Bun.file(`/proc/${appliance.pid}/status`).text();
  return {
    connections: await connections(scene),
    megabytes: Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024,
  };
}

/** Looks at the appliance every other second. */
function createWatch(scene: Scene, appliance: Running) {
  let peak: Sight = { connections: 0, megabytes: 0 };
  let isOver = false;
  const see = async () => {
    const sight = await look(scene, appliance);
    peak = {
      connections: Math.max(peak.connections, sight.connections),
      megabytes: Math.max(peak.megabytes, sight.megabytes),
    };
    return sight;
  };
  const work = (async () => {
    while (!isOver) {
      await see();
      await Bun.sleep(2000);
    }
  })();
  return {
    get peak() {
      return peak;
    },
    look: see,
    async stop() {
      isOver = true;
      await work;
    },
  };
}

async function connections(scene: Scene): Promise<number> {
  const { out } = await scene.verb("status", "--json", "--socket", join(scene.directory, "control.sock"));
  const status = JSON.parse(out) as { readonly listeners: readonly { name: string; connections: number }[] };
  return status.listeners.reduce((sum, each) => sum + (each.name === "admin" ? 0 : each.connections), 0);
}

async function calm(scene: Scene): Promise<number> {
  let left = 0;
  await until(
    async () => {
      left = await connections(scene);
      return left === 0;
    },
    "all connections are gone",
    CALM_LIMIT_MS,
  ).catch(() => {});
  return left;
}

async function refusals(scene: Scene): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${scene.props.urls.admin}/metrics`)).text();
  const found = text.matchAll(/^inboxbell_connections_refused_total\{listener="(\w+)",why="(\w+)"\} (\d+)/gm);
  return Object.fromEntries(
    [...found].map(([, listener, why, count]) => [`${listener} ${why}`, Number(count)]),
  );
}

function summary(scene: Scene, { connections: open, megabytes }: Sight): string {
  const { delivered, retries, latenciesMs } = scene.exchange.statistics();
  const p99 = latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? 0;
  return `${delivered} notifications, ${retries} repeated, p99 ${p99.toFixed(0)} ms; ${open} connections, ${megabytes.toFixed(0)} MB`;
}
