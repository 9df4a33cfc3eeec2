// A node among simulated providers, for `doctor` to look at: all in this process, on real sockets and files.
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Appliance, startAppliance } from "../../../src/appliance.ts";
import { type Examination, examine } from "../../../src/cli/doctor/examination.ts";
import type { FindingCode, Result } from "../../../src/cli/doctor/findings.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { loadSecrets } from "../../../src/config/secrets.ts";
import { silentLogger } from "../../../src/ops/log.ts";
import {
  type ApnsSimulator,
  type ApnsSimulatorOptions,
  createApnsSimulator,
} from "../../../src/rehearsal/apns/simulator.ts";
import { createFcmSimulator, type FcmSimulator } from "../../../src/rehearsal/fcm/simulator.ts";
import {
  APP,
  freePorts,
  makeProps,
  PROJECT,
  type Props,
  writeConfig,
} from "../../../src/rehearsal/stage/props.ts";

export interface Clinic {
  readonly props: Props;
  readonly apns: ApnsSimulator;
  readonly fcm: FcmSimulator;
  /** Changes the configuration's text. */
  edit(change: (text: string) => string): void;
  /** Starts the node with the configuration as it is now. */
  up(): Promise<void>;
  down(): Promise<void>;
  /** Lets `doctor` look, with another clock if one is given. */
  look(now?: () => number): Promise<Examination>;
  stop(): Promise<void>;
}

export interface ClinicOptions {
  readonly apns?: Partial<ApnsSimulatorOptions>;
  /** The directory in which the node's own is made. */
  readonly parent?: string;
}

export async function openClinic(options: ClinicOptions = {}): Promise<Clinic> {
  const directory = mkdtempSync(join(options.parent ?? tmpdir(), "ib-doctor-"));
  const props = await makeProps(directory, await freePorts(), randomBytes);
  const apns = createApnsSimulator({
    tls: props.providerTls,
    keys: [{ ...props.apnsKey, topics: [APP] }],
    ...options.apns,
  });
  const fcm = createFcmSimulator({
    tls: props.providerTls,
    projectId: PROJECT,
    account: {
      clientEmail: props.serviceAccount.file.client_email,
      publicKey: props.serviceAccount.publicKey,
    },
    random: randomBytes,
  });
  const loopback = (url: string) => url.replace("localhost", "127.0.0.1");
  const [apnsAt, fcmAt] = [await apns.start(), await fcm.start()];
  writeConfig(props, {
    apns: loopback(apnsAt.url),
    fcm: loopback(fcmAt.url),
    fcmToken: loopback(fcmAt.tokenUrl),
  });
  let appliance: Appliance | null = null;
  const down = async () => {
    await appliance?.stop(1000);
    appliance = null;
  };
  return {
    props,
    apns,
    fcm,
    edit(change) {
      const before = readFileSync(props.configFile, "utf8");
      const after = change(before);
      if (after === before) throw new Error("the change changes nothing");
      writeFileSync(props.configFile, after);
    },
    async up() {
      const config = loadConfig(props.configFile, {});
      appliance = await startAppliance(config, loadSecrets(config, {}), silentLogger);
    },
    down,
    look: (now = Date.now) =>
      examine({
        configFile: props.configFile,
        env: {},
        clocks: { now, monotonicNow: () => performance.now(), random: Math.random },
      }),
    async stop() {
      await down();
      await Promise.all([apns.stop(), fcm.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Codes of what is not good, each once, in order. */
export function complaints({ results }: { readonly results: readonly Result[] }): FindingCode[] {
  return [...new Set(results.flatMap(({ code }) => (code === "ok" ? [] : [code])))];
}

/** The result with a code; fails where there is none. */
export function only({ results }: { readonly results: readonly Result[] }, code: FindingCode): Result {
  const result = results.find((each) => each.code === code);
  if (result === undefined)
    throw new Error(`no ${code} among ${complaints({ results }).join(", ") || "nothing"}`);
  return result;
}
