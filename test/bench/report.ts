// The result as text for a terminal, as JSON, and as a section of docs/benchmarks.md.
import { readFileSync, writeFileSync } from "node:fs";
import type { Conditions } from "./machine.ts";
import type { PartResult } from "./result.ts";

export interface Report {
  readonly quick: boolean;
  readonly seconds: number;
  readonly conditions: Conditions;
  readonly parts: readonly PartResult[];
  /** What was asked for and could not be measured, with the reason. */
  readonly leftOut: readonly { readonly part: string; readonly why: string }[];
}

function conditionLines({ conditions }: Report): string[] {
  const { versions } = conditions;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${conditions.cpu}, ${conditions.cores} cores, ${Math.round(conditions.memoryBytes / 1e9)} GB; ${conditions.system}, Linux ${conditions.kernel}`,
    named.join(", "),
    `Database on ${conditions.fileSystem}: appending a page and syncing it takes ${conditions.fsyncMs.toFixed(2)} ms (median). Load average before the run: ${conditions.loadBefore.toFixed(2)}.`,
  ];
}

/** The report for a terminal. */
export function reportText(report: Report): string {
  const lines = ["", ...conditionLines(report)];
  if (report.quick)
    lines.push("A quick run: it shows that everything works. Its figures are no measurement.");
  for (const part of report.parts) {
    lines.push("", part.title);
    const [figures, values] = [part.rows.map((row) => row.figure), part.rows.map((row) => row.value)].map(
      (texts) => Math.max(...texts.map((text) => text.length)),
    );
    for (const { figure, value, detail } of part.rows) {
      lines.push(`  ${figure.padEnd(figures ?? 0)}  ${value.padEnd(values ?? 0)}  ${detail ?? ""}`.trimEnd());
    }
    // What is no measurement is no verdict either.
    if (report.quick) continue;
    for (const aim of part.aims)
      lines.push(`  ${aim.reached ? "reached" : "MISSED "}  ${aim.what}: ${aim.value}`);
  }
  for (const { part, why } of report.leftOut) lines.push("", `LEFT OUT ${part}: ${why}`);
  lines.push("", `${Math.round(report.seconds)} s.`);
  return lines.join("\n");
}

/** The report as Markdown. */
export function reportMarkdown(report: Report): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const lines = [
    `Measured on ${report.conditions.at.slice(0, 10)} in ${Math.round(report.seconds / 60)} minutes:`,
    "",
    ...conditionLines(report).map((line) => `- ${line}`),
  ];
  for (const part of report.parts) {
    lines.push("", `### ${part.title}`, "", ...part.method, "", "| | | |", "|---|---|---|");
    for (const { figure, value, detail } of part.rows) {
      lines.push(`| ${cell(figure)} | ${cell(value)} | ${cell(detail ?? "")} |`);
    }
    lines.push("", "| aim | | |", "|---|---|---|");
    for (const { what, value, reached } of part.aims) {
      lines.push(`| ${cell(what)} | ${cell(value)} | ${reached ? "reached" : "**missed**"} |`);
    }
  }
  for (const { part, why } of report.leftOut) lines.push("", `Left out: ${part}. ${why}`);
  return `${lines.join("\n")}\n`;
}

const BEGIN = "<!-- figures: written by `npm run bench -- --write` -->";
const END = "<!-- end of figures -->";

/** Replaces what stands between the two marks of the document. Throws if they are not there. */
export function writeFigures(file: string, report: Report): void {
  const text = readFileSync(file, "utf8");
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${file} lacks the marks that the figures stand between.`);
  writeFileSync(
    file,
    `${text.slice(0, begin + BEGIN.length)}\n\n${reportMarkdown(report)}\n${text.slice(end)}`,
  );
}
