// When each folder was last heard, in memory: a few numbers for each, however often it is heard. What is not known of a
// folder (a start, a new generation) counts as heard at the moment at which it is first looked at.

/** What names a folder in here. */
export interface FolderName {
  readonly registrationId: string;
  readonly name: string;
}

export interface HeardTimes {
  /** A folder was heard. */
  heard(folder: FolderName, at: number): void;
  /** When a folder was last heard; `at` if it was not since it was known or since this generation was asked for. */
  lastHeard(folder: FolderName, generation: number, at: number): number;
  /** All folders were looked at: those that were neither looked at nor heard since the last time are forgotten. */
  endLook(): void;
  readonly size: number;
}

const FIRST_SLOTS = 1024;

/**
 * @param seeds two random whole numbers below 2^32: nobody can make ids whose names collide
 */
export function createHeardTimes(seeds: readonly [number, number]): HeardTimes {
  // Two 32-bit hashes in one number of 53 bits: with half a million folders the odds of any collision are one in
  // 70 000, and it costs that the loss of one of the two is noticed late.
  const keyOf = ({ registrationId, name }: FolderName): number => {
    const text = registrationId + name;
    const high = Bun.hash.xxHash32(text, seeds[0]) & 0x1f_ffff;
    return high * 2 ** 32 + Bun.hash.xxHash32(text, seeds[1]);
  };
  const slots = new Map<number, number>();
  const free: number[] = [];
  let times = new Float64Array(FIRST_SLOTS);
  let generations = new Float64Array(FIRST_SLOTS);
  let looks = new Uint8Array(FIRST_SLOTS);
  let look = 0;

  function slotOf(key: number): number {
    const known = slots.get(key);
    if (known !== undefined) return known;
    const slot = free.pop() ?? slots.size;
    if (slot >= times.length) grow();
    slots.set(key, slot);
    times[slot] = Number.NaN;
    generations[slot] = Number.NaN;
    return slot;
  }

  function grow(): void {
    times = grown(times, new Float64Array(times.length * 2));
    generations = grown(generations, new Float64Array(generations.length * 2));
    looks = grown(looks, new Uint8Array(looks.length * 2));
  }

  return {
    heard(folder, at) {
      const slot = slotOf(keyOf(folder));
      times[slot] = at;
      looks[slot] = look;
    },
    lastHeard(folder, generation, at) {
      const slot = slotOf(keyOf(folder));
      const time = times[slot] ?? Number.NaN;
      const known = generations[slot] ?? Number.NaN;
      looks[slot] = look;
      generations[slot] = generation;
      // Heard before it was ever looked at: that is its first sight.
      const isSame = known === generation || Number.isNaN(known);
      if (isSame && !Number.isNaN(time)) return time;
      times[slot] = at;
      return at;
    },
    endLook() {
      for (const [key, slot] of slots) {
        if (looks[slot] === look) continue;
        slots.delete(key);
        free.push(slot);
      }
      look = (look + 1) % 256;
    },
    get size() {
      return slots.size;
    },
  };
}

function grown<T extends Float64Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
