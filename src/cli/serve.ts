// `serve`: runs the appliance until it is told to stop. One signal ends it in order, a second one at once; SIGHUP
// reloads its configuration.
import { type Appliance, startAppliance } from "../appliance.ts";
import { TEST_HOOKS } from "../build-info.ts";
import { loadConfig } from "../config/load.ts";
import { loadSecrets } from "../config/secrets.ts";
import { isBellError } from "../errors.ts";
import { createLogger, silentLogger } from "../ops/log.ts";
import { createServiceManager } from "../ops/systemd.ts";
import { createReloader, type ReloadAnswer } from "../reload.ts";
import { blockVerb } from "../test-hooks.ts";

// What is in flight at a stop may take this long; the rest stays owed in the database. Milliseconds. Less than
// the 90 s after which systemd kills.
const GRACE_MS = 10_000;

export async function serve(options: { readonly config: string }): Promise<number> {
  try {
    return await serveUntilStopped(options);
  } catch (error) {
    // The journal's last lines are the manager's own once it has given up: its status line says why.
    if (isBellError(error)) {
      const { message } = error;
      createServiceManager({ env: process.env, log: silentLogger, pid: process.pid }).failed(message);
    }
    throw error;
  }
}

async function serveUntilStopped(options: { readonly config: string }): Promise<number> {
  const config = loadConfig(options.config, process.env);
  const secrets = loadSecrets(config, process.env);
  const log = createLogger(config.log.level, config.log.format);
  // A failed send or a bad packet never ends the appliance: what is stored is safe, and the next request is served.
  process.on("uncaughtException", (error) => {
    log.error({ name: error.name, stack: error.stack }, "An error reached nobody; the node goes on.");
  });
  process.on("unhandledRejection", (reason) => {
    const stack = reason instanceof Error ? reason.stack : String(reason);
    log.error({ stack }, "A rejection reached nobody; the node goes on.");
  });
  const manager = createServiceManager({ env: process.env, log, pid: process.pid });
  const { promise: running, resolve: isRunning } = Promise.withResolvers<Appliance>();
  const reloader = createReloader({
    file: options.config,
    env: process.env,
    log,
    now: Date.now,
    async apply(settings) {
      // Asked for while the node still starts, it waits.
      const { changes, settings: taken } = (await running).reload(settings.config, settings.secrets);
      log.setLevel(taken.config.log.level);
      return changes;
    },
  });
  async function reload(cause: string): Promise<ReloadAnswer> {
    const ended = manager.reloading();
    try {
      return await reloader.reload(cause);
    } finally {
      ended();
    }
  }
  process.on("SIGHUP", () => {
    reload("SIGHUP").catch((error: unknown) => {
      log.warn({ reason: String(error) }, "A reload was asked for and not done.");
    });
  });
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    let first = true;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (first) {
          first = false;
          resolve(signal);
          return;
        }
        // Nothing is lost: what was answered is on the disk.
        process.exit(1);
      });
    }
  });
  const appliance = await startAppliance(config, secrets, log, {
    reload: () => reload("control socket"),
    ...(TEST_HOOKS ? blockVerb : {}),
  });
  isRunning(appliance);
  manager.ready(appliance);
  const signal = await stopped;
  manager.stopping();
  log.info({ signal }, "Stopping: no new requests, rings in flight may finish.");
  await reloader.close();
  await appliance.stop(GRACE_MS);
  log.info({}, "Stopped.");
  return 0;
}
