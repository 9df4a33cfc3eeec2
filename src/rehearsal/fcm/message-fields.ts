// The fields of a message and their types (REST reference, projects.messages), and how Google's front end reads
// JSON: both spellings of a name, null as absent, anything unknown refused. Pure.
import { FcmRefusal } from "./refusal.ts";

type FieldType = "string" | "boolean" | "number" | "strings" | "map" | "any" | Fields;
interface Fields {
  readonly [name: string]: FieldType;
}

/** A message with its names in snake case. */
export type Json = Readonly<Record<string, unknown>>;

const OPTIONS: Fields = { analytics_label: "string", image: "string", link: "string" };

const ANDROID_NOTIFICATION: Fields = {
  title: "string",
  body: "string",
  icon: "string",
  color: "string",
  sound: "string",
  tag: "string",
  click_action: "string",
  body_loc_key: "string",
  body_loc_args: "strings",
  title_loc_key: "string",
  title_loc_args: "strings",
  channel_id: "string",
  ticker: "string",
  sticky: "boolean",
  event_time: "string",
  local_only: "boolean",
  notification_priority: "string",
  default_sound: "boolean",
  default_vibrate_timings: "boolean",
  default_light_settings: "boolean",
  vibrate_timings: "strings",
  visibility: "string",
  notification_count: "number",
  light_settings: "any",
  image: "string",
  proxy: "string",
  bypass_proxy_notification: "boolean",
};

const REQUEST: Fields = {
  validate_only: "boolean",
  message: {
    name: "string",
    token: "string",
    topic: "string",
    condition: "string",
    data: "map",
    notification: { title: "string", body: "string", image: "string" },
    fcm_options: OPTIONS,
    android: {
      collapse_key: "string",
      priority: "string",
      ttl: "string",
      restricted_package_name: "string",
      data: "map",
      notification: ANDROID_NOTIFICATION,
      fcm_options: OPTIONS,
      direct_boot_ok: "boolean",
      bandwidth_constrained_ok: "boolean",
      restricted_satellite_ok: "boolean",
    },
    webpush: { headers: "map", data: "map", notification: "any", fcm_options: OPTIONS },
    apns: { headers: "map", payload: "any", live_activity_token: "string", fcm_options: OPTIONS },
  },
};

/**
 * Reads a request body as Google's front end does.
 * @returns the request with its names in snake case
 * @throws FcmRefusal INVALID_JSON naming the field
 */
export function readRequest(body: Buffer): Json {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new FcmRefusal("INVALID_JSON");
  }
  return readObject(json, "", REQUEST);
}

function readObject(value: unknown, path: string, fields: Fields): Json {
  if (!isRecord(value)) throw wrongValue(path, "an object", value);
  const read: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const type = fields[snake];
    if (type === undefined) {
      const where = path === "" ? "" : ` at '${path}'`;
      throw fault(path, `Invalid JSON payload received. Unknown name "${name}"${where}: Cannot find field.`);
    }
    if (item === null) continue;
    read[snake] = readValue(item, path === "" ? snake : `${path}.${snake}`, type);
  }
  return read;
}

function readValue(value: unknown, path: string, type: FieldType): unknown {
  switch (type) {
    case "any":
      return value;
    case "string":
      if (typeof value !== "string") throw wrongValue(path, "TYPE_STRING", value);
      return value;
    case "boolean":
      if (typeof value !== "boolean") throw wrongValue(path, "TYPE_BOOL", value);
      return value;
    case "number":
      if (!Number.isInteger(value)) throw wrongValue(path, "TYPE_INT32", value);
      return value;
    case "strings":
      if (!Array.isArray(value)) throw wrongValue(path, "TYPE_STRING", value);
      return value.map((item, at) => readValue(item, `${path}[${at}]`, "string"));
    case "map":
      if (!isRecord(value)) throw wrongValue(path, "an object", value);
      Object.values(value).forEach((item, at) => {
        readValue(item, `${path}[${at}].value`, "string");
      });
      return value;
    default:
      return readObject(value, path, type);
  }
}

function wrongValue(path: string, expected: string, value: unknown): FcmRefusal {
  return fault(path, `Invalid value at '${path}' (${expected}), ${JSON.stringify(value)}`);
}

function fault(field: string, description: string): FcmRefusal {
  return new FcmRefusal("INVALID_JSON", [{ field, description }]);
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
