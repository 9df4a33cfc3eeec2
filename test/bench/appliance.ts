// The compiled binary under measurement: started on its core with the variables of its systemd unit, asked by its own
// metrics, ended in order.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { end, MEASURED_CORE, spawnOn, until } from "./processes.ts";
import type { House } from "./stage.ts";
import type { Buckets } from "./statistics.ts";

/** One reading of `/metrics`. */
export interface Metrics {
  /** The sum of a metric's samples that carry all these labels. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
  /** A histogram, all label sets together. */
  histogram(name: string): Buckets;
}

export interface Appliance {
  readonly pid: number;
  readonly house: House;
  metrics(): Promise<Metrics>;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;

/** The variables that the delivered unit sets for the service: what is measured runs as it does there. */
export function unitEnvironment(): Readonly<Record<string, string>> {
  const unit = readFileSync(join(import.meta.dir, "..", "..", "systemd", "inboxbell.service"), "utf8");
  const lines = [...unit.matchAll(/^Environment=(\w+)=(\S*)$/gm)];
  return Object.fromEntries(lines.map(([, name = "", value = ""]) => [name, value]));
}

/**
 * Starts `serve` and waits until the node is ready.
 * @param limitMs a node that is to be filled is ready once it has every row
 */
export async function startAppliance(
  binary: string,
  house: House,
  core: number = MEASURED_CORE,
  limitMs: number = START_LIMIT_MS,
): Promise<Appliance> {
  const child = spawnOn(core, [binary, "serve", "--config", house.configFile], {
    env: { ...unitEnvironment(), BUN_TMPDIR: house.temporary, NODE_TLS_REJECT_UNAUTHORIZED: "1" },
    stderr: "pipe",
  });
  const lines: string[] = [];
  if (child.stderr instanceof ReadableStream) void keepLines(child.stderr, lines);
  await until(`the appliance is ready (${house.configFile})`, limitMs, async () => {
    if (child.exitCode !== null) throw new Error(`The appliance did not start:\n${lines.join("\n")}`);
    const answer = await fetch(`${house.adminUrl}/readyz`).catch(() => null);
    return answer?.ok === true;
  });
  return {
    pid: child.pid,
    house,
    metrics: async () => parseMetrics(await (await fetch(`${house.adminUrl}/metrics`)).text()),
    async stop() {
      const early = child.exitCode;
      await end(child);
      if (early !== null || child.exitCode !== 0) {
        throw new Error(
          `The appliance ended with ${child.exitCode ?? child.signalCode}:\n${lines.join("\n")}`,
        );
      }
    },
  };
}

const KEPT_LINES = 20;

async function keepLines(stream: ReadableStream, lines: string[]): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    if (lines.length > KEPT_LINES) lines.splice(0, lines.length - KEPT_LINES);
  }
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus' text format, as far as the appliance writes it. */
export function parseMetrics(text: string): Metrics {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) continue;
    const pairs = [...labels.matchAll(LABEL)].map(([, key = "", text = ""]): [string, string] => [key, text]);
    samples.push({ name, labels: Object.fromEntries(pairs), value: number(value ?? "") });
  }
  return {
    sum: (name, labels = {}) =>
      samples
        .filter((sample) => sample.name === name)
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, sample) => sum + sample.value, 0),
    histogram(name) {
      const buckets = new Map<number, number>();
      for (const sample of samples) {
        if (sample.name !== `${name}_bucket`) continue;
        const bound = number(sample.labels.le ?? "");
        buckets.set(bound, (buckets.get(bound) ?? 0) + sample.value);
      }
      return buckets;
    },
  };
}

function number(text: string): number {
  return text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text);
}
