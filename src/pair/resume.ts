// Where a node begins to send its rows when a connection begins: pure rules over what both said in their hello.
import type { CommitPlace, Position } from "../store/feed-types.ts";
import type { Greeting } from "./connection.ts";

export type Resume =
  /** The peer has everything up to here. */
  | { readonly kind: "from"; readonly seq: number }
  /** This node's database was restored or rolled back: it goes on under a new feed, and both exchange everything. */
  | { readonly kind: "new_feed"; readonly why: string }
  /** Both databases are copies of one: the peer begins a new feed and connects again. */
  | { readonly kind: "wait" };

export interface ResumeFacts {
  readonly node: string;
  readonly peerName: string;
  /** Where this node's feed stands. */
  readonly position: Position;
  /** Whether this node's database has the commit that a cursor in its feed names. */
  readonly placeOf: (cursor: Position) => CommitPlace;
  /** What the peer said. */
  readonly theirs: Greeting;
}

export function resume({ node, peerName, position, placeOf, theirs }: ResumeFacts): Resume {
  if (theirs.position.feed === position.feed) {
    return node > peerName
      ? { kind: "new_feed", why: "the other node's database is a copy of this one, or this one of that" }
      : { kind: "wait" };
  }
  const { cursor, feeds } = theirs;
  if (cursor?.feed === position.feed) {
    const place = cursor.seq <= position.seq ? placeOf(cursor) : "unknown";
    // Left behind: the peer was restored. It has had everything up to there, and will notice by itself.
    return place === "unknown"
      ? { kind: "new_feed", why: "the other node has rows of a commit that this database does not know" }
      : { kind: "from", seq: cursor.seq };
  }
  // A fresh database's feed is nobody's yet; one that the peer has left behind can only have come back from a backup.
  return cursor !== null && feeds.includes(position.feed)
    ? { kind: "new_feed", why: "the other node knows a later feed of this node" }
    : { kind: "from", seq: 0 };
}
