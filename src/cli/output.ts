// Standard output: the one way by which a verb's answer leaves. The runtime's own console says nothing of a full disk,
// and a script that took half an answer for a whole one would never know.
import { writeSync } from "node:fs";

const STDOUT = 1;
// A pipe whose reader has not caught up is asked again after so long, milliseconds.
const RETRY_MS = 5;

// Of the whole process, as standard output is. A closed pipe is not in it: whoever reads along, such as head, may have
// had enough.
let failure: string | null = null;
let isOver = false;

/**
 * Prints a text, or JSON, and a line break. What cannot be written is told at the end (`outputFailure`), not thrown
 * here.
 */
export function print(text: string): void {
  write(`${harmless(text)}\n`);
}

// All that may steer a terminal or turn its letters round, such as an escape sequence in the name of a node whose
// backup is restored. Line breaks and tabs are the text's own.
const STEERING = /[^\P{Cc}\n\t]|\p{Cf}|[\u2028\u2029]/gu;

/** Shows what may steer a terminal as JSON writes it, so that JSON stays the same value. */
export function harmless(text: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(STEERING, (found) => found.split("").map(escaped).join(""));
}

/** Writes a text as it is, and returns once it is written. */
export function write(text: string): void {
  const bytes = Buffer.from(text, "utf8");
  for (let at = 0; at < bytes.length && !isOver; ) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      if (codeOf(error) === "EAGAIN") Bun.sleepSync(RETRY_MS);
      else giveUp(error);
    }
  }
}

/** The system's name of the error that kept the answer from being written, or null. */
export function outputFailure(): string | null {
  return failure;
}

/** For what writes to the streams itself, such as a line that is typed: its failures are noted as `write` notes them. */
export function watchStreams(): void {
  process.stdout.on("error", giveUp);
  // Whoever would be told of this is not there.
  process.stderr.on("error", () => {});
}

function giveUp(error: unknown): void {
  isOver = true;
  if (codeOf(error) !== "EPIPE") failure ??= codeOf(error);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | null)?.code ?? String(error);
}
