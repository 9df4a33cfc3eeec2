// Which state a folder's subscription is in, from its row alone. The counts in `tally.ts` say the same in SQL.
import type { Folder, FolderState } from "./types.ts";

/** What the state of a folder depends on. */
type Standing = Pick<
  Folder,
  "generation" | "boundGeneration" | "endedGeneration" | "failedAt" | "silentAt" | "lastHeardAt"
>;

/**
 * The newest generation that is known. A folder whose own row has yet to come from the other node was heard above the
 * generation that its row names: so that row, once it comes, is the newer one.
 */
export function newestGeneration({
  generation,
  boundGeneration,
}: Pick<Folder, "generation" | "boundGeneration">): number {
  return Math.max(generation, boundGeneration);
}

/**
 * The state of a folder's newest generation. `expected`: Exchange was not heard on it yet. `live`: it was. `silent`:
 * nothing was heard for too long. `failed`: Exchange reported an error. `ended`: it was answered `Unsubscribe`, or
 * will be.
 */
export function folderState(folder: Standing): FolderState {
  if (folder.endedGeneration >= newestGeneration(folder)) return "ended";
  if (folder.failedAt !== null) return "failed";
  if (folder.silentAt !== null) return "silent";
  return isHeard(folder) ? "live" : "expected";
}

/** Whether the newest generation was ever heard. */
export function isHeard({ boundGeneration, generation, lastHeardAt }: Standing): boolean {
  return boundGeneration >= generation && lastHeardAt !== null;
}
