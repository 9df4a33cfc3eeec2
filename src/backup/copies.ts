// The running node's part of a backup: a copy of the database beside it, for the command line to seal. The key file is
// not handed out here: whoever makes a backup must be allowed to read it.
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BellError } from "../errors.ts";
import type { ControlHandler } from "../ops/control.ts";
import type { Logger } from "../ops/log.ts";
import type { Store } from "../store/types.ts";

export interface CopyReply {
  readonly id: string;
  readonly state: "copying" | "done";
  /** Path of the copy. */
  readonly path: string;
  readonly keyFile: string;
  readonly node: string;
  /** Epoch milliseconds. */
  readonly madeAt: number;
}

/** Whether a node's answer is one. */
export function isCopyReply(value: unknown): value is CopyReply {
  if (typeof value !== "object" || value === null) return false;
  const { id, state, path, keyFile, node, madeAt } = value as Readonly<Record<string, unknown>>;
  const texts = [id, path, keyFile, node].every((each) => typeof each === "string");
  return texts && (state === "copying" || state === "done") && typeof madeAt === "number";
}

export interface CopiesOptions {
  readonly store: Pick<Store, "copyTo">;
  readonly database: string;
  readonly keyFile: string;
  readonly node: string;
  readonly log: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

// A copy whose command line never came back is removed with the next backup after so long, milliseconds.
const KEPT_MS = 3_600_000;

interface Copy {
  readonly path: string;
  readonly startedAt: number;
  state: "copying" | "done" | "failed";
  error: unknown;
  madeAt: number;
}

/** `backup` begins a copy, or says with its `id` how far it is; `backup-done` removes it. */
export function createBackupVerbs(options: CopiesOptions) {
  const { database, log, now } = options;
  const copies = new Map<string, Copy>();
  const prefix = `${basename(database)}.copy-`;

  function begin(): string {
    removeStale();
    const id = randomBytes(8).toString("hex");
    const path = join(dirname(database), `${prefix}${id}`);
    const copy: Copy = { path, startedAt: now(), state: "copying", error: null, madeAt: 0 };
    copies.set(id, copy);
    options.store.copyTo(path).then(
      () => {
        copy.state = "done";
        copy.madeAt = now();
      },
      (error: unknown) => {
        copy.state = "failed";
        copy.error = error;
        drop(path);
      },
    );
    log.info({}, "An administrator makes a backup.");
    return id;
  }

  /** Also those of a former process. */
  function removeStale(): void {
    const kept = new Set<string>();
    for (const [id, { path, startedAt }] of copies) {
      if (now() - startedAt < KEPT_MS) kept.add(basename(path));
      else copies.delete(id);
    }
    for (const name of readdirSync(dirname(database))) {
      const owner = name.replace(/-(?:wal|shm|journal)$/, "");
      if (name.startsWith(prefix) && !kept.has(owner)) rmSync(join(dirname(database), name), { force: true });
    }
  }

  return {
    backup(input: unknown): CopyReply {
      const id = idOf(input) ?? begin();
      const copy = copies.get(id);
      if (copy === undefined) throw new BellError("backup_path", "The node knows no such copy.");
      if (copy.state === "failed") {
        copies.delete(id);
        throw copy.error;
      }
      const { path, state, madeAt } = copy;
      return { id, state, path, keyFile: options.keyFile, node: options.node, madeAt };
    },

    "backup-done"(input: unknown): null {
      const id = idOf(input);
      const copy = id === null ? undefined : copies.get(id);
      if (id === null || copy === undefined) return null;
      copies.delete(id);
      drop(copy.path);
      return null;
    },
  } satisfies Record<string, ControlHandler>;
}

function drop(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true });
}

function idOf(input: unknown): string | null {
  if (typeof input !== "object" || input === null || !("id" in input)) return null;
  return typeof input.id === "string" ? input.id : null;
}
