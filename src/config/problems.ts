// What is wrong with a configuration, and where: one shape for syntax, schema, rules and secret files.
import { BellError, type ErrorCode } from "../errors.ts";

/** A place in the configuration file, both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The place of what concerns the whole file. */
export const FILE_START: Position = { line: 1, column: 1 };

/** One error or warning, ready to be shown. Never holds a value that could be a secret. */
export interface ConfigProblem extends Position {
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

/** Makes a finding; without `hint` when there is none. */
export function finding(
  code: ErrorCode,
  at: Position,
  keyPath: string,
  message: string,
  hint?: string | null,
): Finding {
  const base = { code, line: at.line, column: at.column, keyPath, message };
  return hint ? { ...base, hint } : base;
}

/** One line: `file:line:column: key.path: message; hint`. */
export function formatProblem(problem: ConfigProblem): string {
  const key = problem.keyPath === "" ? "" : `${problem.keyPath}: `;
  const hint = problem.hint === undefined ? "" : `; ${problem.hint}`;
  return `${problem.file}:${problem.line}:${problem.column}: ${key}${problem.message}${hint}`;
}

/** Order of the file, so that an administrator works from top to bottom. */
export function byPosition(a: Position, b: Position): number {
  return a.line - b.line || a.column - b.column;
}

/** `config_invalid` with every problem, not the first only. */
export class ConfigError extends BellError {
  readonly problems: readonly ConfigProblem[];

  /** @param file as the administrator named it */
  constructor(file: string, problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super("config_invalid", [`${file} has ${count}:`, ...problems.map(formatProblem)].join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}
