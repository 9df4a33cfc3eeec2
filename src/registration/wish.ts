// Turns the body of a PUT into what the app wishes for: checks what a schema cannot say, and replaces every
// id and secret by its keyed hash. Pure.
import type { AppConfig } from "../config/types.ts";
import type { Keyring } from "../keys/types.ts";
import type { FolderKind, Platform } from "../store/types.ts";
import { hashSecret } from "./credentials.ts";
import type { RegistrationRequest } from "./schema.ts";

/** What one PUT asks for. */
export interface Wish {
  /** The registration's id, lower case. */
  readonly id: string;
  readonly app: string;
  readonly platform: Platform;
  /** The device token in its normal form; never logged. */
  readonly token: string;
  readonly secretHash: Buffer;
  readonly revision: number;
  readonly locale: string | null;
  readonly folders: readonly WishedFolder[];
}

export interface WishedFolder {
  readonly name: string;
  readonly kind: FolderKind;
  /** Keyed hash of the folder id, or null if the app did not say. */
  readonly folderMac: Buffer | null;
  readonly newSubscription: boolean;
  /** The SubscriptionId that the app brought for it, for the classic order. */
  readonly subscription: WishedSubscription | null;
}

export interface WishedSubscription {
  readonly mac: Buffer;
  readonly statusFrequencyMinutes: number | null;
  /** JSON Pointer of the id in the body. */
  readonly field: string;
}

/** A field that cannot be used, and why; never its value. */
export interface FieldError {
  readonly field: string;
  readonly why: string;
}

// Apple: make no assumption about the length. These bounds only keep out what is no token at all.
const APNS_TOKEN = /^(?:[0-9a-fA-F]{2}){4,200}$/;
// FCM registration tokens are an instance id, a colon and base64url, with dots in some generations.
const FCM_TOKEN = /^[A-Za-z0-9_:.-]{20,4096}$/;

/**
 * Reads a body that the schema has let through.
 * @param id the registration's id, lower case
 * @param apps the configured apps
 */
export function readWish(
  id: string,
  body: RegistrationRequest,
  apps: readonly AppConfig[],
  keyring: Keyring,
): { readonly wish: Wish } | FieldError {
  const app = apps.find((candidate) => candidate.id === body.app);
  if (app === undefined) {
    return { field: "/app", why: "This server does not ring that app. /v1/discovery lists those it rings." };
  }
  if (app[body.platform] === null) {
    return { field: "/platform", why: "The app is not configured for this platform. See /v1/discovery." };
  }
  const token = normalToken(body.platform, body.token);
  if (token === null) return { field: "/token", why: TOKEN_RULE[body.platform] };

  const folders = readFolders(body, keyring);
  if ("field" in folders) return folders;
  return {
    wish: {
      id,
      app: body.app,
      platform: body.platform,
      token,
      secretHash: hashSecret(keyring, id, body.secret),
      revision: body.revision,
      locale: body.locale ?? null,
      folders: folders.folders,
    },
  };
}

const TOKEN_RULE: Readonly<Record<Platform, string>> = {
  apns: "An APNs device token is 8 to 400 hexadecimal digits, an even number of them, without spaces or brackets.",
  fcm: "An FCM registration token is 20 to 4096 of A-Z, a-z, 0-9, _, :, . and -.",
};

/** The one form in which a token is kept and compared, or null if it has not the platform's shape. */
export function normalToken(platform: Platform, token: string): string | null {
  switch (platform) {
    case "apns":
      return APNS_TOKEN.test(token) ? token.toLowerCase() : null;
    case "fcm":
      return FCM_TOKEN.test(token) ? token : null;
  }
}

function readFolders(
  body: RegistrationRequest,
  keyring: Keyring,
): { readonly folders: readonly WishedFolder[] } | FieldError {
  const byName = new Map<string, WishedFolder>();
  let inbox = false;
  for (const [index, folder] of body.folders.entries()) {
    const name = folder.name ?? folder.kind;
    if (byName.has(name)) {
      return {
        field: `/folders/${index}/name`,
        why: "Another folder of this request has the same name. A folder without a name is named for its kind.",
      };
    }
    // The badge is the unread count of one folder; two would overwrite each other on the phone.
    if (folder.kind === "inbox" && inbox) {
      return { field: `/folders/${index}/kind`, why: "A registration has at most one folder of kind inbox." };
    }
    inbox ||= folder.kind === "inbox";
    byName.set(name, {
      name,
      kind: folder.kind,
      folderMac: folder.folder_id === undefined ? null : keyring.mac("folder", folder.folder_id),
      newSubscription: folder.new_subscription === true,
      subscription: null,
    });
  }

  const seen = new Set<string>();
  for (const [index, given] of (body.subscriptions ?? []).entries()) {
    const folder = byName.get(given.folder);
    if (folder === undefined) {
      return { field: `/subscriptions/${index}/folder`, why: "No folder of this request has that name." };
    }
    if (folder.subscription !== null) {
      return {
        field: `/subscriptions/${index}/folder`,
        why: "Another subscription of this request names the same folder.",
      };
    }
    if (seen.has(given.id)) {
      return { field: `/subscriptions/${index}/id`, why: "Another folder of this request has the same id." };
    }
    seen.add(given.id);
    byName.set(given.folder, {
      ...folder,
      subscription: {
        mac: keyring.mac("subscription", given.id),
        statusFrequencyMinutes: given.status_frequency_minutes ?? null,
        field: `/subscriptions/${index}/id`,
      },
    });
  }
  return { folders: [...byName.values()] };
}
