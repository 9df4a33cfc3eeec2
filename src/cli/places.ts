// Where the database and its keys lie, for verbs that work without a running node. A configuration that is wrong
// elsewhere still names them.
import { readConfig } from "../config/load.ts";
import { formatProblem } from "../config/problems.ts";
import type { Config } from "../config/types.ts";
import { BellError } from "../errors.ts";
import { DEFAULT_CONFIG } from "./defaults.ts";

export interface Places {
  readonly database: string;
  /** Null where it is a credential of the service, which this process does not see. */
  readonly keys: string | null;
  /** Null where the configuration has errors. */
  readonly config: Config | null;
}

/** @throws `config_unreadable`, or `config_invalid` if it does not name a database */
export function databasePlaces({ config }: { readonly config?: string }): Places {
  const file = config ?? DEFAULT_CONFIG;
  const reading = readConfig(file, process.env);
  const unreadable = reading.problems.find(({ code }) => code === "config_unreadable");
  if (unreadable !== undefined) throw new BellError("config_unreadable", formatProblem(unreadable));
  const of = (role: string) => reading.files.find((each) => each.role === role)?.path ?? null;
  const database = of("store");
  if (database === null) {
    throw new BellError("config_invalid", `${file} does not say where the database is (store.path).`);
  }
  return { database, keys: of("keys"), config: reading.config };
}

/**
 * The key file.
 * @param given by the option that names it
 * @throws `keys_missing`
 */
export function keysPlace(places: Places, given: string | undefined): string {
  const path = given ?? places.keys;
  if (path !== null) return path;
  throw new BellError(
    "keys_missing",
    "The configuration takes the key file from the service's credentials. Name the file with --keys-file.",
  );
}
