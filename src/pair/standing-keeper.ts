// Keeps in the epoch file what this node's role has come to, and says when it can be written no longer, or again.
import type { EpochFile, StoredStanding } from "./epoch-file.ts";

export interface StandingKeeper {
  /** What the file says at the start, brought up to date. @param isRestored the database came out of a backup */
  begin(isRestored: boolean): Promise<StoredStanding>;
  /** As `EpochFile.save`. */
  save(change: Partial<StoredStanding>): Promise<boolean>;
  /** Keeps an epoch, on a full disk with what the store keeps for that: whom nobody asks has not given it up yet. */
  persist(epoch: number): Promise<boolean>;
  /** It could not be written last. */
  readonly isFileBad: boolean;
}

export interface StandingKeeperOptions {
  readonly file: EpochFile;
  readonly peerName: string;
  /** Gives up the store's reserve; whether there was one. */
  readonly makeRoom: () => boolean;
  /** The file cannot be written from now on, or can again. */
  readonly unwritable: (is: boolean) => void;
}

export function createStandingKeeper(options: StandingKeeperOptions): StandingKeeper {
  const { file, peerName, makeRoom, unwritable } = options;
  let isFileBad = false;

  async function save(change: Partial<StoredStanding>): Promise<boolean> {
    const ok = await file.save(change);
    if (isFileBad === ok) unwritable(!ok);
    isFileBad = !ok;
    return ok;
  }

  return {
    async begin(isRestored) {
      const { forgotten } = file.current;
      // What it does not know of, the other node does: that one goes first, if it lives.
      const seeding = isRestored ? "reseeding" : file.current.seeding;
      if (seeding !== file.current.seeding || (forgotten !== null && forgotten !== peerName)) {
        await save({ seeding, forgotten: forgotten === peerName ? forgotten : null });
      }
      return { ...file.current, seeding, forgotten };
    },
    save,
    persist: async (epoch) => (await save({ epoch })) || (makeRoom() && (await save({ epoch }))),
    get isFileBad() {
      return isFileBad;
    },
  };
}
