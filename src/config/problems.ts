// What is wrong with a configuration, and where: one shape for syntax, schema, rules and secret files.
import { BellError, type ErrorCode } from "../errors.ts";

/** A place in the configuration file, both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The place of what concerns the whole file. */
export const FILE_START: Position = { line: 1, column: 1 };

/**
 * One error or warning, ready to be shown. Never holds a value that could be a secret. Without a place where it
 * concerns a default that is not in the file, or a file that cannot be read.
 */
export interface ConfigProblem extends Partial<Position> {
  readonly code: ErrorCode;
  /** The configuration file, as the administrator named it. */
  readonly file: string;
  /** For example `apps[0].apns.key`; empty when the whole file is concerned. */
  readonly keyPath: string;
  readonly message: string;
  readonly hint?: string;
}

/** A problem before the file's name is put to it. */
export type Finding = Omit<ConfigProblem, "file">;

/** Makes a finding; without a place or a `hint` when there is none. */
export function finding(
  code: ErrorCode,
  at: Position | null,
  keyPath: string,
  message: string,
  hint?: string | null,
): Finding {
  const base = { code, ...(at === null ? {} : { line: at.line, column: at.column }), keyPath, message };
  return hint ? { ...base, hint } : base;
}

/** One line: `file:line:column: key.path: message; hint`. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, keyPath } = problem;
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  const key = keyPath === "" ? "" : line === undefined ? `${keyPath} (default): ` : `${keyPath}: `;
  return `${place}: ${key}${sentence(problem)}`;
}

/** What is wrong and what to do, without the place. */
export function sentence({ message, hint }: Pick<ConfigProblem, "message" | "hint">): string {
  return hint === undefined ? message : `${message}; ${hint}`;
}

/** Order of the file, so that an administrator works from top to bottom; what has no place comes last. */
export function byPosition(a: Partial<Position>, b: Partial<Position>): number {
  const { line: lineA = Number.MAX_SAFE_INTEGER, column: columnA = 0 } = a;
  const { line: lineB = Number.MAX_SAFE_INTEGER, column: columnB = 0 } = b;
  return lineA - lineB || columnA - columnB;
}

/** `1 problem`, `7 problems, 4 warnings`: what there is of both, or nothing. */
export function countText(problems: number, warnings: number): string {
  const counted = (count: number, word: string) => (count === 1 ? `1 ${word}` : `${count} ${word}s`);
  return [
    ...(problems === 0 ? [] : [counted(problems, "problem")]),
    ...(warnings === 0 ? [] : [counted(warnings, "warning")]),
  ].join(", ");
}

/** `config_invalid` with every problem, not the first only. */
export class ConfigError extends BellError {
  readonly problems: readonly ConfigProblem[];

  /** @param file as the administrator named it */
  constructor(file: string, problems: readonly ConfigProblem[]) {
    super(
      "config_invalid",
      [`${file} has ${countText(problems.length, 0)}:`, ...problems.map(formatProblem)].join("\n"),
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}
