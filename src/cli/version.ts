// `version`: what this binary is.
import { BUILD } from "../build-info.ts";

/** Prints version and commit; always good. */
export function version(options: { readonly json: boolean }): number {
  const about = {
    name: "inboxbell",
    ...BUILD,
    runtime: `bun ${Bun.version}`,
    platform: `${process.platform}-${process.arch}`,
  };
  console.log(
    options.json
      ? JSON.stringify(about)
      : `inboxbell ${about.version} (${about.commit}), ${about.runtime}, ${about.platform}`,
  );
  return 0;
}
