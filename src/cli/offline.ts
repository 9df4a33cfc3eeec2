// Reads the database where no node is running: nothing is written to it, and a node that starts at that moment is told
// that it is in use.
import { existsSync } from "node:fs";
import { BellError } from "../errors.ts";
import { readKeyFile } from "../keys/key-file.ts";
import { createKeyring } from "../keys/keyring.ts";
import type { Keyring } from "../keys/types.ts";
import type { Index } from "../phones/find.ts";
import { createClock } from "../store/clock.ts";
import { newestSchema } from "../store/database.ts";
import { createInspector, type Inspector } from "../store/inspect.ts";
import { createRows, idText } from "../store/rows.ts";
import { withDatabase } from "../store/snapshot.ts";
import { databasePlaces, keysPlace, type Places } from "./places.ts";

/** Said before an answer that did not come from a node. */
export const NOT_RUNNING = "No node is running; this is what the database says.";

export interface OfflineStore {
  readonly inspector: Inspector;
  readonly index: Index;
  readonly places: Places;
  /** @throws `keys_missing` and whatever is wrong with the key file */
  keyring(): Keyring;
}

/**
 * Opens the database of the configuration for `work`.
 * @throws `store_path`, `store_in_use`, `store_old_schema` or `store_newer_schema`
 */
export async function readOffline<T>(
  options: { readonly config?: string },
  work: (store: OfflineStore) => T | Promise<T>,
): Promise<T> {
  const places = databasePlaces(options);
  const { database } = places;
  if (!existsSync(database)) throw new BellError("store_path", `There is no database ${database}.`);
  return withDatabase(database, (db) => {
    db.pragma("query_only = ON");
    const schema = Number(db.pragma("user_version", { simple: true }));
    if (schema !== newestSchema()) {
      throw new BellError(
        schema < newestSchema() ? "store_old_schema" : "store_newer_schema",
        `The database ${database} has schema ${schema}; this version works with schema ${newestSchema()}.`,
      );
    }
    const rows = createRows(db, createClock(Date.now), () => {
      throw new BellError("internal", "Nothing is written here.");
    });
    const inspector = createInspector(db, rows, { newest: (_, stored) => stored }, 0);
    return work({
      inspector,
      places,
      index: {
        findToken: async (mac) => inspector.findToken(mac),
        async findSubscription(mac) {
          const [found] = rows.bound(mac);
          return found === undefined ? null : { registrationId: idText(found.registration) };
        },
      },
      keyring: () => createKeyring(readKeyFile(keysPlace(places, undefined))),
    });
  });
}
