// `npm run bench`: measures the compiled binary beside its peers. The parts are in the files beside this one; here
// is what they need, the order, and the report. Run by scripts/bench.mjs.
import { join } from "node:path";
import { exchangePart } from "./exchange.ts";
import { readConditions } from "./machine.ts";
import { memoryPart } from "./memory.ts";
import { type BenchOptions, type PartName, readOptions, USAGE } from "./options.ts";
import { outagePart } from "./outage.ts";
import { pairPart } from "./pair.ts";
import { killAll, LOAD_CORE, MEASURED_CORE } from "./processes.ts";
import { type Report, reportText, writeFigures } from "./report.ts";
import type { PartContext, PartResult } from "./result.ts";
import { ringsPart } from "./rings.ts";
import { createStage, type Stage } from "./stage.ts";

const ROOT = join(import.meta.dir, "..", "..");

type Part = (stage: Stage, context: PartContext) => Promise<PartResult>;

/** The parts, and the programs that each needs, with the Debian packages that bring them. */
const PARTS: Readonly<
  Record<PartName, { readonly run: Part; readonly needs: Readonly<Record<string, string>> }>
> = {
  exchange: {
    run: exchangePart,
    needs: { nginx: "nginx-light", wrk: "wrk", openssl: "openssl", taskset: "util-linux" },
  },
  memory: { run: memoryPart, needs: { wrk: "wrk", taskset: "util-linux" } },
  rings: { run: ringsPart, needs: { h2load: "nghttp2-client", node: "nodejs", taskset: "util-linux" } },
  outage: { run: outagePart, needs: { wrk: "wrk", taskset: "util-linux" } },
  pair: {
    run: pairPart,
    needs: { wrk: "wrk", taskset: "util-linux", ip: "iproute2", nft: "nftables", haproxy: "haproxy" },
  },
};

const say = (line: string) => void process.stderr.write(`${line}\n`);

function missing(part: PartName): string | null {
  const programs = Object.entries(PARTS[part].needs).filter(([program]) => Bun.which(program) === null);
  if (programs.length > 0) {
    const names = programs.map(([program, pkg]) => `${program} (Debian package ${pkg})`);
    return `not installed: ${names.join(", ")}.`;
  }
  return navigator.hardwareConcurrency < 2 ? "two cores are needed." : null;
}

async function bench(options: BenchOptions): Promise<number> {
  const started = performance.now();
  // On the disk of the repository: a directory for temporary files is often in memory, where a sync costs nothing.
  const stage = await createStage(join(ROOT, "dist"));
  const leave = () => {
    killAll();
    if (options.keep) say(`Kept ${stage.root}`);
    else stage.remove();
  };
  process.on("exit", leave);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
  // Load and simulators keep to one core, and so does this.
  Bun.spawnSync(["taskset", "-acp", String(LOAD_CORE), String(process.pid)]);

  const binary = options.binary ?? join(ROOT, "dist", "inboxbell");
  const conditions = readConditions(stage.root, binary);
  const parts: PartResult[] = [];
  const leftOut: { part: string; why: string }[] = [];
  for (const name of options.parts) {
    const lacks = missing(name);
    if (lacks !== null) {
      leftOut.push({ part: name, why: lacks });
      continue;
    }
    const tell = (line: string) =>
      say(`[${Math.round((performance.now() - started) / 1000)} s] ${name}: ${line}`);
    try {
      tell(`measured on core ${MEASURED_CORE}, load on core ${LOAD_CORE}`);
      parts.push(await PARTS[name].run(stage, { scale: options.scale, binary, done: parts, tell }));
    } catch (error) {
      killAll();
      leftOut.push({ part: name, why: error instanceof Error ? error.message : String(error) });
      if (error instanceof Error) say(error.stack ?? "");
    }
  }
  const report: Report = {
    quick: options.quick,
    seconds: (performance.now() - started) / 1000,
    conditions,
    parts,
    leftOut,
  };
  process.stdout.write(
    options.json ? `${JSON.stringify(report, jsonValue, 2)}\n` : `${reportText(report)}\n`,
  );
  if (options.write && leftOut.length === 0) writeFigures(join(ROOT, "docs", "benchmarks.md"), report);
  else if (options.write) say("docs/benchmarks.md was not changed, because something was left out.");
  return leftOut.length === 0 ? 0 : 1;
}

/** Maps become objects; what is not a number, such as a share of nothing, becomes null. */
function jsonValue(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === "help") {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  process.exit(await bench(options));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  say(USAGE);
  process.exit(2);
}
