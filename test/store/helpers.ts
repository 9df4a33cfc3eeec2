import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeys } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Change, DueNews, Folder, Ring, Settlement, Store } from "../../src/store/types.ts";
import { UNHEARD } from "../../src/store/unheard.ts";

export const keyring = createKeyring(generateKeys(0));

/** A store on a fresh file, with a clock that the test moves. */
export async function openTestStore(options: Partial<StoreOptions> = {}) {
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-store-"));
  const path = options.path ?? join(directory, "inboxbell.db");
  const time = {
    now: 1_760_000_000_000,
    setBy: 0,
    /** Somebody sets the clock, without time passing. */
    set(byMs: number) {
      time.now += byMs;
      time.setBy += byMs;
    },
  };
  const due: DueNews[] = [];
  const make = () => {
    const [now, monotonicNow] = [() => time.now, () => time.now - time.setBy];
    const store = createStore({ path, keyring, now, monotonicNow, mergeChangesMs: 0, ...options });
    store.onDue((news) => due.push(...news));
    return store;
  };
  let store = make();
  await store.start();
  return {
    path,
    directory,
    time,
    due,
    get store() {
      return store;
    },
    /** Closes and opens the same file again, as a restart does. */
    async reopen() {
      await store.stop();
      store = make();
      await store.start();
    },
    async close() {
      await store.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

export function id(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
}

export function folder(name: string, generation: number, more: Partial<Folder> = {}): Folder {
  return {
    ...UNHEARD,
    name,
    kind: name === "calendar" ? "calendar" : "inbox",
    generation,
    statusFrequencyMinutes: 15,
    ...more,
  };
}

export function change(store: Store, registrationId: string, wanted: Change): Promise<void> {
  return store.submit({ registrationId, decide: () => ({ change: wanted, result: undefined }) });
}

export function register(store: Store, n: number, token: string, now: number, revision = 1): Promise<void> {
  return change(store, id(n), {
    registration: {
      app: "com.example.mail",
      platform: "apns",
      token,
      secretHash: keyring.mac("secret", `secret-${n}`),
      subjectMac: null,
      revision,
      locale: null,
      renewedAt: now,
    },
    folders: [folder("inbox", revision)],
  });
}

export function badge(store: Store, n: number, count: number, at: number, mail = true): Promise<void> {
  return change(store, id(n), {
    badge: { count, eventAt: at },
    ...(mail ? { reasons: [{ reason: "mail" }] } : {}),
  });
}

export async function begin(store: Store, n: number): Promise<Ring | undefined> {
  return (await store.begin([id(n)]))[0];
}

export function settlement(
  ring: Ring,
  kind: Settlement["kind"],
  at: number,
  more: Partial<Settlement> = {},
): Settlement {
  return { ring, kind, outcome: kind === "done" ? "accepted" : kind, at, ...more };
}
