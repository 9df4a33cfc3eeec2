// The support bundle: what somebody who helps needs to see, in one archive, without a secret. Everything passes
// through redact.ts; the archive is made by the runtime's own writer.
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { BUILD } from "../../build-info.ts";
import { readConfig } from "../../config/load.ts";
import type { FileRole } from "../../config/options.ts";
import { BellError } from "../../errors.ts";
import { serviceEnvironment } from "../service-credentials.ts";
import type { Examination } from "./examination.ts";
import { redact, redactConfig, secretTexts, secretValues } from "./redact.ts";
import { type Report, reportText } from "./report.ts";

export interface BundleOptions {
  readonly path: string;
  readonly configFile: string;
  readonly report: Report;
  readonly examination: Examination;
  /** Log lines, newest last; null where there are none to be had. */
  readonly log: string | null;
}

// Enough for a busy day at level info; a support case is sent by mail.
const MAX_LOG_BYTES = 2_097_152;
// All others are taken for secrets, those that a later option brings too.
const NO_SECRETS: ReadonlySet<FileRole> = new Set(["tls_certificate", "ca", "store", "socket"]);

/**
 * Writes the bundle, readable by its owner alone. Never overwrites.
 * @throws BellError `bundle_unwritable`
 */
export async function writeBundle(options: BundleOptions): Promise<void> {
  const { path } = options;
  const archive = new Bun.Archive(bundleFiles(options), { compress: "gzip" });
  const bytes = await archive.bytes();
  let file: number | null = null;
  try {
    file = openSync(path, "wx", 0o600);
    writeSync(file, bytes);
    fsyncSync(file);
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown };
    if (file !== null) rmSync(path, { force: true });
    const why = code === "EEXIST" ? "it exists already" : String(code ?? cause);
    throw new BellError("bundle_unwritable", `The bundle ${path} cannot be written: ${why}.`, cause);
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Name to contents, redacted. */
export function bundleFiles({ configFile, report, examination, log }: BundleOptions): Record<string, string> {
  const { config, secrets, status } = examination;
  const known = secretTexts([...secretFiles(configFile), ...(secrets === null ? [] : secretValues(secrets))]);
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const machine = {
    ...BUILD,
    runtime: `bun ${Bun.version}`,
    platform: `${platform()} ${release()} ${arch()}`,
    processors: cpus().length,
    memoryMiB: Math.round(totalmem() / 1_048_576),
  };
  const files: Record<string, string> = {
    "doctor.txt": `${reportText(report)}\n`,
    "doctor.json": json(report),
    "status.json": json(status),
    "configuration.json": json(config === null ? null : redactConfig(config)),
    "machine.json": json(machine),
    ...(log === null ? {} : { "log.txt": log.slice(-MAX_LOG_BYTES) }),
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`inboxbell-support/${name}`, redact(text, known)]),
  );
}

/** Contents of the files that the configuration names as secrets, be it good or not. */
function secretFiles(configFile: string): string[] {
  return readConfig(configFile, serviceEnvironment(process.env))
    .files.filter(({ role }) => !NO_SECRETS.has(role))
    .flatMap(({ path }) => {
      try {
        return [readFileSync(path, "latin1")];
      } catch {
        // What this user cannot read cannot get into the bundle.
        return [];
      }
    });
}
