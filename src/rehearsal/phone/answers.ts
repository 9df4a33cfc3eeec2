// Reads the answers of the registration API as a strict app does: a missing or misshapen field is a complaint. Pure.
import { EVENT_KINDS, type EventKind } from "../ews/notification.ts";
import type { ApiAnswer } from "./registration-client.ts";

/** How to subscribe at Exchange, as discovery says. */
export interface Guidance {
  readonly eventTypes: readonly EventKind[];
  readonly statusFrequencyMinutes: number;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The guidance of `GET /v1/discovery`, or what is wrong with it for this app and platform. */
export function readDiscovery(answer: ApiAnswer, app: string, platform: string): Guidance | string {
  const { status, body } = answer;
  if (status !== 200 || !isFields(body) || body.version !== 1) return `discovery was answered ${status}`;
  const apps = Array.isArray(body.apps) ? body.apps.filter(isFields) : [];
  const own = apps.find((candidate) => candidate.id === app);
  if (own === undefined || !Array.isArray(own.platforms) || !own.platforms.includes(platform)) {
    return "discovery does not offer this app on this platform";
  }
  if (!Array.isArray(body.auth) || !body.auth.includes("enrolment_secret")) {
    return "discovery does not offer the enrolment secret";
  }
  return readGuidance(body.ews) ?? "discovery does not say how to subscribe";
}

function readGuidance(ews: unknown): Guidance | null {
  if (!isFields(ews) || !Array.isArray(ews.event_types)) return null;
  const minutes = ews.status_frequency_minutes;
  if (typeof minutes !== "number") return null;
  const names: readonly unknown[] = ews.event_types;
  const eventTypes = EVENT_KINDS.filter((kind) => names.includes(`${kind}Event`));
  return eventTypes.length === names.length ? { eventTypes, statusFrequencyMinutes: minutes } : null;
}

/** What a phone expects of the answer to its PUT. */
export interface Expected {
  readonly id: string;
  readonly revision: number;
  readonly folders: readonly string[];
}

/** Callback URL by folder, or what is wrong with the answer. */
export function readRegistration(
  answer: ApiAnswer,
  expected: Expected,
): ReadonlyMap<string, string> | string {
  const { status, body } = answer;
  if (status !== 200 && status !== 201) return `PUT was answered ${status}${codeOf(body)}`;
  if (!isFields(body)) return "PUT was answered without an object";
  if (body.id !== expected.id) return "PUT was answered with another id";
  if (body.revision !== expected.revision) return "PUT was answered with another revision";
  if (typeof body.renew_before !== "string" || Number.isNaN(Date.parse(body.renew_before))) {
    return "PUT was answered without renew_before";
  }
  if (readGuidance(body.ews) === null) return "PUT was answered without ews";
  const folders = Array.isArray(body.folders) ? body.folders.filter(isFields) : [];
  const urls = new Map<string, string>();
  for (const folder of folders) {
    if (typeof folder.name === "string" && typeof folder.callback_url === "string") {
      urls.set(folder.name, folder.callback_url);
    }
  }
  const complete = urls.size === expected.folders.length && expected.folders.every((name) => urls.has(name));
  return complete ? urls : "PUT was answered with other folders than asked for";
}

/** `stored_revision` of a 409, or null. */
export function storedRevision(body: unknown): number | null {
  return isFields(body) && body.code === "stale_revision" && typeof body.stored_revision === "number"
    ? body.stored_revision
    : null;
}

function codeOf(body: unknown): string {
  return isFields(body) && typeof body.code === "string" ? ` (${body.code})` : "";
}
