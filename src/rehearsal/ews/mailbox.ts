// A mailbox: folders, items, and what its user or the server does to them. Each action tells which events it made
// and which folders' subscriptions see them; sending them is the subscriptions' business.
import { changeKey, folderId, guidText, itemId, makeGuid, type Random, watermark } from "./ids.ts";
import type { ChangeEvent, EventKind, ObjectRef } from "./notification.ts";

/** An event and the folders (by key) whose subscriptions report it. */
export interface RoutedEvent {
  readonly event: ChangeEvent;
  readonly seenBy: readonly string[];
}

export interface Item {
  readonly id: string;
  readonly read: boolean;
}

/** The folders every mailbox has. Sub-folders get keys like `inbox/projects`. */
const WELL_KNOWN = ["root", "inbox", "calendar", "deleteditems"] as const;

export interface Mailbox {
  readonly name: string;
  readonly guid: Buffer;
  /** GUID as text: what no log may show. */
  readonly guidText: string;
  /** The Exchange id of a folder; throws for an unknown key. */
  folderId(folder: string): string;
  hasFolder(folder: string): boolean;
  unread(folder: string): number;
  items(folder: string): readonly Item[];
  /** Mail arrives: Created, NewMail, and Modified of the folder with its count. Returns the item's id. */
  deliver(folder?: string): string;
  /** Marks an item as read or unread; an item that already is so makes no events. */
  markRead(item: string, read?: boolean): void;
  /** Deletes an item for good. */
  remove(item: string): void;
  /** Moves an item; it gets a new id, which is returned. */
  move(item: string, to: string): string;
  /** Copies an item; returns the copy's id. */
  copy(item: string, to: string): string;
  /** Makes a sub-folder and returns its key. */
  createFolder(parent: string, name: string): string;
  /** Changes a folder in a way that leaves its count alone: Modified without UnreadCount. */
  touchFolder(folder: string): void;
  /** A meeting is created or changed. */
  changeCalendar(): void;
  changeFreeBusy(): void;
  /** The newest watermark. */
  watermark(): string;
  /** Uses up and returns the next watermark. */
  nextWatermark(): string;
}

interface StoredItem {
  readonly id: string;
  folder: string;
  read: boolean;
  key: number;
}

interface StoredFolder {
  readonly id: string;
  readonly parent: string | null;
  key: number;
}

/**
 * @param now epoch milliseconds, for the events' TimeStamp
 * @param publish is handed all events of one action together
 */
export function createMailbox(
  name: string,
  random: Random,
  now: () => number,
  publish: (events: readonly RoutedEvent[]) => void,
): Mailbox {
  const guid = makeGuid(random);
  const databaseGuid = makeGuid(random);
  const items = new Map<string, StoredItem>();
  const folders = new Map<string, StoredFolder>();
  let itemCount = 0;
  let eventCount = 100;

  const addFolder = (key: string, parent: string | null) =>
    folders.set(key, { id: folderId(guid, folders.size + 1), parent, key: 1 });
  for (const key of WELL_KNOWN) addFolder(key, key === "root" ? null : "root");

  const nextWatermark = () => watermark(databaseGuid, ++eventCount);

  function folderOf(key: string): StoredFolder {
    const folder = folders.get(key);
    if (folder === undefined) throw new Error(`mailbox ${name} has no folder ${key}`);
    return folder;
  }
  function itemOf(id: string): StoredItem {
    const item = items.get(id);
    if (item === undefined) throw new Error(`mailbox ${name} has no such item`);
    return item;
  }
  function folderRef(key: string | null): ObjectRef {
    // The root's own parent is never shown to anyone; its id stands in.
    const folder = folderOf(key ?? "root");
    return { type: "folder", id: folder.id, changeKey: changeKey(folder.key) };
  }
  const itemRef = (item: StoredItem): ObjectRef => ({
    type: "item",
    id: item.id,
    changeKey: changeKey(item.key),
  });
  function addItem(folder: string, read: boolean): StoredItem {
    folderOf(folder);
    const item: StoredItem = { id: itemId(guid, ++itemCount), folder, read, key: 9 };
    items.set(item.id, item);
    return item;
  }
  function unread(folder: string): number {
    folderOf(folder);
    let count = 0;
    for (const item of items.values()) if (item.folder === folder && !item.read) count++;
    return count;
  }
  function itemEvent(
    kind: EventKind,
    item: StoredItem,
    from?: { item: StoredItem; folder: string },
  ): RoutedEvent {
    const old =
      from === undefined ? {} : { old: { object: itemRef(from.item), parent: folderRef(from.folder) } };
    return {
      event: {
        kind,
        watermark: nextWatermark(),
        at: now(),
        object: itemRef(item),
        parent: folderRef(item.folder),
        ...old,
      },
      seenBy: from === undefined ? [item.folder] : [item.folder, from.folder],
    };
  }
  // A folder's change is reported to subscriptions on it and on its parent: the sub-folder trap.
  function folderEvent(kind: EventKind, key: string, counted: boolean): RoutedEvent {
    const folder = folderOf(key);
    folder.key++;
    return {
      event: {
        kind,
        watermark: nextWatermark(),
        at: now(),
        object: folderRef(key),
        parent: folderRef(folder.parent),
        ...(counted ? { unreadCount: unread(key) } : {}),
      },
      seenBy: folder.parent === null ? [key] : [key, folder.parent],
    };
  }

  return {
    name,
    guid,
    guidText: guidText(guid),
    folderId: (folder) => folderOf(folder).id,
    hasFolder: (folder) => folders.has(folder),
    unread,
    items: (folder) => [...items.values()].filter((item) => item.folder === folder),
    deliver(folder = "inbox") {
      const item = addItem(folder, false);
      publish([
        itemEvent("Created", item),
        itemEvent("NewMail", item),
        folderEvent("Modified", folder, true),
      ]);
      return item.id;
    },
    markRead(id, read = true) {
      const item = itemOf(id);
      if (item.read === read) return;
      item.read = read;
      item.key++;
      publish([itemEvent("Modified", item), folderEvent("Modified", item.folder, true)]);
    },
    remove(id) {
      const item = itemOf(id);
      items.delete(id);
      publish([itemEvent("Deleted", item), folderEvent("Modified", item.folder, true)]);
    },
    move(id, to) {
      const old = itemOf(id);
      const item = addItem(to, old.read);
      items.delete(id);
      publish([
        itemEvent("Moved", item, { item: old, folder: old.folder }),
        folderEvent("Modified", old.folder, true),
        folderEvent("Modified", to, true),
      ]);
      return item.id;
    },
    copy(id, to) {
      const original = itemOf(id);
      const item = addItem(to, original.read);
      publish([
        itemEvent("Copied", item, { item: original, folder: original.folder }),
        folderEvent("Modified", to, true),
      ]);
      return item.id;
    },
    createFolder(parent, child) {
      folderOf(parent);
      const key = `${parent}/${child}`;
      addFolder(key, parent);
      publish([folderEvent("Created", key, false)]);
      return key;
    },
    touchFolder: (folder) => publish([folderEvent("Modified", folder, false)]),
    changeCalendar() {
      // A meeting counts as read; the folder's Modified still carries its total, which is nobody's badge.
      const item = addItem("calendar", true);
      publish([itemEvent("Created", item), folderEvent("Modified", "calendar", true)]);
    },
    changeFreeBusy() {
      publish([itemEvent("FreeBusyChanged", addItem("calendar", true))]);
    },
    watermark: () => watermark(databaseGuid, eventCount),
    nextWatermark,
  };
}
