// What a response message says about one folder: is it a heartbeat, which unread count is the folder's own, why the
// phone should ring. Pure. Ids become keyed hashes here, before any transaction, and travel no further.
import type { Keyring } from "../keys/types.ts";
import type { BadgeNews, Folder, Reason } from "../store/types.ts";
import type { EventsMessage, ResponseMessage } from "./notification.ts";
import { serverName } from "./server-name.ts";

/** The last unread count that a message gives for one folder. */
export interface FolderCount {
  readonly folderMac: Buffer;
  readonly count: number;
  /** Epoch milliseconds, null if the event had no usable time. */
  readonly eventAt: number | null;
}

/** A message with events, reduced to what decisions need, with keyed hashes in place of ids. */
export interface HeardEvents {
  readonly kind: "events";
  readonly subscriptionMac: Buffer;
  /** Of the Exchange server's name in the SubscriptionId, null if it names none. */
  readonly serverMac: Buffer | null;
  readonly previousWatermarkMac: Buffer | null;
  /** Of the last event that has one. With the subscription it names this delivery. */
  readonly lastWatermarkMac: Buffer | null;
  /** Nothing but StatusEvents: the subscription lives and has nothing to say. */
  readonly heartbeat: boolean;
  readonly newMail: boolean;
  /** The folder that new items of this message lie in, null if it reports none. */
  readonly newItemFolderMac: Buffer | null;
  /** One for each folder with an unread count: its last in document order. */
  readonly counts: readonly FolderCount[];
}

/** A message in which Exchange says that it lost the subscription. */
export interface HeardError {
  readonly kind: "error";
  readonly responseCode: string;
  readonly subscriptionMac: Buffer | null;
  readonly serverMac: Buffer | null;
}

export type Heard = HeardEvents | HeardError;

/** Reduces the messages of a POST, in order. */
export function hear(messages: readonly ResponseMessage[], keyring: Pick<Keyring, "mac">): readonly Heard[] {
  // A POST names the same folder again and again: each id is hashed once.
  const folders = new Map<string, Buffer>();
  const folderMac = (id: string): Buffer => {
    const known = folders.get(id);
    if (known !== undefined) return known;
    const mac = keyring.mac("folder", id);
    folders.set(id, mac);
    return mac;
  };
  return messages.map((message) => {
    if (message.kind === "events") return hearEvents(message, keyring, folderMac);
    const { subscriptionId, responseCode } = message;
    const subscriptionMac = subscriptionId === null ? null : keyring.mac("subscription", subscriptionId);
    const serverMac = subscriptionId === null ? null : serverMacOf(subscriptionId, keyring);
    return { kind: "error", responseCode, subscriptionMac, serverMac };
  });
}

function serverMacOf(subscriptionId: string, keyring: Pick<Keyring, "mac">): Buffer | null {
  const name = serverName(subscriptionId);
  return name === null ? null : keyring.mac("server", name);
}

function hearEvents(
  message: EventsMessage,
  keyring: Pick<Keyring, "mac">,
  folderMac: (id: string) => Buffer,
): HeardEvents {
  let lastWatermark: string | null = null;
  let heartbeat = true;
  let newMailFolder: string | null = null;
  let createdFolder: string | null = null;
  let newMail = false;
  const counts = new Map<string, { count: number; eventAt: number | null }>();
  for (const event of message.events) {
    lastWatermark = event.watermark ?? lastWatermark;
    heartbeat &&= event.kind === "status";
    if (event.kind === "newMail") {
      newMail = true;
      newMailFolder ??= event.parentFolderId;
    } else if (event.kind === "created" && event.about === "item") {
      createdFolder ??= event.parentFolderId;
    } else if (event.kind === "modified" && event.folderId !== null && event.unreadCount !== null) {
      counts.set(event.folderId, { count: event.unreadCount, eventAt: event.timeStamp });
    }
  }
  const newItemFolder = newMailFolder ?? createdFolder;
  const { previousWatermark } = message;
  return {
    kind: "events",
    subscriptionMac: keyring.mac("subscription", message.subscriptionId),
    serverMac: serverMacOf(message.subscriptionId, keyring),
    previousWatermarkMac: previousWatermark === null ? null : keyring.mac("watermark", previousWatermark),
    lastWatermarkMac: lastWatermark === null ? null : keyring.mac("watermark", lastWatermark),
    heartbeat,
    newMail,
    newItemFolderMac: newItemFolder === null ? null : folderMac(newItemFolder),
    counts: [...counts].map(([id, count]) => ({ folderMac: folderMac(id), ...count })),
  };
}

/**
 * The inbox's id as this POST shows it, for a folder whose id the app did not give. A subscription on the inbox
 * reports new items of the inbox itself, but of its sub-folders only the folders' own changes; so the parent of a
 * new item is the inbox. A MovedEvent teaches nothing (its parent is where the item went), nor does a folder's
 * event (it may be a sub-folder's). What one POST teaches holds for all of that POST.
 */
export function learnInbox(heard: readonly Heard[]): Buffer | null {
  for (const message of heard) {
    if (message.kind === "events" && message.newItemFolderMac !== null) return message.newItemFolderMac;
  }
  return null;
}

/** What a message gives the phone. */
export interface News {
  readonly badge: BadgeNews | null;
  /** Null for a heartbeat. */
  readonly reason: Reason | null;
}

/**
 * What a message means for a folder.
 *
 * Badge: the inbox's own unread count, the last in document order. Counts of other folders are ignored: they are
 * sub-folders. While the inbox's id is not known, no count is taken, since a sub-folder's would look the same; the
 * phone is woken without one, and the first new mail teaches the id.
 *
 * Reason: a new mail rings as `mail` even if it does not lie in the known folder (then without a count): an inbox
 * subscription does not report it elsewhere, so it is our idea of the inbox that is in doubt (an id given in
 * another format, a mailbox that moved), and that must not silence a mail. Anything else rings as `changed`: also
 * mail that a rule put into a sub-folder, which Exchange reports as that folder's change.
 * @param nowMs epoch milliseconds, stands in for a missing time of the event
 */
export function newsFor(
  message: HeardEvents,
  folder: Pick<Folder, "kind" | "folderMac">,
  nowMs: number,
): News {
  if (message.heartbeat) return { badge: null, reason: null };
  if (folder.kind !== "inbox") return { badge: null, reason: wakeReason(folder.kind) };
  return { badge: ownCount(message, folder.folderMac, nowMs), reason: message.newMail ? "mail" : "changed" };
}

/** The reason of a wake-up of which nothing more is known than the folder. */
export function wakeReason(kind: Folder["kind"]): Reason {
  switch (kind) {
    case "inbox":
      return "changed";
    case "calendar":
      return "calendar";
    case "other":
      return "folder";
  }
}

function ownCount(message: HeardEvents, folderMac: Buffer | null, nowMs: number): BadgeNews | null {
  if (folderMac === null) return null;
  const own = message.counts.find((candidate) => candidate.folderMac.equals(folderMac));
  return own === undefined ? null : { count: own.count, eventAt: own.eventAt ?? nowMs };
}
