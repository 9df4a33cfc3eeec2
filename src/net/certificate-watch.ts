// Notices that a listener's certificate files were renewed, by looking at them now and then: that works for renamed
// files, symbolic links and network file systems alike, where notifications of the kernel do not.
import { stat } from "node:fs/promises";
import type { TlsFiles } from "../config/types.ts";
import { isBellError } from "../errors.ts";
import type { Logger } from "../ops/log.ts";

export interface CertificateWatchOptions {
  /** The files of the moment by listener; a listener without TLS is left out. */
  readonly files: () => readonly { readonly listener: string; readonly files: TlsFiles }[];
  /**
   * Reads a listener's files and serves them from now on, if they are others than those that it serves.
   * @returns whether they were
   * @throws BellError what is wrong with them; nothing has changed then
   */
  readonly take: (listener: string) => boolean;
  /** Called after each look, for what goes with time. */
  readonly onLook?: () => void;
  readonly log: Logger;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly everyMs?: number;
  readonly patienceMs?: number;
}

export interface CertificateWatch {
  start(): void;
  stop(): Promise<void>;
}

// Soon enough for a renewal, which comes days before the old certificate ends, and nothing in cost.
const EVERY_MS = 10_000;
// Certificate and key are two files: a tool that writes one after the other gets this long before anything is said.
const PATIENCE_MS = 60_000;

/** What is known of one listener's files. */
interface Seen {
  /** As they were when they were last read or given up. */
  settled: string;
  /** As they are since `at`, if that differs. */
  changed: string;
  at: number;
}

export function createCertificateWatch(options: CertificateWatchOptions): CertificateWatch {
  const { log, now, everyMs = EVERY_MS, patienceMs = PATIENCE_MS } = options;
  const seen = new Map<string, Seen>();
  let timer: ReturnType<typeof setTimeout> | null = null;
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;

  async function look(): Promise<void> {
    for (const { listener, files } of options.files()) {
      const [certificate, key] = await Promise.all([trace(files.certificate), trace(files.key)]);
      if (isStopped) return;
      judge(listener, `${files.certificate} ${certificate} ${files.key} ${key}`);
    }
    options.onLook?.();
  }

  function judge(listener: string, found: string): void {
    const known = seen.get(listener);
    if (known === undefined) {
      // Looked at for the first time: whether they are those in service, only their content tells.
      seen.set(listener, { settled: "", changed: found, at: now() });
      return;
    }
    if (found === known.settled) return;
    if (found !== known.changed) {
      // Still being written, perhaps: it has to stay as it is from one look to the next.
      known.changed = found;
      known.at = now();
      return;
    }
    take(listener, known);
  }

  function take(listener: string, known: Seen): void {
    try {
      if (options.take(listener))
        log.info({ listener }, "The listener's certificate was renewed from its files.");
      known.settled = known.changed;
    } catch (error) {
      if (!isBellError(error)) throw error;
      if (now() - known.at < patienceMs) return;
      // Told once; they are looked at again when they change.
      known.settled = known.changed;
      log.error(
        { listener, code: error.code },
        `The listener's certificate files have changed and are not taken; the former certificate stays in service. ${error.message}`,
      );
    }
  }

  function schedule(): void {
    timer = setTimeout(() => {
      looking = look()
        .catch((error: unknown) => {
          log.warn({ reason: String(error) }, "The certificate files could not be looked at.");
        })
        .then(() => {
          if (!isStopped) schedule();
        });
    }, everyMs);
  }

  return {
    start: schedule,
    async stop() {
      isStopped = true;
      if (timer !== null) clearTimeout(timer);
      await looking;
    },
  };
}

/** Which file it is and when it was last written, in few characters. */
async function trace(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(path);
    return `${ino}-${mtimeMs}-${size}`;
  } catch {
    // Between two steps of a renewal it may be missing.
    return "none";
  }
}
