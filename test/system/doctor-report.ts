// `doctor` of the compiled binary, run as an administrator's script runs it: what it found, and its exit code.
import { binary, run } from "./helpers.ts";

interface Look {
  readonly hop: string;
  readonly level: "ok" | "warning" | "failure";
  readonly code: string;
  readonly subject: string;
  readonly seen: string;
  readonly remedy: string | null;
}

export interface Sight {
  readonly exitCode: number | string;
  readonly results: readonly Look[];
  /** Codes of what is not good, each once, in order. */
  readonly codes: readonly string[];
  /** The result with a code; throws where there is none. */
  only(code: string): Look;
}

/** Reads what `doctor --json` printed. */
export function readSight(exitCode: number | string, out: string): Sight {
  const { results } = JSON.parse(out) as { readonly results: readonly Look[] };
  const codes = [...new Set(results.map(({ code }) => code))].filter((code) => code !== "ok");
  return {
    exitCode,
    results,
    codes,
    only(code) {
      const found = results.find((each) => each.code === code);
      if (found === undefined) throw new Error(`no ${code} among ${codes.join(", ") || "nothing"}`);
      return found;
    },
  };
}

/** @param temporary private directory for what the binary unpacks */
export async function doctor(configFile: string, temporary: string): Promise<Sight> {
  const { code, out, err } = await run([binary, "doctor", "--json", "--config", configFile], { temporary });
  if (err !== "") throw new Error(`doctor said ${err}`);
  return readSight(code, out);
}
