// The phones of the benchmark: ids and tokens made from their number, so that every process knows the same ones,
// and the database in which all of them are registered.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Keyring } from "../../src/keys/types.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { Folder, Platform } from "../../src/store/types.ts";
import { UNHEARD } from "../../src/store/unheard.ts";

export const APP = "com.example.mail";
/** The revision of every registration, and so the generation of its folder. */
const REVISION = 1_700_000_000_000;

/** Which phones are iPhones: every second one, all, or none. */
export type Mix = "both" | "apns" | "fcm";

const digest = (purpose: string, phone: number) =>
  createHash("sha512").update(`${purpose} ${phone}`).digest();

export function registrationId(phone: number): string {
  const hex = digest("id", phone).toString("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

export function platformOf(phone: number, mix: Mix): Platform {
  if (mix !== "both") return mix;
  return phone % 2 === 0 ? "apns" : "fcm";
}

/** A token of the length that the provider gives out today. */
export function tokenOf(phone: number, platform: Platform): string {
  if (platform === "apns") return digest("apns", phone).toString("hex", 0, 32);
  const bytes = Buffer.concat([digest("fcm a", phone), digest("fcm b", phone)]);
  return `${bytes.toString("base64url", 0, 16)}:APA91b${bytes.toString("base64url", 16, 116)}`;
}

/** The unread count that notification number `n` of the whole run reports; load.lua computes the same. */
export function unreadOf(n: number, phones: number): number {
  return 10 + (((n % phones) + 7 * Math.floor(n / phones)) % 90);
}

/** The number of the newest of `sent` notifications that was a phone's. */
export function newestOf(phone: number, phones: number, sent: number): number {
  return phone + phones * Math.floor((sent - 1 - phone) / phones);
}

const PUT_AT_ONCE = 2_000;

/**
 * Registers `phones` phones with one inbox each through the store's own code, without waiting for the disk.
 * @param owed whether each is owed a ring for new mail already
 */
export async function seedDatabase(
  path: string,
  keyring: Keyring,
  phones: number,
  mix: Mix,
  owed = false,
): Promise<void> {
  const store = createStore({ path, keyring, now: Date.now, reserveBytes: 0, synchronous: "OFF" });
  await store.start();
  try {
    for (let at = 0; at < phones; at += PUT_AT_ONCE) {
      const count = Math.min(PUT_AT_ONCE, phones - at);
      await Promise.all(Array.from({ length: count }, (_, n) => put(at + n)));
    }
  } finally {
    await store.stop();
  }

  function put(phone: number): Promise<null> {
    const id = registrationId(phone);
    const platform = platformOf(phone, mix);
    const at = Date.now();
    return store.submit({
      registrationId: id,
      decide: () => ({
        change: {
          registration: {
            app: APP,
            platform,
            token: tokenOf(phone, platform),
            secretHash: keyring.mac("secret", id),
            subjectMac: null,
            revision: REVISION,
            locale: null,
            renewedAt: at,
          },
          folders: [INBOX],
          ...(owed
            ? {
                badge: { count: unreadOf(phone, phones), eventAt: at },
                reasons: [{ reason: "mail" as const }],
              }
            : {}),
        },
        result: null,
      }),
    });
  }
}

const INBOX: Folder = {
  ...UNHEARD,
  name: "inbox",
  kind: "inbox",
  generation: REVISION,
  statusFrequencyMinutes: 15,
};

/** Writes the phones' callback paths, one a line, in the order of their numbers. */
export function writePaths(file: string, keyring: Keyring, phones: number): void {
  const lines = Array.from({ length: phones }, (_, phone) => callbackPath(keyring, phone));
  writeFileSync(file, `${lines.join("\n")}\n`);
}

export function callbackPath(keyring: Keyring, phone: number): string {
  const capability = { registrationId: registrationId(phone), folder: INBOX.name, generation: REVISION };
  return `/ews/${keyring.mintCapability(capability)}`;
}
