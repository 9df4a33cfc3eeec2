// What a person sees of a rehearsal: a small view that is redrawn on a terminal, or plain lines elsewhere.
import type { Happening, Score } from "./score.ts";
import { percentile } from "./summary.ts";

export interface View {
  show(happening: Happening): void;
  start(): void;
  stop(): void;
}

const REDRAW_MS = 250;
const SHOWN_LINES = 14;
const LEAST_LINES = 3;
// What stands around them, and the row of the cursor.
const OTHER_LINES = 6;
// Rings that the shown percentiles are taken from.
const RECENT = 500;

/** One happening as a line, with the time of day. */
export function line(happening: Happening, at: Date): string {
  const time = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  if (happening.kind === "notification") {
    const { folder, what, unread } = happening;
    const count = unread === null ? "" : `  unread ${unread}`;
    return `${time}  Exchange  ${who(happening)} ${folder.padEnd(8)} ${what}${count}`;
  }
  const { push, latencyMs } = happening;
  const badge = push.badge === null ? "" : ` badge ${push.badge}`;
  // Changes wait a moment on purpose, to be merged: no delay that anybody should worry about.
  const latency =
    latencyMs === null
      ? ""
      : push.reason === "changed"
        ? `  merged for ${(latencyMs / 1000).toFixed(1)} s`
        : `  ${latencyMs.toFixed(1)} ms`;
  const provider = happening.provider.padEnd(8);
  return `${time}  ${provider}  ${who(happening)} ${(push.reason ?? "push").padEnd(8)}${badge}${latency}`;
}

/** A mailbox may have two phones, each with subscriptions and rings of its own. */
function who({ mailbox, phone }: Happening): string {
  return `${mailbox.padEnd(12)} ${phone.padEnd(10)}`;
}

/** Line by line, for logs and pipes. */
export function createPlainView(write: (text: string) => void, now: () => Date): View {
  return {
    show: (happening) => write(`${line(happening, now())}\n`),
    start() {},
    stop() {},
  };
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** Redrawn in place. Clears nothing above it, so that what was on the terminal before (the URLs) stays. */
export function createTerminalView(
  write: (text: string) => void,
  now: () => Date,
  score: () => Pick<Score, "notifications" | "rings" | "latenciesMs">,
  size: () => TerminalSize,
): View {
  const last: string[] = [];
  let shown = 0;
  let timer: ReturnType<typeof setInterval> | null = null;
  let drawn = 0;

  function draw(): void {
    const { notifications, rings, latenciesMs } = score();
    const recent = latenciesMs.slice(-RECENT).sort((a, b) => a - b);
    const ms = (share: number) => {
      const value = percentile(recent, share);
      return value === null ? "-" : `${value.toFixed(1)} ms`;
    };
    const counts = `${notifications} notifications, ${rings} rings; lately p50 ${ms(0.5)}, p99 ${ms(0.99)}`;
    // All lines are there from the start, so that the view keeps its height.
    const lines = ["", counts, "", ...last, ...Array(shown - last.length).fill(""), "", "Ctrl-C ends it."];
    const width = Math.max(20, size().columns - 1);
    // Up to where the view began, then each line anew (ECMA-48: CUU, EL).
    const up = drawn === 0 ? "" : `\x1b[${drawn}A`;
    write(up + lines.map((text) => `\x1b[2K${text.slice(0, width)}\n`).join(""));
    drawn = lines.length;
  }

  return {
    show(happening) {
      last.push(line(happening, now()));
      if (last.length > shown) last.shift();
    },
    start() {
      // A view taller than the terminal could not be redrawn: the cursor does not go above the first row.
      shown = Math.max(LEAST_LINES, Math.min(SHOWN_LINES, size().rows - OTHER_LINES));
      draw();
      timer = setInterval(draw, REDRAW_MS);
    },
    stop() {
      if (timer === null) return;
      clearInterval(timer);
      timer = null;
      draw();
    },
  };
}
