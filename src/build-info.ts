// Version and commit, put in by the build. Run from source, both say so.
declare const BELL_VERSION: string;
declare const BELL_COMMIT: string;
declare const BELL_TEST_HOOKS: boolean;

export const BUILD = {
  version: typeof BELL_VERSION === "string" ? BELL_VERSION : "0.0.0-source",
  commit: typeof BELL_COMMIT === "string" ? BELL_COMMIT : "source",
} as const;

/**
 * True only in the build made for fault tests, which can be told to break on purpose. In a released binary this is
 * the constant false, and the code behind it is left out.
 */
export const TEST_HOOKS: boolean = typeof BELL_TEST_HOOKS === "boolean" ? BELL_TEST_HOOKS : false;
