// `doctor`: looks at every hop between Exchange, this node, the phones, Apple and Google. Exit 0 if nothing fails.
import { readFileSync } from "node:fs";
import { loadConfig } from "../config/load.ts";
import { BellError } from "../errors.ts";
import { writeBundle } from "./doctor/bundle.ts";
import { examine } from "./doctor/examination.ts";
import { exchangeScript } from "./doctor/exchange-script.ts";
import { makeReport, reportText } from "./doctor/report.ts";
import { print } from "./output.ts";
import { serviceEnvironment } from "./service-credentials.ts";

export interface DoctorOptions {
  readonly config: string;
  readonly socket?: string;
  readonly json: boolean;
  /** Print the PowerShell for an Exchange server instead. */
  readonly exchange: boolean;
  /** Where to write a support bundle as well. */
  readonly bundle?: string;
  /** Log file for the bundle; the journal of the delivered unit unless given. */
  readonly log?: string;
}

/**
 * Prints what was looked at.
 * @returns the exit code: 1 if something fails, 0 with warnings
 * @throws BellError `bundle_unwritable`, or of the configuration with `--exchange`
 */
export async function doctor(options: DoctorOptions): Promise<number> {
  const env = serviceEnvironment(process.env);
  if (options.exchange) {
    print(exchangeScript(loadConfig(options.config, env)));
    return 0;
  }
  const clocks = { now: Date.now, monotonicNow: () => performance.now(), random: Math.random };
  const socket = options.socket === undefined ? {} : { socket: options.socket };
  const examination = await examine({ configFile: options.config, ...socket, env, clocks });
  const report = makeReport(options.config, examination, Date.now());
  let lacksLog = false;
  if (options.bundle !== undefined) {
    const log = options.log === undefined ? await journal() : readLog(options.log);
    await writeBundle({ path: options.bundle, configFile: options.config, report, examination, log });
    lacksLog = log === null;
  }
  const columns = process.stdout.isTTY === true ? process.stdout.columns || USUAL_COLUMNS : null;
  print(options.json ? JSON.stringify(report, null, 2) : reportText(report, columns));
  if (options.bundle !== undefined && !options.json) {
    print(
      `Wrote ${options.bundle}. Secrets, tokens and ids are taken out; host names are not: look before you send it.`,
    );
    if (lacksLog) print(NO_LOG);
  }
  return report.ok ? 0 : 1;
}

const NO_LOG =
  "There is no log in it: this user cannot read the service's journal, or there is none. Run it as root, or name a file with --log.";
// Of a terminal that does not tell its width, such as a serial console.
const USUAL_COLUMNS = 80;

function readLog(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BellError("bundle_unwritable", `The log ${path} cannot be read.`, cause);
  }
}

const JOURNAL = ["journalctl", "--unit=inboxbell", "--lines=5000", "--no-pager", "--output=short-iso"];
// Reading a journal takes a second; a broken one may take for ever, milliseconds.
const JOURNAL_MS = 10_000;

/** The newest lines of the delivered unit, or null where there is no journal. */
async function journal(): Promise<string | null> {
  if (Bun.which("journalctl") === null) return null;
  const child = Bun.spawn(JOURNAL, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: JOURNAL_MS,
  });
  const text = await new Response(child.stdout).text();
  return (await child.exited) === 0 ? text : null;
}
