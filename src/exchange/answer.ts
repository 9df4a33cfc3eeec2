// The answers that Exchange understands, rendered once. It reads fewer than 1024 bytes of a body and compares the
// status case-sensitively; anything from 400 up makes it try again later (Microsoft Learn, "SendNotification").
import { bareAnswer, fixedAnswer } from "../net/answer.ts";
import type { FixedAnswer } from "../net/types.ts";

/** Says how many nodes hold what the answer rests on. */
export const DURABLE_HEADER = "Inboxbell-Durable";

function subscriptionStatus(status: "OK" | "Unsubscribe", durable: boolean): FixedAnswer {
  const body =
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>' +
    '<SendNotificationResult xmlns="http://schemas.microsoft.com/exchange/services/2006/messages">' +
    `<SubscriptionStatus>${status}</SubscriptionStatus></SendNotificationResult></s:Body></s:Envelope>`;
  const headers = { "Content-Type": "text/xml; charset=utf-8" };
  return fixedAnswer(200, durable ? { ...headers, [DURABLE_HEADER]: "node" } : headers, body);
}

const OK = subscriptionStatus("OK", false);
const OK_DURABLE = subscriptionStatus("OK", true);
const UNSUBSCRIBE = subscriptionStatus("Unsubscribe", false);
const UNSUBSCRIBE_DURABLE = subscriptionStatus("Unsubscribe", true);

/**
 * The answer to a notification.
 * @param durable whether it rests on a commit of this node
 */
export function statusAnswer(answer: "ok" | "unsubscribe", durable: boolean): FixedAnswer {
  switch (answer) {
    case "ok":
      return durable ? OK_DURABLE : OK;
    case "unsubscribe":
      return durable ? UNSUBSCRIBE_DURABLE : UNSUBSCRIBE;
  }
}

/** No such path, or a capability that this product did not make. Never a challenge: see CVE-2018-8581. */
export const NOT_FOUND = bareAnswer(404);
/** The shared route cannot tell whose a body is that it cannot read. */
export const BAD_REQUEST = bareAnswer(400);
/** Not now: Exchange tries again by itself. */
export const UNAVAILABLE = bareAnswer(503);
