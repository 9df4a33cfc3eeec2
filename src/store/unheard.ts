// A folder of which nothing was heard yet: what a new one starts as.
import type { Folder } from "./types.ts";

export const UNHEARD: Omit<Folder, "name" | "kind" | "statusFrequencyMinutes"> = {
  generation: 0,
  boundGeneration: 0,
  subscriptionMac: null,
  watermarkMac: null,
  lastHeardAt: null,
  serverMac: null,
  failedAt: null,
  silentAt: null,
  asks: 0,
  askedAt: null,
  endedGeneration: 0,
  folderMac: null,
  folderLearnt: false,
  unplaced: [],
};
