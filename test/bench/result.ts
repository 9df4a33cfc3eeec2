// What a part is given and what it hands back: rows for the table, aims, and plain numbers for machines.
import type { Scale } from "./options.ts";

export interface Row {
  readonly figure: string;
  readonly value: string;
  readonly detail?: string;
}

/** Something that the product wants to reach. */
export interface Aim {
  readonly what: string;
  readonly reached: boolean;
  readonly value: string;
}

export interface PartResult {
  readonly name: string;
  readonly title: string;
  /** How it was measured, for the reader of the table. */
  readonly method: readonly string[];
  readonly rows: readonly Row[];
  readonly aims: readonly Aim[];
  /** The same and more, unrounded. */
  readonly figures: Readonly<Record<string, unknown>>;
}

/** What every part is given. */
export interface PartContext {
  readonly scale: Scale;
  readonly binary: string;
  /** Results of the parts that were measured before in this run. */
  readonly done: readonly PartResult[];
  /** Says what goes on, for somebody who waits. */
  readonly tell: (line: string) => void;
}
