// One notification for a pair whose nodes run under strace: when the request came in, when each node's WAL was synced,
// when the answer went out. A program in the clients' namespace; pair-durability.test.ts starts it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../helpers.ts";
import { NODES, type NodeName } from "./evidence.ts";
import { ADDRESS, networkOf } from "./network.ts";
import { PORTS } from "./props.ts";
import { createRandom } from "./random.ts";
import { type PairScene, resultFile, setPairScene, startPair } from "./scene.ts";

export interface TraceOptions {
  readonly directory: string;
  readonly network: string;
  readonly binary: string;
  /** The node whose database does not sync, or null. */
  readonly careless: NodeName | null;
}

/** Seconds on the machine's clock. */
export interface Traced {
  readonly request: number;
  readonly answer: number;
  /** Ends of each node's syncs of its WAL between the two. */
  readonly syncs: Readonly<Record<NodeName, readonly number[]>>;
}

const CALLS = "trace=fsync,fdatasync,recvfrom,read,sendto,write,writev";
const SETTLE_MS = 500;
// More than a ClientHello, less than a notification's body.
const BODY_BYTES = 2_000;
// More than the end of a TLS connection.
const ANSWER_BYTES = 100;

function traced(scene: PairScene, node: NodeName, options: TraceOptions): readonly string[] {
  const environment = options.careless === node ? ["INBOXBELL_TEST_SYNCHRONOUS=OFF"] : [];
  const { configFile } = scene.props.nodes[node];
  const program = ["env", ...environment, options.binary, "serve", "--config", configFile];
  return [
    "strace",
    "-f",
    "-ttt",
    "-T",
    "-yy",
    "-s",
    "8",
    "-e",
    CALLS,
    "-o",
    traceFile(options, node),
    ...program,
  ];
}

function traceFile({ directory }: TraceOptions, node: NodeName): string {
  return join(directory, `${node}.trace`);
}

async function trace(options: TraceOptions): Promise<Traced> {
  const random = createRandom(1);
  const scene = await setPairScene({
    directory: options.directory,
    network: networkOf(options.network),
    binary: options.binary,
    env: {},
    // Always through the load balancer, so to the active node.
    random: { ...random, fraction: () => 0.99 },
    phones: 1,
    hasFakeClock: false,
    diskMegabytes: null,
    rolesEveryMs: 500,
  });
  try {
    await startPair(scene, (node) => traced(scene, node, options));
    await scene.phones.enrol();
    await Bun.sleep(SETTLE_MS);
    const active = scene.roles.active();
    if (active === null) throw new Error("no node is active");
    const before = Date.now() / 1000;
    for (const box of scene.exchange.mailboxes()) box.deliver();
    await until(() => scene.ledger.notified.length > 0, "Exchange has its OK");
    if (scene.ledger.notified[0]?.durable !== "pair")
      throw new Error("the answer did not rest on both nodes");
    await Bun.sleep(SETTLE_MS);
    const calls = (node: NodeName) =>
      readCalls(readFileSync(traceFile(options, node), "utf8")).filter(({ endedAt }) => endedAt > before);
    return read(
      Object.fromEntries(NODES.map((node) => [node, calls(node)])) as Record<NodeName, Call[]>,
      active,
    );
  } finally {
    await scene.stop();
  }
}

interface Call {
  readonly name: string;
  /** What the descriptor stands for. */
  readonly on: string;
  readonly result: number;
  readonly endedAt: number;
}

const WHOLE = /^(\d+) +(\d+\.\d+) (\w+)\(\d+<(.*?)>(?:,|\)).* = (-?\d+).*?(?:<(\d+\.\d+)>)?$/;
const BEGUN = /^(\d+) +\d+\.\d+ (\w+)\(\d+<(.*?)>(?:,.*|\)?) <unfinished \.\.\.>$/;
const ENDED = /^(\d+) +(\d+\.\d+) <\.\.\. (\w+) resumed>.* = (-?\d+)/;

function readCalls(text: string): Call[] {
  const begun = new Map<string, string>();
  return text.split("\n").flatMap((line): Call[] => {
    const start = BEGUN.exec(line);
    if (start !== null) {
      begun.set(`${start[1]} ${start[2]}`, start[3] ?? "");
      return [];
    }
    const end = ENDED.exec(line);
    if (end !== null) {
      const [, pid, at, name = "", result] = end;
      return [{ name, on: begun.get(`${pid} ${name}`) ?? "", result: Number(result), endedAt: Number(at) }];
    }
    const whole = WHOLE.exec(line);
    if (whole === null) return [];
    const [, , at, name = "", on = "", result, took = "0"] = whole;
    return [{ name, on, result: Number(result), endedAt: Number(at) + Number(took) }];
  });
}

function read(calls: Readonly<Record<NodeName, readonly Call[]>>, active: NodeName): Traced {
  const own = calls[active];
  const place = `${ADDRESS[active]}:${PORTS.exchange}->`;
  const request = own.find(
    ({ name, on, result }) => name === "recvfrom" && on.includes(place) && result >= BODY_BYTES,
  );
  if (request === undefined)
    throw new Error(`the trace shows no request:\n${own.map(({ on }) => on).join("\n")}`);
  // The last one: tickets of the TLS session may come before it.
  const answer = own.findLast(
    ({ name, on, result, endedAt }) =>
      name === "sendto" && on === request.on && result > ANSWER_BYTES && endedAt > request.endedAt,
  );
  if (answer === undefined) throw new Error("the trace shows no answer");
  const syncs = (node: NodeName) =>
    calls[node]
      .filter(({ name, on }) => /^f(data)?sync$/.test(name) && on.includes("inboxbell.db-wal"))
      .map(({ endedAt }) => endedAt)
      .filter((at) => at > request.endedAt && at < answer.endedAt);
  return {
    request: request.endedAt,
    answer: answer.endedAt,
    syncs: { "bell-a": syncs("bell-a"), "bell-b": syncs("bell-b") },
  };
}

if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? "") as TraceOptions;
  await Bun.write(resultFile(options.directory), JSON.stringify(await trace(options)));
  process.exit(0);
}
