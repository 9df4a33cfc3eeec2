// `rehearse`: the real appliance, in a process of its own, among simulators of Exchange, APNs, FCM and phones.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDurationMs } from "../config/durations.ts";
import { BellError } from "../errors.ts";
import { seededRandom } from "../rehearsal/credentials.ts";
import { createPlainView, createTerminalView, type View } from "../rehearsal/live-view.ts";
import { createRegistrationClient } from "../rehearsal/phone/registration-client.ts";
import type { Happening, Score } from "../rehearsal/score.ts";
import { type ApplianceProcess, ownCommand, startProcess } from "../rehearsal/stage/appliance-process.ts";
import { freePorts, makeProps, type Props } from "../rehearsal/stage/props.ts";
import { type Stage, setStage } from "../rehearsal/stage/stage.ts";
import { type Summary, summarize, summaryText } from "../rehearsal/summary.ts";
import { type Expectations, isAbsent, whyNotEnrolled } from "./enrolment.ts";
import { print } from "./output.ts";
import { headingOf } from "./rehearse-heading.ts";

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
// Until phones that could not register try again: somebody changes the appliance's configuration meanwhile.
const RETRY_MS = 1_000;
// After the traffic has ended: what is on its way arrives within milliseconds unless something is wrong.
const QUIET_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 20_000;

/** @returns 0 only if nothing was lost, no rule was broken, and the appliance ended well */
export async function rehearse(options: RehearseOptions): Promise<number> {
  const limitMs = options.for === undefined ? null : duration(options.for);
  const phones = whole(options.phones, "--phones", 1, 5000);
  const rate = whole(options.rate, "--rate", 1, 500);
  const random = options.seed === undefined ? randomBytes : seededRandom(options.seed);
  // In the system's directory for temporary files: a control socket's path may have 107 bytes only.
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-"));
  let running: ApplianceProcess | null = null;
  const leave = () => {
    // Its process group is its own, so nothing else would end it.
    running?.kill("SIGKILL");
    if (!options.keep) rmSync(directory, { recursive: true, force: true });
  };
  const ending = listenForEnd(leave);
  let stage: Stage | null = null;
  try {
    const props = await makeProps(directory, await freePorts(), random);
    // Nothing is shown before the phones are there.
    let view = createPlainView(
      () => {},
      () => new Date(),
    );
    const tell = (happening: Happening) => view.show(happening);
    stage = await setStage({ props, phones, rate, random, now: Date.now, tell });
    const heading = headingOf(props, stage, options.simulatorsOnly);
    if (!options.json || options.simulatorsOnly) note(options.json, heading.join("\n"));
    if (!options.simulatorsOnly) {
      running = startProcess(ownCommand("serve", "--config", props.configFile), join(directory, "tmp"));
    }
    if (running === null) {
      if (!(await openAlone(props, stage, ending))) return 0;
    } else {
      const failure = await open(props, stage, running, ending);
      if (failure !== null) {
        if (ending.asked()) return 0;
        console.error(failure);
        for (const text of running.lastLines) console.error(`  ${text}`);
        return 1;
      }
    }
    if (!options.json) view = viewFor(options, stage.score);
    const summary = await play(stage, running, view, ending, limitMs);
    print(options.json ? JSON.stringify(summary) : summaryText(summary));
    return summary.ok ? 0 : 1;
  } finally {
    await stage?.stop();
    ending.stop();
    leave();
    if (options.keep) console.error(`Kept ${directory}`);
  }
}

interface Ending {
  readonly ended: Promise<void>;
  /** Ends the rehearsal in order. */
  end(): void;
  /** Whether a person asked for it. */
  asked(): boolean;
  stop(): void;
}

/** The first signal ends the rehearsal in order, a second one at once. */
function listenForEnd(leave: () => void): Ending {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(130);
    asked = true;
    end();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  // However this process ends, the appliance and the keys do not stay behind.
  process.on("exit", leave);
  return {
    ended,
    end,
    asked: () => asked,
    stop() {
      for (const signal of signals) process.off(signal, onSignal);
      process.off("exit", leave);
    },
  };
}

/** Waits for the appliance and registers the phones. Returns what went wrong, or null. */
async function open(
  props: Props,
  stage: Stage,
  appliance: ApplianceProcess,
  ending: Ending,
): Promise<string | null> {
  const over = Promise.race([ending.ended, appliance.exited]);
  if (!(await waitUntilUp(props, over))) {
    return `The appliance did not start with ${props.configFile}. Its last lines:`;
  }
  const enrolled = stage.enrolAll().then(
    () => null,
    (error: unknown) => `${whyNotEnrolled(error, expectationsOf(props))} The appliance's last lines:`,
  );
  const ended = over.then(() => "The appliance ended while the phones registered. Its last lines:");
  return Promise.race([enrolled, ended]);
}

/** Registers the phones with an appliance that somebody starts, and perhaps starts again; false if the end came first. */
async function openAlone(props: Props, stage: Stage, ending: Ending): Promise<boolean> {
  let told = "";
  let isOver = false;
  const stopping = new AbortController();
  const over = ending.ended.then(() => {
    isOver = true;
    stopping.abort();
  });
  // Asked before the phones, which would repeat themselves for a while before they tell.
  const client = createRegistrationClient(props.urls.registration, props.ca, () => null, stopping.signal);
  while (!isOver) {
    const registered = client
      .send("GET", "/v1/discovery")
      .then(() => stage.enrolAll())
      .then(
        () => null,
        (error: unknown) => error,
      );
    const failure = await Promise.race([registered, over]);
    if (failure === null) return true;
    const why = whyNotEnrolled(failure, expectationsOf(props));
    if (!isOver && !isAbsent(failure) && why !== told) {
      told = why;
      console.error(`${why} They try again.`);
    }
    await Promise.race([Bun.sleep(RETRY_MS), over]);
  }
  return false;
}

function expectationsOf({ directory, urls }: Props): Expectations {
  return { directory, registrationUrl: urls.registration };
}

/** Runs the traffic until the end is asked for, then waits for what is on its way and ends the appliance. */
async function play(
  stage: Stage,
  appliance: ApplianceProcess | null,
  view: View,
  ending: Ending,
  limitMs: number | null,
): Promise<Summary> {
  const startedAt = performance.now();
  let died: number | string | null = null;
  void appliance?.exited.then((code) => {
    died ??= code;
    ending.end();
  });
  const timer = limitMs === null ? undefined : setTimeout(ending.end, limitMs);
  view.start();
  stage.traffic.start();
  await ending.ended;
  clearTimeout(timer);
  stage.traffic.stop();
  const diedWith = died as number | string | null;
  if (diedWith === null) await stage.quiet(QUIET_LIMIT_MS);
  view.stop();
  if (diedWith !== null) {
    console.error(`The appliance ended during the rehearsal (${diedWith}). Its last lines:`);
    for (const text of appliance?.lastLines ?? []) console.error(`  ${text}`);
  }
  const phones = stage.results();
  const exit = diedWith === null ? ((await appliance?.stop(STOP_LIMIT_MS)) ?? null) : `died: ${diedWith}`;
  const { notifications, rings, latenciesMs } = stage.score;
  return summarize({
    seconds: (performance.now() - startedAt) / 1000,
    notifications,
    rings,
    latenciesMs,
    phones,
    missingWakes: stage.score.missingWakes(),
    violations: stage.violations(),
    applianceExit: exit,
  });
}

function viewFor(options: RehearseOptions, score: Score): View {
  const write = (text: string) => void process.stdout.write(text);
  const now = () => new Date();
  if (process.stdout.isTTY !== true || options.plain) return createPlainView(write, now);
  return createTerminalView(
    write,
    now,
    () => score,
    () => ({ columns: process.stdout.columns || 100, rows: process.stdout.rows || 24 }),
  );
}

/** With `--json` standard output is for the summary alone. */
function note(json: boolean, text: string): void {
  if (json) console.error(text);
  else print(text);
}

/** Waits until the appliance is ready; false if it took too long or `over` came first. */
async function waitUntilUp(props: Props, over: Promise<unknown>): Promise<boolean> {
  let given = false;
  void over.then(() => {
    given = true;
  });
  const until = performance.now() + START_LIMIT_MS;
  while (!given && performance.now() < until) {
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
