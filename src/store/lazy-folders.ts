// Folders of which only "heard again" changed. They are written with a later commit, since a heartbeat needs no
// commit to be answered: what a crash loses is only how recently a subscription was heard.
import type { Folder } from "./types.ts";

export interface LazyFolders {
  /** Keeps a folder for a later commit. */
  note(registrationId: string, folder: Folder): void;
  /** The newer of what is stored and what is kept. */
  newest(registrationId: string, stored: Folder): Folder;
  /** Whether this folder is kept. */
  has(registrationId: string, name: string): boolean;
  /** Drops one folder, or all of a registration: it was written or is gone. */
  forget(registrationId: string, name?: string): void;
  /** Takes up to `limit` kept folders out, to be written now. */
  take(limit: number): { registrationId: string; folder: Folder }[];
  readonly size: number;
}

/** Grows with folders, never with traffic. */
export function createLazyFolders(): LazyFolders {
  const kept = new Map<string, { registrationId: string; folder: Folder }>();
  // A UUID has a fixed length, so the two parts cannot run into each other.
  const key = (registrationId: string, name: string) => registrationId + name;
  return {
    note(registrationId, folder) {
      kept.set(key(registrationId, folder.name), { registrationId, folder });
    },
    newest(registrationId, stored) {
      return kept.get(key(registrationId, stored.name))?.folder ?? stored;
    },
    has: (registrationId, name) => kept.has(key(registrationId, name)),
    forget(registrationId, name) {
      if (name !== undefined) {
        kept.delete(key(registrationId, name));
        return;
      }
      for (const [entry, value] of kept) if (value.registrationId === registrationId) kept.delete(entry);
    },
    take(limit) {
      const taken: { registrationId: string; folder: Folder }[] = [];
      for (const [entry, value] of kept) {
        if (taken.length >= limit) break;
        kept.delete(entry);
        taken.push(value);
      }
      return taken;
    },
    get size() {
      return kept.size;
    },
  };
}
