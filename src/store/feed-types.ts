// Feeds: each node's rows in the order in which they were written, as another node reads them.
import type { RawRow, Table } from "./merge.ts";

/** A row as it travels to another node: its table, its columns, and its position in the sender's feed. */
export interface ReplicaRow {
  readonly table: Table;
  readonly row: RawRow;
  readonly seq: number;
}

/** Where a node's feed stands. A restored or rolled-back database goes on under another feed. */
export interface Position {
  readonly feed: string;
  readonly seq: number;
  /** The random name of the feed's newest commit at that time: a rolled-back database no longer knows it. */
  readonly commit: string;
}

/** Positions in a feed, both included. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

/** Positions of rows that stand exactly as they came from another node's feed: it need not be sent them. */
export interface EchoRange extends SeqRange {
  readonly feed: string;
}

/** Rows of this node's feed, for another node. */
export interface Page {
  readonly rows: readonly ReplicaRow[];
  /** Who has these has everything up to here. */
  readonly upTo: Position;
  /** The feed's last position. */
  readonly head: number;
}

/** Commits of this node's feed that the other node may name when it comes back. */
export interface KeptCommits {
  /** The other node has everything up to here. */
  readonly acknowledgedSeq: number;
  readonly names: readonly string[];
}

/**
 * Where a commit stands that another node names. `left_behind`: forgotten here, since that node once had more, so it is
 * that node which was restored. `unknown`: it has what this database does not have any more.
 */
export type CommitPlace = "known" | "left_behind" | "unknown";

/** What this database remembers of the other node's feeds. */
export interface PeerKnowledge {
  /** Everything up to there was merged; null if its feed is to be read from the beginning. */
  readonly cursor: Position | null;
  /** Feeds that rows came from, this node's former ones among them. */
  readonly feeds: readonly string[];
}
