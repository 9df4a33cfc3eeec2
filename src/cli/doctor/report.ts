// What `doctor` prints: a line for each look, with what to do beneath those that need it. Pure.
import { BUILD } from "../../build-info.ts";
import type { Examination } from "./examination.ts";
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
  /** Whether every hop was looked at; with a configuration that cannot be read most cannot. */
  readonly complete: boolean;
  readonly results: readonly Result[];
}

/** @param now epoch milliseconds */
export function makeReport(
  configuration: string,
  { results, config }: Pick<Examination, "results" | "config">,
  now: number,
): Report {
  const count = (level: Result["level"]) => results.filter((each) => each.level === level).length;
  const failures = count("failure");
  return {
    ok: failures === 0,
    failures,
    warnings: count("warning"),
    ...BUILD,
    at: new Date(now).toISOString(),
    configuration,
    complete: config !== null,
    results,
  };
}

const MARKS = { ok: "ok  ", warning: "warn", failure: "FAIL" } as const;

/**
 * The report as text.
 * @param columns how wide lines may be; null where nobody reads them on a terminal: each look is one line then
 */
export function reportText(report: Report, columns: number | null = null): string {
  const width = Math.max(0, ...report.results.map(({ hop }) => hop.length));
  const indent = " ".repeat(MARKS.ok.length + width + 4);
  const fit = (text: string, lead: string, hang: string) =>
    columns === null ? `${lead}${text}` : wrap(text, lead, hang, Math.max(columns, NARROWEST));
  const lines = report.results.flatMap(({ level, hop, code, subject, seen, remedy }) => [
    fit(
      `${subject === "" ? "" : `${subject}: `}${seen}${level === "ok" ? "" : ` [${code}]`}`,
      `${MARKS[level]}  ${hop.padEnd(width)}  `,
      indent,
    ),
    ...(remedy === null ? [] : [fit(remedy, `${indent}-> `, `${indent}   `)]),
  ]);
  const end = [summary(report), ...(report.complete ? [] : [REST])].map((text) => fit(text, "", ""));
  return [...lines, "", ...end].join("\n");
}

const REST = "All other hops are looked at once the configuration can be read.";
// Below this the column of texts would have no room beside that of the hops.
const NARROWEST = 60;

/** Breaks a text between words; a word that is too long for a line stands alone, so that it can be copied whole. */
function wrap(text: string, lead: string, hang: string, columns: number): string {
  const lines: string[] = [];
  let line = lead;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = hang;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line].join("\n");
}

function summary({ results }: Report): string {
  const count = (level: Result["level"], one: string) => {
    const codes = results.filter((each) => each.level === level).map(({ code }) => code);
    const names = codes.length === 0 ? "" : ` (${[...new Set(codes)].join(", ")})`;
    return `${numbered(codes.length, one)}${names}`;
  };
  return `${numbered(results.length, "look")}: ${count("failure", "failure")}, ${count("warning", "warning")}.`;
}

function numbered(count: number, one: string): string {
  return `${count} ${count === 1 ? one : `${one}s`}`;
}
