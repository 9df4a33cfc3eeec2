// What a PUT makes of one folder: whether it opens a generation, and what stays of what was heard. Pure.
import { folderState, newestGeneration } from "../store/folder-state.ts";
import type { Folder } from "../store/types.ts";
import { UNHEARD } from "../store/unheard.ts";
import type { Wish, WishedFolder, WishedSubscription } from "./wish.ts";

// Neither a kind nor a frequency: whatever is wished for is new.
const NONE = { ...UNHEARD, kind: null, statusFrequencyMinutes: 0 } as const;

// Nothing is known to be wrong with a subscription that has just been asked for.
const UNTROUBLED = { failedAt: null, silentAt: null, asks: 0 } as const;

/**
 * One folder as it is after a wish.
 * @param stored the folder as it was, or null if there was none
 * @param isNew whether the registration is new: its folders' first PUT always opens a generation
 * @param frequency status frequency of a subscription for which the app named none, minutes
 */
export function renewFolder(
  wish: Wish,
  wished: WishedFolder,
  stored: Folder | null,
  isNew: boolean,
  frequency: number,
): Folder {
  const opens = isNew || stored === null || opensGeneration(wished, stored);
  const before = stored ?? NONE;
  const known = newestGeneration(before);
  // The folder id of an older subscription serves until the new one is heard. It then counts as learnt, so
  // that hearing the new one makes an end of it: that may be another mailbox.
  const folderMac = wished.folderMac ?? (wished.kind === before.kind ? before.folderMac : null);
  const folder: Folder = {
    // What belongs to the generation that was heard last stays until the new one is heard, but its loss is over: the
    // app has done what it was asked for.
    ...before,
    ...(opens ? UNTROUBLED : {}),
    name: wished.name,
    kind: wished.kind,
    generation: opens ? Math.max(wish.revision, known + 1) : known,
    folderMac,
    folderLearnt: wished.folderMac === null && folderMac !== null && (before.folderLearnt || opens),
    statusFrequencyMinutes:
      wished.subscription?.statusFrequencyMinutes ?? (opens ? frequency : before.statusFrequencyMinutes),
  };
  return wished.subscription === null ? letGo(folder, wish) : bind(folder, wished.subscription);
}

/** Whether an existing folder needs a new subscription, and with it a new callback URL. */
function opensGeneration(wished: WishedFolder, before: Folder): boolean {
  if (wished.newSubscription || wished.kind !== before.kind) return true;
  // Classic order: after an end, another SubscriptionId is another subscription.
  return (
    wished.subscription !== null &&
    folderState(before) === "ended" &&
    before.subscriptionMac?.equals(wished.subscription.mac) !== true
  );
}

/** Notes a SubscriptionId that the app brought. What was heard before counts only if it was the same one. */
function bind(folder: Folder, subscription: WishedSubscription): Folder {
  if (
    folder.boundGeneration === folder.generation &&
    folder.subscriptionMac?.equals(subscription.mac) === true
  ) {
    return folder;
  }
  return {
    ...folder,
    boundGeneration: folder.generation,
    subscriptionMac: subscription.mac,
    watermarkMac: null,
    lastHeardAt: null,
    serverMac: null,
    ...UNTROUBLED,
    folderMac: folder.folderLearnt ? null : folder.folderMac,
    folderLearnt: false,
  };
}

/** A SubscriptionId is noted on one folder: this one lets go of it when the app brings it for another. */
function letGo(folder: Folder, wish: Wish): Folder {
  const mac = folder.subscriptionMac;
  const taken =
    mac !== null && wish.folders.some(({ subscription }) => subscription?.mac.equals(mac) === true);
  return taken
    ? {
        ...folder,
        subscriptionMac: null,
        watermarkMac: null,
        lastHeardAt: null,
        serverMac: null,
        ...UNTROUBLED,
      }
    : folder;
}
