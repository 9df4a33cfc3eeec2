// `rehearse`: the real appliance, in a process of its own, among simulators of Exchange, APNs, FCM and phones.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDurationMs } from "../config/durations.ts";
import { BellError } from "../errors.ts";
import { seededRandom } from "../rehearsal/credentials.ts";
import { createPlainView, createTerminalView } from "../rehearsal/live-view.ts";
import { type ApplianceProcess, ownCommand, startProcess } from "../rehearsal/stage/appliance-process.ts";
import { freePorts, makeProps, type Props } from "../rehearsal/stage/props.ts";
import { type Stage, setStage } from "../rehearsal/stage/stage.ts";
import { summarize, summaryText } from "../rehearsal/summary.ts";

export interface RehearseOptions {
  readonly for?: string;
  readonly phones: string;
  readonly rate: string;
  readonly simulatorsOnly: boolean;
  readonly seed?: string;
  readonly keep: boolean;
  readonly plain: boolean;
  readonly json: boolean;
}

// The appliance is up within a second; a slow disk or a busy machine may take longer. Milliseconds.
const START_LIMIT_MS = 30_000;
const LOOK_MS = 100;
// After the traffic has ended: what is on its way arrives within milliseconds unless something is wrong.
const QUIET_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 20_000;

/** @returns 0 only if nothing was lost, no rule was broken, and the appliance ended well */
export async function rehearse(options: RehearseOptions): Promise<number> {
  const limitMs = options.for === undefined ? null : duration(options.for);
  const phones = whole(options.phones, "--phones", 1, 5000);
  const rate = whole(options.rate, "--rate", 1, 500);
  const random = options.seed === undefined ? randomBytes : seededRandom(options.seed);
  // In the system's directory for temporary files: a control socket's path may have 107 bytes only.
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-"));
  let interrupted = false;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (interrupted) {
        running?.kill("SIGKILL");
        process.exit(130);
      }
      interrupted = true;
      end();
    });
  }
  let running: ApplianceProcess | null = null;
  let stage: Stage | null = null;
  try {
    const props = await makeProps(directory, await freePorts(), random);
    let view = createPlainView(
      () => {},
      () => new Date(),
    );
    stage = await setStage({
      props,
      phones,
      rate,
      random,
      now: Date.now,
      tell: (happening) => view.show(happening),
    });
    const set = stage;
    const heading = headingOf(props, set, options.simulatorsOnly);
    const live = process.stdout.isTTY === true && !options.plain && !options.json;
    const write = (text: string) => void process.stdout.write(text);
    if (!options.json) write(`${heading.join("\n")}\n`);
    if (!options.simulatorsOnly)
      running = startProcess(ownCommand("serve", "--config", props.configFile), join(directory, "tmp"));
    const appliance = running;
    const up = await waitUntilUp(props, appliance, options.simulatorsOnly ? ended : null);
    if (!up) {
      if (interrupted) return 0;
      return failedToStart(appliance, props);
    }
    const startedAt = performance.now();
    await set.enrolAll();
    if (!options.json) {
      view = live
        ? createTerminalView(
            write,
            () => new Date(),
            heading,
            () => set.score,
            () => process.stdout.columns ?? 100,
          )
        : createPlainView(write, () => new Date());
    }
    view.start();
    set.traffic.start();
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (limitMs !== null) timer = setTimeout(end, limitMs);
    let died: number | string | null = null;
    void appliance?.exited.then((code) => {
      died = code;
      end();
    });
    await ended;
    clearTimeout(timer);
    set.traffic.stop();
    if (died === null) await set.quiet(QUIET_LIMIT_MS);
    view.stop();
    if (died !== null && appliance !== null) {
      console.error(`The appliance ended during the rehearsal (${died}). Its last lines:`);
      for (const text of appliance.lastLines) console.error(`  ${text}`);
    }
    const results = set.results();
    const applianceExit =
      appliance === null ? null : died === null ? await appliance.stop(STOP_LIMIT_MS) : `died ${died}`;
    const summary = summarize({
      seconds: (performance.now() - startedAt) / 1000,
      notifications: set.score.notifications,
      rings: set.score.rings,
      latenciesMs: set.score.latenciesMs,
      phones: results,
      missingWakes: set.score.missingWakes(),
      violations: set.violations(),
      applianceExit,
    });
    console.log(options.json ? JSON.stringify(summary) : summaryText(summary));
    return summary.ok ? 0 : 1;
  } finally {
    await stage?.stop();
    running?.kill("SIGKILL");
    if (options.keep) console.error(`Kept ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
}

function headingOf(props: Props, stage: Stage, alone: boolean): string[] {
  const { registration, exchange, admin } = props.urls;
  const lines = [
    "Inboxbell rehearsal: everything on this machine, nothing leaves it.",
    `  discovery  ${registration}/v1/discovery    API  ${registration}/v1/openapi.json`,
    `  health     ${registration}/readyz  ${exchange}/readyz  ${admin}/readyz?verbose`,
    `  metrics    ${admin}/metrics`,
    `  authority  ${join(props.directory, "ca.pem")} (curl --cacert)`,
  ];
  if (!alone) return lines;
  return [
    ...lines,
    `  APNs       ${stage.providers.apns}    FCM  ${stage.providers.fcm}`,
    "The simulators are up and the phones wait for an appliance. Start one with:",
    `  ${ownCommand("serve", "--config", props.configFile).join(" ")}`,
  ];
}

/** Waits until the appliance is ready; false if it died, took too long, or `cancelled` came first. */
async function waitUntilUp(
  props: Props,
  appliance: ApplianceProcess | null,
  cancelled: Promise<void> | null,
): Promise<boolean> {
  let over = false;
  void appliance?.exited.then(() => {
    over = true;
  });
  void cancelled?.then(() => {
    over = true;
  });
  const until = performance.now() + START_LIMIT_MS;
  // Without an own appliance there is no hurry: somebody starts one by hand.
  while (!over && (appliance === null || performance.now() < until)) {
    try {
      const response = await fetch(`${props.urls.admin}/readyz`, { signal: AbortSignal.timeout(1000) });
      if (response.ok) return true;
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return false;
}

function failedToStart(appliance: ApplianceProcess | null, props: Props): number {
  console.error(`The appliance did not start with ${props.configFile}. Its last lines:`);
  for (const text of appliance?.lastLines ?? []) console.error(`  ${text}`);
  return 1;
}

function duration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms < 1000)
    throw new BellError("usage", `--for ${text}: expected a duration of at least 1s, such as 10s or 5m.`);
  return ms;
}

function whole(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new BellError("usage", `${option} ${text}: expected a whole number from ${least} to ${most}.`);
  }
  return value;
}
