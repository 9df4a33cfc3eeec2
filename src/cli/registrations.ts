// `registrations`: the phones that are registered, part after part, so that the node goes on ringing meanwhile.
import { BellError, isBellError } from "../errors.ts";
import { askNode, notInboxbell } from "../ops/control.ts";
import { registrationIdOf } from "../phones/find.ts";
import {
  type ListedState,
  type ListFilter,
  type ListLine,
  type ListPart,
  listPart,
  ROWS_A_PART,
} from "../phones/list.ts";
import { ago, span } from "../phones/times.ts";
import type { Platform } from "../store/types.ts";
import { NOT_RUNNING, readOffline } from "./offline.ts";
import { print } from "./output.ts";
import { controlSocket, type NodeOptions } from "./socket.ts";
import { readable } from "./why.ts";

export interface ListOptions extends NodeOptions {
  readonly app?: string;
  readonly platform?: Platform;
  readonly state?: ListedState;
  readonly owed: boolean;
  readonly limit: string;
  readonly after?: string;
  readonly json: boolean;
}

/**
 * Prints the list.
 * @returns the exit code: 0
 * @throws `usage`, `not_running` or `control_denied`, or what keeps the database from being read
 */
export async function registrations(options: ListOptions): Promise<number> {
  const { filter, limit, after } = readOptions(options);
  const { part, isOffline } = await list(options, filter, limit, after);
  if (options.json) {
    const answer = { offline: isOffline, registrations: part.lines, next: part.next };
    print(JSON.stringify(readable(answer), null, 2));
  } else {
    if (isOffline) print(`${NOT_RUNNING}\n`);
    print(listText(part, Date.now()));
  }
  return 0;
}

async function list(options: NodeOptions, filter: ListFilter, limit: number, after: string | null) {
  const socket = controlSocket(options);
  try {
    const part = await collect(limit, after, async (from, most) => {
      const reply = await askNode(socket, "registrations", {
        input: { ...filter, after: from, limit: most },
      });
      if (!isPart(reply)) throw notInboxbell(socket);
      return reply;
    });
    return { part, isOffline: false };
  } catch (error) {
    if (!isBellError(error, "not_running")) throw error;
    if (options.socket !== undefined && options.config === undefined) throw error;
  }
  const part = await readOffline(options, ({ inspector }) =>
    collect(limit, after, async (from, most) =>
      listPart(
        inspector.list({ after: from, limit: ROWS_A_PART, idle: filter.state === "idle" }),
        filter,
        most,
      ),
    ),
  );
  return { part, isOffline: true };
}

/** Part after part, until there are enough lines or no more rows. */
async function collect(
  limit: number,
  after: string | null,
  ask: (after: string | null, limit: number) => Promise<ListPart>,
): Promise<ListPart> {
  const lines: ListLine[] = [];
  let next = after;
  do {
    const part = await ask(next, Math.min(limit - lines.length, ROWS_A_PART));
    lines.push(...part.lines);
    ({ next } = part);
  } while (next !== null && lines.length < limit);
  return { lines, next };
}

function isPart(value: unknown): value is ListPart {
  return typeof value === "object" && value !== null && "lines" in value && Array.isArray(value.lines);
}

function readOptions(options: ListOptions) {
  const { app, platform, state, owed } = options;
  const limit = options.limit === "all" ? Number.POSITIVE_INFINITY : Number(options.limit);
  if (!(limit >= 1) || (limit !== Number.POSITIVE_INFINITY && !Number.isInteger(limit))) {
    throw new BellError("usage", `--limit ${options.limit}: expected a number from 1 on, or all.`);
  }
  const after = options.after === undefined ? null : registrationIdOf(options.after);
  if (options.after !== undefined && after === null) {
    throw new BellError("usage", "--after: expected a registration id, such as the list's last one.");
  }
  const filter: ListFilter = {
    ...(app === undefined ? {} : { app }),
    ...(platform === undefined ? {} : { platform }),
    ...(state === undefined ? {} : { state }),
    owed,
  };
  return { filter, limit, after };
}

const HEADINGS = ["REGISTRATION", "APP", "PLATFORM", "STATE", "RENEWED", "HEARD", "OWED", "LAST RING"];

/** The list as text for a terminal. */
export function listText({ lines, next }: ListPart, now: number): string {
  if (lines.length === 0) return "No such registrations.";
  const cells = lines.map((line) => [
    line.registrationId,
    line.app ?? "-",
    line.platform ?? "-",
    line.state,
    ago(line.renewedAt, now),
    line.lastHeardAt === null ? "never" : ago(line.lastHeardAt, now),
    line.owedSince === null ? "-" : span(now - line.owedSince),
    line.lastRing === null
      ? "none"
      : `${ago(line.lastRing.at, now)}, ${line.lastRing.reason}: ${line.lastRing.outcome}`,
  ]);
  const widths = HEADINGS.map((heading, at) =>
    Math.max(heading.length, ...cells.map((row) => row[at]?.length ?? 0)),
  );
  const table = [HEADINGS, ...cells].map((row) =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  return [...table, ...(next === null ? [] : [`There may be more: --after ${next}`])].join("\n");
}
