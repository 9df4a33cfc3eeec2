// What can be fuzzed: a name, words that its format gives a meaning, and one function that runs an input and checks it.

export interface Target {
  /** Also the name of its folder in the corpus. */
  readonly name: string;
  readonly words: readonly string[];
  /** No input of a run is longer. */
  readonly mostBytes: number;
  /** What a run begins with, besides the corpus: files of test/samples, and inputs of another kind than those. */
  readonly samples: RegExp;
  readonly examples: readonly string[];
  /**
   * Runs one input.
   * @returns what was special about it, in short words: an input with a new word is kept like one that reaches new code
   * @throws an error that says which property does not hold
   */
  run(bytes: Buffer): readonly string[];
  /** Reads an input as the product does, without the checks: for its time. */
  read(bytes: Buffer): void;
  /** The most that the product reads, and how long that may take, milliseconds: a slow machine is allowed for. */
  readonly most: { readonly bytes: number; readonly ms: number };
}

/** Milliseconds that reading takes: the best of a few tries, since any one may meet a collection of garbage. */
export function readingMs(target: Target, bytes: Buffer, tries = 3): number {
  const times = Array.from({ length: tries }, () => {
    const startedAt = performance.now();
    target.read(bytes);
    return performance.now() - startedAt;
  });
  return Math.min(...times);
}
