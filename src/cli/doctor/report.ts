// What `doctor` prints: a line for each look, with what to do beneath those that need it. Pure.
import { BUILD } from "../../build-info.ts";
import type { Result } from "./findings.ts";

export interface Report {
  /** Whether there is no failure. */
  readonly ok: boolean;
  readonly failures: number;
  readonly warnings: number;
  readonly version: string;
  readonly commit: string;
  /** ISO 8601. */
  readonly at: string;
  readonly configuration: string;
  readonly results: readonly Result[];
}

/** @param now epoch milliseconds */
export function makeReport(configuration: string, results: readonly Result[], now: number): Report {
  const count = (level: Result["level"]) => results.filter((each) => each.level === level).length;
  const failures = count("failure");
  return {
    ok: failures === 0,
    failures,
    warnings: count("warning"),
    ...BUILD,
    at: new Date(now).toISOString(),
    configuration,
    results,
  };
}

const MARKS = { ok: "ok  ", warning: "warn", failure: "FAIL" } as const;

/** The report as text for a terminal. */
export function reportText(report: Report): string {
  const width = Math.max(0, ...report.results.map(({ hop }) => hop.length));
  const indent = " ".repeat(MARKS.ok.length + 2);
  const lines = report.results.flatMap(({ level, hop, code, subject, seen, remedy }) => [
    `${MARKS[level]}  ${hop.padEnd(width)}  ${subject === "" ? "" : `${subject}: `}${seen}${level === "ok" ? "" : ` [${code}]`}`,
    ...(remedy === null ? [] : [`${indent}${" ".repeat(width)}  -> ${remedy}`]),
  ]);
  return [...lines, "", summary(report)].join("\n");
}

function summary({ failures, warnings, results }: Report): string {
  const word = (count: number, one: string) => `${count} ${count === 1 ? one : `${one}s`}`;
  return `${word(results.length, "look")}: ${word(failures, "failure")}, ${word(warnings, "warning")}.`;
}
