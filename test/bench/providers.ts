// The simulated providers as the parts use them: in another process, on the core of the load.
import { join } from "node:path";
import type { Mix } from "./fleet.ts";
import { cpuSeconds, end, inputOf, LOAD_CORE, linesOf, spawnOn } from "./processes.ts";
import type { Command, Counts, ProvidersInput } from "./providers-process.ts";
import type { ProviderUrls, Stage } from "./stage.ts";
import { PROJECT } from "./stage.ts";

export interface Providers {
  readonly urls: NonNullable<ProviderUrls>;
  counts(): Promise<{ readonly apns: Counts; readonly fcm: Counts }>;
  leave(): Promise<void>;
  return(): Promise<void>;
  /** How many phones show the unread count of the newest of `sent` notifications that was theirs. */
  right(phones: number, mix: Mix, sent: number): Promise<number>;
  /** CPU seconds used so far. */
  cpu(): number;
  stop(): Promise<void>;
}

/** Starts them with `phones` known tokens on each platform. */
export async function startProviders(stage: Stage, phones: number): Promise<Providers> {
  const tls = stage.tlsFiles("p256");
  const child = spawnOn(LOAD_CORE, [process.execPath, join(import.meta.dir, "providers-process.ts")], {
    stdin: "pipe",
    stdout: "pipe",
  });
  const input = inputOf(child);
  const answers = linesOf(child);
  const first: ProvidersInput = {
    tls: { certificate: await Bun.file(tls.certificate).text(), key: await Bun.file(tls.key).text() },
    apnsKeys: [stage.apnsKey, ...stage.peerKeys],
    account: stage.serviceAccount,
    project: PROJECT,
    phones,
  };
  async function ask<Answer>(line: ProvidersInput | Command): Promise<Answer> {
    input.write(`${JSON.stringify(line)}\n`);
    await input.flush();
    const { value, done } = await answers.next();
    if (done === true) throw new Error("The simulated providers have ended.");
    return JSON.parse(value) as Answer;
  }
  const urls = await ask<NonNullable<ProviderUrls>>(first);
  return {
    urls,
    counts: () => ask({ do: "counts" }),
    leave: () => ask({ do: "leave" }),
    return: () => ask({ do: "return" }),
    right: async (count, mix, sent) =>
      (await ask<{ right: number }>({ do: "right", phones: count, mix, sent })).right,
    cpu: () => cpuSeconds(child.pid),
    stop: () => end(child),
  };
}
