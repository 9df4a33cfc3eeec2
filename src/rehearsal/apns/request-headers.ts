// Judges path, method and headers of a request (Apple, "Sending notification requests to APNs"). Pure.
import { randomUUID } from "node:crypto";
import { ApnsRefusal } from "./refusal.ts";

/** The headers of a push, checked. */
export interface PushHeaders {
  readonly apnsId: string;
  readonly topic: string;
  readonly pushType: string;
  readonly priority: 10 | 5 | 1;
  /** Epoch seconds; 0 is "now or never"; undefined where the header was left out. */
  readonly expirationSeconds?: number;
  readonly collapseId?: string;
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Push types, and the suffix that the topic has for some of them. */
const PUSH_TYPES: Readonly<Record<string, string>> = {
  alert: "",
  background: "",
  mdm: "",
  location: ".location-query",
  voip: ".voip",
  complication: ".complication",
  fileprovider: ".pushkit.fileprovider",
  liveactivity: ".push-type.liveactivity",
  pushtotalk: ".voip-ptt",
  widgets: ".push-type.widgets",
  controls: ".push-type.controls",
};

const COLLAPSE_ID_LIMIT_BYTES = 64;
// A date further away than this is a sender that writes milliseconds.
const FARTHEST_EXPIRATION_SECONDS = 366 * 86_400;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TOPIC = /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/;

/**
 * The device token in the path, lower case.
 * @throws ApnsRefusal MethodNotAllowed, BadPath, MissingDeviceToken or BadDeviceToken
 */
export function checkPath(method: string, path: string): string {
  const token = /^\/3\/device\/([^/?]*)$/.exec(path)?.[1];
  if (token === undefined) throw new ApnsRefusal("BadPath", "the path is not /3/device/<token>");
  if (method !== "POST") throw new ApnsRefusal("MethodNotAllowed", `the method is ${method}`);
  if (token === "") throw new ApnsRefusal("MissingDeviceToken", "the path has no device token");
  if (!/^([0-9a-f]{2})+$/i.test(token)) throw new ApnsRefusal("BadDeviceToken", "the token is not hex");
  return token.toLowerCase();
}

/**
 * The `apns-id` that the answer carries: the request's, or a new one.
 * Wrong ones are refused by `checkHeaders`, but echoed all the same.
 */
export function apnsIdOf(headers: Headers): string {
  const id = headers["apns-id"];
  return typeof id === "string" && id !== "" ? id : randomUUID();
}

/**
 * Checks everything that begins with `apns-`.
 * @param headerNames every name as often as it was sent
 * @param nowSeconds the simulator's clock
 * @throws ApnsRefusal
 */
export function checkHeaders(
  headers: Headers,
  headerNames: readonly string[],
  apnsId: string,
  nowSeconds: number,
): PushHeaders {
  const twice = headerNames.find((name, at) => name.startsWith("apns-") && headerNames.indexOf(name) !== at);
  if (twice !== undefined) throw new ApnsRefusal("DuplicateHeaders", `${twice} was sent twice`);
  if (!UUID.test(apnsId)) throw new ApnsRefusal("BadMessageId", "apns-id is not a lower-case UUID");

  const pushType = single(headers["apns-push-type"]);
  if (pushType === undefined) throw new ApnsRefusal("InvalidPushType", "apns-push-type is missing");
  if (PUSH_TYPES[pushType] === undefined) {
    throw new ApnsRefusal("InvalidPushType", `apns-push-type ${pushType} is unknown`);
  }
  const priority = checkPriority(single(headers["apns-priority"]), pushType);
  const expirationSeconds = checkExpiration(single(headers["apns-expiration"]), nowSeconds);
  const collapseId = single(headers["apns-collapse-id"]);
  if (collapseId !== undefined && Buffer.byteLength(collapseId) > COLLAPSE_ID_LIMIT_BYTES) {
    throw new ApnsRefusal("BadCollapseId", "apns-collapse-id is longer than 64 bytes");
  }
  const topic = single(headers["apns-topic"]);
  if (topic === undefined) throw new ApnsRefusal("MissingTopic", "apns-topic is missing");
  if (!TOPIC.test(topic)) throw new ApnsRefusal("BadTopic", "apns-topic is not a bundle id");
  return {
    apnsId,
    topic,
    pushType,
    priority,
    ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
    ...(collapseId === undefined ? {} : { collapseId }),
  };
}

/**
 * The app that a push is for: the topic without the suffix of its push type.
 * @throws ApnsRefusal TopicDisallowed where the sender may not send to the app, or the suffix is not the type's
 */
export function checkTopic(headers: PushHeaders, allowed: readonly string[]): string {
  const suffix = PUSH_TYPES[headers.pushType] ?? "";
  const app = allowed.find((candidate) => candidate + suffix === headers.topic);
  if (app === undefined) {
    throw new ApnsRefusal("TopicDisallowed", `${headers.topic} is not allowed for this sender`);
  }
  return app;
}

function single(value: string | readonly string[] | undefined): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  return value[0];
}

function checkPriority(value: string | undefined, pushType: string): 10 | 5 | 1 {
  // Apple's default is 10.
  const priority = value ?? "10";
  if (priority !== "10" && priority !== "5" && priority !== "1") {
    throw new ApnsRefusal("BadPriority", `apns-priority is ${priority}`);
  }
  if (pushType === "background" && priority !== "5") {
    throw new ApnsRefusal("BadPriority", "a background push must have priority 5");
  }
  return priority === "10" ? 10 : priority === "5" ? 5 : 1;
}

function checkExpiration(value: string | undefined, nowSeconds: number): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) {
    throw new ApnsRefusal("BadExpirationDate", "apns-expiration is not a whole number of seconds");
  }
  const seconds = Number(value);
  if (seconds !== 0 && seconds <= nowSeconds) {
    throw new ApnsRefusal(
      "BadExpirationDate",
      "apns-expiration is in the past: the push would never be kept",
    );
  }
  if (seconds > nowSeconds + FARTHEST_EXPIRATION_SECONDS) {
    throw new ApnsRefusal("BadExpirationDate", "apns-expiration is more than a year away: milliseconds?");
  }
  return seconds;
}
