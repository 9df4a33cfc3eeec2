// The answers that Exchange understands, rendered once. It reads fewer than 1024 bytes of a body and compares the
// status case-sensitively; anything from 400 up makes it try again later (Microsoft Learn, "SendNotification").
import { bareAnswer, fixedAnswer } from "../net/answer.ts";
import type { FixedAnswer } from "../net/types.ts";
import type { Durability } from "../store/types.ts";

/** Says how many nodes hold what the answer rests on. */
export const DURABLE_HEADER = "Inboxbell-Durable";

function subscriptionStatus(status: "OK" | "Unsubscribe", durable: Durability | null): FixedAnswer {
  const body =
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>' +
    '<SendNotificationResult xmlns="http://schemas.microsoft.com/exchange/services/2006/messages">' +
    `<SubscriptionStatus>${status}</SubscriptionStatus></SendNotificationResult></s:Body></s:Envelope>`;
  const headers = { "Content-Type": "text/xml; charset=utf-8" };
  return fixedAnswer(200, durable === null ? headers : { ...headers, [DURABLE_HEADER]: durable }, body);
}

function eachDurability(status: "OK" | "Unsubscribe") {
  const rendered = (durable: Durability | null) => subscriptionStatus(status, durable);
  return { none: rendered(null), node: rendered("node"), pair: rendered("pair") };
}

const ANSWERS = { ok: eachDurability("OK"), unsubscribe: eachDurability("Unsubscribe") };

/**
 * The answer to a notification.
 * @param durable on how many nodes the commit is that it rests on; null if it rests on none
 */
export function statusAnswer(answer: "ok" | "unsubscribe", durable: Durability | null): FixedAnswer {
  return ANSWERS[answer][durable ?? "none"];
}

/** No such path, or a capability that this product did not make. Never a challenge: see CVE-2018-8581. */
export const NOT_FOUND = bareAnswer(404);
/** The shared route cannot tell whose a body is that it cannot read. */
export const BAD_REQUEST = bareAnswer(400);
/** Not now: Exchange tries again by itself. */
export const UNAVAILABLE = bareAnswer(503);
