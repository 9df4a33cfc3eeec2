// Which of two connections to the peer is kept, decided alike on both nodes. Pure.

/** What is known of a connection to the peer. */
export interface Candidate {
  /** The name of the node that dialled it. */
  readonly dialledBy: string;
  /** The start of the peer's process that it leads to. */
  readonly session: string;
  /** When the peer said hello on it, monotonic milliseconds. */
  readonly openedAt: number;
}

/** Both nodes dial at once after a break; within this time two connections are the same attempt. Milliseconds. */
export const RACE_MS = 2_000;

/** Whether the newcomer takes the place of the connection that there is. */
export function isReplaced(present: Candidate, newcomer: Candidate): boolean {
  // Another process: the old one is gone, and with it the other end of the present connection.
  if (newcomer.session !== present.session) return true;
  // A node dials only while it has no connection: for the one that dialled, the present one is dead.
  if (newcomer.dialledBy === present.dialledBy) return true;
  if (newcomer.openedAt - present.openedAt > RACE_MS) return true;
  return newcomer.dialledBy < present.dialledBy;
}
