// One log stream on standard error: text on a terminal, JSON lines otherwise, with journald's priority prefix where
// journald reads them.
// Rooms get a Logger; what may stand in a line is their duty: nothing personal, ids only as keyed hashes.
import { fstatSync } from "node:fs";
import { Writable } from "node:stream";
import { isatty } from "node:tty";
import pino from "pino";
import pretty from "pino-pretty";

type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes structured lines: fields first, then a sentence. */
export interface Logger {
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
  /** A logger whose lines all carry these fields. */
  child(fields: Fields): Logger;
}

/** The logger of the whole process. */
export interface RootLogger extends Logger {
  /** From now on lines below this level are dropped. Its children keep the level that they were made with. */
  setLevel(level: LogLevel): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "text" | "json";

const STDERR = 2;

// syslog(3) priorities, as sd-daemon(3) defines the "<N>" prefix that journald reads from standard error and takes off.
const PRIORITY: Readonly<Record<number, string>> = { 20: "<7>", 30: "<6>", 40: "<4>", 50: "<3>", 60: "<2>" };

/**
 * Whether journald reads what this process writes to standard error: systemd.exec(5) names the stream that it
 * connected by device and inode, since a shell in between may have led it elsewhere.
 */
export function isReadByJournald(env: Readonly<Record<string, string | undefined>>): boolean {
  if (!env.JOURNAL_STREAM) return false;
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true });
    return env.JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/**
 * @param level lines below it are dropped
 * @param format `auto` is text on a terminal and JSON otherwise
 * @param write receives finished lines with their newline; standard error unless a test says otherwise
 * @param forJournald whether JSON lines begin with the priority, which is no JSON and which only journald takes off
 */
export function createLogger(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void = (line) => void process.stderr.write(line),
  forJournald: boolean = isReadByJournald(process.env),
): RootLogger {
  const asText = format === "text" || (format === "auto" && isatty(STDERR));
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  if (asText) {
    // An in-process stream: pino's worker-thread transports end a Bun-compiled process.
    const stream = pretty({
      colorize: isatty(STDERR),
      ignore: "pid,hostname",
      translateTime: "SYS:HH:MM:ss.l",
      singleLine: true,
      destination: new Writable({
        decodeStrings: false,
        write(chunk, _encoding, done) {
          write(String(chunk));
          done();
        },
      }),
    });
    return adjustable(pino(options, stream));
  }
  const destination = {
    // pino sets this before each write when the destination asks for metadata.
    lastLevel: 30,
    [Symbol.for("pino.metadata")]: true,
    write(line: string) {
      write(forJournald ? `${PRIORITY[destination.lastLevel] ?? ""}${line}` : line);
    },
  };
  return adjustable(pino(options, destination));
}

function adjustable(logger: pino.Logger): RootLogger {
  return Object.assign(logger, {
    setLevel(level: LogLevel) {
      logger.level = level;
    },
  });
}

/** A logger that drops everything, for tools and tests. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
