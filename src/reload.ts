// Reloading the configuration of a running node: everything is read and checked first, and only then put in force.
// One reload at a time, and none once the node stops.
import type { Change, Settings } from "./config/change.ts";
import { examineFiles } from "./config/examine.ts";
import { readConfig } from "./config/load.ts";
import type { Environment } from "./config/paths.ts";
import { byPosition, type ConfigProblem, FILE_START, type Finding, sentence } from "./config/problems.ts";
import { loadSecrets } from "./config/secrets.ts";
import { BellError, isBellError } from "./errors.ts";
import { loadIdentities } from "./listeners.ts";
import type { Logger } from "./ops/log.ts";

/** What became of a reload, as it travels over the control socket. No value of a key is in it. */
export interface ReloadAnswer {
  /** False: nothing has changed, and `problems` says why. */
  readonly ok: boolean;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  readonly changes: readonly Change[];
}

export interface ReloaderOptions {
  /** The configuration file, as the administrator named it. */
  readonly file: string;
  readonly env: Environment;
  readonly log: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /**
   * Puts settings in force that were found to be good, as far as a running node can; gives what has changed.
   * Throws an error of the catalogue when it changes nothing after all.
   */
  readonly apply: (settings: Settings) => readonly Change[] | Promise<readonly Change[]>;
}

export interface Reloader {
  /**
   * Reloads, after the reload that is at work.
   * @param cause for the log: who asked for it
   * @throws BellError stopping
   */
  reload(cause: string): Promise<ReloadAnswer>;
  /** Refuses further reloads and waits for the one that is at work. */
  close(): Promise<void>;
}

export function createReloader(options: ReloaderOptions): Reloader {
  const { log } = options;
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  async function run(cause: string): Promise<ReloadAnswer> {
    if (closed) throw new BellError("stopping");
    const answer = await attempt(options);
    tell(log, cause, answer);
    return answer;
  }

  return {
    reload(cause) {
      const mine = last.then(() => run(cause));
      last = mine.catch(() => {});
      return mine;
    },
    async close() {
      closed = true;
      await last;
    },
  };
}

/**
 * Reads the configuration and every file that it names. What `serve` would start with is good, even where `check`
 * complains: an app's expired push certificate must not keep the other credentials from being renewed.
 */
async function attempt({ file, env, now, apply }: ReloaderOptions): Promise<ReloadAnswer> {
  const problems: ConfigProblem[] = [];
  const warnings: ConfigProblem[] = [];
  const refused = (): ReloadAnswer => ({ ok: false, problems, warnings, changes: [] });
  try {
    const reading = readConfig(file, env);
    const examined = examineFiles(reading, env, now());
    const named = (findings: readonly Finding[]) =>
      findings.map((each): ConfigProblem => ({ file, ...each }));
    problems.push(...[...reading.problems, ...named(examined.problems)].sort(byPosition));
    warnings.push(...named(examined.warnings).sort(byPosition));
    if (reading.config === null) return refused();
    const settings = { config: reading.config, secrets: loadSecrets(reading.config, env) };
    // Those too that a restart would have to take: better refused now than found out then.
    loadIdentities(settings.config, now());
    const changes = await apply(settings);
    return { ok: true, problems: [], warnings: [...problems, ...warnings].sort(byPosition), changes };
  } catch (error) {
    if (!isBellError(error)) throw error;
    if (problems.length === 0) problems.push(ofWholeFile(file, error));
    return refused();
  }
}

function ofWholeFile(file: string, error: BellError): ConfigProblem {
  return { file, ...FILE_START, keyPath: "", code: error.code, message: error.message };
}

function tell(log: Logger, cause: string, { ok, problems, warnings, changes }: ReloadAnswer): void {
  const fields = ({ code, keyPath, line }: ConfigProblem) => ({ code, key: keyPath, line });
  for (const warning of warnings) log.warn(fields(warning), sentence(warning));
  if (!ok) {
    for (const problem of problems) log.error(fields(problem), sentence(problem));
    log.error(
      { cause, problems: problems.length },
      "The configuration was not reloaded; the node goes on with the former one.",
    );
    return;
  }
  const keys = (takes: Change["takes"]) =>
    changes.flatMap((each) => (each.takes === takes ? [each.key] : [])).join(", ");
  log.info({ cause, changed: keys("live") }, "The configuration was reloaded.");
  const waiting = keys("restart");
  if (waiting !== "") {
    log.warn({ keys: waiting }, "These changes need a restart; until then the former values are in force.");
  }
}
