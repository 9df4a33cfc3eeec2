// Reads what the peer's roles say. The peer may run a neighbouring version: words that this one does not know are taken
// for what is safe, and fields it does not know are passed over; what lacks something is no beat.
import type { Hello } from "./frames.ts";
import type {
  ActiveReason,
  Beat,
  HandoverReason,
  PassiveReason,
  Peer,
  RoleReason,
  Seeding,
} from "./types.ts";

const HANDOVER: Readonly<Record<HandoverReason, true>> = {
  switched: true,
  cannot_commit: true,
  reseeding: true,
};
const REASONS: Readonly<Record<ActiveReason | PassiveReason, true>> = {
  ...HANDOVER,
  single: true,
  forgotten: true,
  peer_gone: true,
  peer_silent: true,
  peer_absent: true,
  elected: true,
  started: true,
  peer_outranks: true,
  unseeded: true,
};
const SEEDING: Readonly<Record<Seeding, true>> = { unseeded: true, reseeding: true, seeded: true };

// More than a pair can ever count up to, and room above it: what a node makes of it must still be read back.
const MOST_EPOCH = 2 ** 48;
// Three hundred years: what is reckoned from it must stay a date. Milliseconds.
const LONGEST_MS = 1e13;

/** A count or a duration: not negative, and exact. */
function isAmount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isOneOf<Word extends string>(words: Readonly<Record<Word, true>>, value: unknown): value is Word {
  return typeof value === "string" && Object.hasOwn(words, value);
}

function handoverReason(value: unknown): HandoverReason | null {
  if (value === null || value === undefined) return null;
  // That it hands over matters more than why.
  return isOneOf(HANDOVER, value) ? value : "switched";
}

function roleReason(value: unknown): RoleReason {
  return isOneOf(REASONS, value) ? value : "unknown";
}

/**
 * What the peer said, from its hello's or a beat frame's state.
 * @returns null if it is no beat
 */
export function readBeat(value: unknown): Beat | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const fields = value as Readonly<Record<string, unknown>>;
  const { epoch, role, forMs, seeding, ready, wants = false, mark, heardMark } = fields;
  if (!isAmount(epoch) || epoch > MOST_EPOCH || !isAmount(mark) || !isAmount(heardMark)) return null;
  if (typeof forMs !== "number" || !(forMs >= 0)) return null;
  if (role !== "active" && role !== "passive") return null;
  if (!isOneOf(SEEDING, seeding) || typeof ready !== "boolean" || typeof wants !== "boolean") return null;
  const why = roleReason(fields.why);
  const yielding = role === "active" ? handoverReason(fields.yielding) : null;
  return {
    epoch,
    role,
    why,
    forMs: Math.min(forMs, LONGEST_MS),
    seeding,
    ready,
    yielding,
    wants,
    mark,
    heardMark,
  };
}

/** The peer as its hello shows it; null if what it says of its role is not understood. */
export function readPeer({ node, position, state }: Hello): Peer | null {
  const beat = readBeat(state);
  return beat === null ? null : { name: node, feed: position.feed, beat };
}

/**
 * Whether the peer says, beside its beat, that every row it has answered for is here.
 * @returns true of a version that does not say: then what was exchanged since the link came up has to do
 */
export function readCovers(state: unknown): boolean {
  if (typeof state !== "object" || state === null) return true;
  return (state as { readonly covers?: unknown }).covers !== false;
}
