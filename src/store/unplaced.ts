// Unread counts that were heard before it was known which folder is the inbox: while a registration's row is still on its way
// from the other node. They wait in the folder's row, and the inbox's own becomes the badge once the row says which it is.
import type { RawRow } from "./merge.ts";
import type { BadgeNews, Folder, UnplacedCount } from "./types.ts";

// A message names the folders that changed in one moment: the inbox and a few sub-folders.
const MOST_FOLDERS = 8;

/** Whether only the callback URL of a folder's newest generation is known here: its own row has yet to arrive. */
export function isGuess({
  boundGeneration,
  generation,
}: Pick<Folder, "boundGeneration" | "generation">): boolean {
  return boundGeneration > generation;
}

/** What waits, with what was heard since; of each folder the latest event's count. */
export function withCounts(
  kept: readonly UnplacedCount[],
  heard: readonly UnplacedCount[],
): readonly UnplacedCount[] {
  const byFolder = new Map<string, UnplacedCount>();
  for (const each of [...kept, ...heard]) {
    const key = each.folderMac.toString("hex");
    const known = byFolder.get(key);
    if (known === undefined || each.eventAt >= known.eventAt) byFolder.set(key, each);
  }
  // In one order on both nodes, so that equal rows are equal texts; the latest stay.
  return [...byFolder]
    .sort(([one, { eventAt }], [other, { eventAt: otherAt }]) => eventAt - otherAt || (one < other ? -1 : 1))
    .slice(-MOST_FOLDERS)
    .map(([, each]) => each);
}

/** The inbox's own count among those that wait, or null: there is none, or it is not known which folder is the inbox. */
export function placedCount(folder: Pick<Folder, "kind" | "folderMac" | "unplaced">): BadgeNews | null {
  const { kind, folderMac, unplaced } = folder;
  if (kind !== "inbox" || folderMac === null) return null;
  const own = unplaced.find((each) => each.folderMac.equals(folderMac));
  return own === undefined ? null : { count: own.count, eventAt: own.eventAt };
}

/**
 * What waits in two nodes' rows of a folder, once they are merged: it goes on to wait while that is a guess still.
 * @returns the merged row, and the badge that comes of it
 */
export function mergeCounts(
  mine: RawRow,
  theirs: RawRow,
  merged: RawRow,
): { readonly merged: RawRow; readonly waited: BadgeNews | null } {
  const counts = withCounts(readUnplaced(mine.unplaced), readUnplaced(theirs.unplaced));
  if (counts.length === 0) return { merged, waited: null };
  const { kind, generation, bound_generation, folder_mac, removed_revision } = merged;
  const waits =
    folder_mac === null &&
    isGuess({ boundGeneration: Number(bound_generation), generation: Number(generation) });
  if (waits) return { merged: { ...merged, unplaced: unplacedText(counts) }, waited: null };
  const folder = {
    kind: kind === "inbox" ? kind : "other",
    folderMac: Buffer.isBuffer(folder_mac) ? folder_mac : null,
    unplaced: counts,
  } as const;
  const isRemoved = (removed_revision ?? null) !== null;
  return { merged: { ...merged, unplaced: null }, waited: isRemoved ? null : placedCount(folder) };
}

/** As it stands in the table: JSON, a list for each folder; null where nothing waits. */
export function unplacedText(unplaced: readonly UnplacedCount[]): string | null {
  if (unplaced.length === 0) return null;
  return JSON.stringify(
    unplaced.map(({ folderMac, count, eventAt }) => [folderMac.toString("hex"), count, eventAt]),
  );
}

/** Reads it back. What cannot be read is none: the phone was woken for it. */
export function readUnplaced(text: unknown): readonly UnplacedCount[] {
  if (typeof text !== "string") return [];
  try {
    const lists: unknown = JSON.parse(text);
    return Array.isArray(lists) ? lists.flatMap(readCount) : [];
  } catch {
    return [];
  }
}

function readCount(list: unknown): readonly UnplacedCount[] {
  if (!Array.isArray(list)) return [];
  const [mac, count, eventAt] = list as unknown[];
  if (typeof mac !== "string" || !Number.isSafeInteger(count) || !Number.isSafeInteger(eventAt)) return [];
  return [{ folderMac: Buffer.from(mac, "hex"), count: count as number, eventAt: eventAt as number }];
}
