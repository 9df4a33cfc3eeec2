// `version`: what this binary is.
import { BUILD } from "../build-info.ts";
import { print } from "./output.ts";

const ABOUT = {
  name: "inboxbell",
  ...BUILD,
  runtime: `bun ${Bun.version}`,
  platform: `${process.platform}-${process.arch}`,
};

/** One line; also what `--version` prints. */
export const VERSION_TEXT = `inboxbell ${ABOUT.version} (${ABOUT.commit}), ${ABOUT.runtime}, ${ABOUT.platform}`;

/** Prints version and commit; always good. */
export function version(options: { readonly json: boolean }): number {
  print(options.json ? JSON.stringify(ABOUT) : VERSION_TEXT);
  return 0;
}
