// Judges the JSON payload of a push (Apple, "Generating a remote notification" and "Pushing background updates
// to your app"). Pure.
import { ApnsRefusal } from "./refusal.ts";

/** What a phone makes of a payload. */
export interface Payload {
  /** The number for the icon; 0 clears; undefined leaves it as it is. */
  readonly badge?: number;
  /** `bell.reason`, where the sender says why it rings. */
  readonly reason?: string;
  readonly contentAvailable: boolean;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Largest payload of an ordinary push. */
export const PAYLOAD_LIMIT_BYTES = 4096;

/**
 * @param body as sent
 * @param bodyBytes its length; `body` may hold fewer bytes where it was cut because it was too long
 * @throws ApnsRefusal PayloadEmpty, PayloadTooLarge or BadPayload
 */
export function checkPayload(body: Buffer, bodyBytes: number, pushType: string): Payload {
  if (bodyBytes === 0) throw new ApnsRefusal("PayloadEmpty", "the payload is empty");
  if (bodyBytes > PAYLOAD_LIMIT_BYTES) {
    throw new ApnsRefusal("PayloadTooLarge", `the payload has ${bodyBytes} bytes, 4096 are allowed`);
  }
  const json = parse(body);
  const aps = json.aps;
  if (!isRecord(aps)) throw bad("the payload has no aps dictionary");
  const badge = aps.badge;
  if (badge !== undefined && (!Number.isInteger(badge) || (badge as number) < 0)) {
    throw bad("badge is not a whole number from 0");
  }
  const available = aps["content-available"];
  if (available !== undefined && available !== 1) throw bad("content-available is not 1");
  if (aps["mutable-content"] !== undefined) {
    if (aps["mutable-content"] !== 1) throw bad("mutable-content is not 1");
    if (aps.alert === undefined) throw bad("mutable-content without an alert never reaches the extension");
  }
  if (pushType === "background") checkBackground(aps);
  const bell = json.bell;
  const reason = isRecord(bell) ? bell.reason : undefined;
  return {
    json,
    contentAvailable: available === 1,
    ...(typeof badge === "number" ? { badge } : {}),
    ...(typeof reason === "string" ? { reason } : {}),
  };
}

function checkBackground(aps: Readonly<Record<string, unknown>>): void {
  if (aps["content-available"] !== 1) throw bad("a background push without content-available");
  for (const key of ["alert", "badge", "sound"]) {
    if (aps[key] !== undefined) throw bad(`a background push may not carry ${key}`);
  }
}

function parse(body: Buffer): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw bad("the payload is not JSON in UTF-8");
  }
  if (!isRecord(json)) throw bad("the payload is not a JSON object");
  return json;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(detail: string): ApnsRefusal {
  return new ApnsRefusal("BadPayload", detail);
}
