// What Exchange makes of an answer: good, end of the subscription, a redirect to follow, or a failed delivery. Pure.
// Source: Microsoft Learn, EWS reference, SubscriptionStatus; limits as observed on Exchange 2013.
import { SaxesParser } from "saxes";

/** Exchange reads this much of an answer's body, in bytes; the rest is cut off. */
export const ANSWER_BYTES = 1023;

/** An answer as read from the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; repeated ones joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** At most `ANSWER_BYTES`. */
  readonly body: Buffer;
}

/** A rule of the contract with Exchange that a listener broke. */
export type AnswerRule =
  /** 401, 407 or a challenge header: an unpatched server would answer with its machine account. */
  | "challenge"
  | "redirect"
  | "compressed"
  | "empty"
  | "doctype"
  | "too_long"
  | "not_xml"
  | "status_missing"
  | "status_text"
  | "not_http";

export type Verdict = (
  | { readonly kind: "ok" }
  | { readonly kind: "unsubscribe" }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "failed"; readonly why: string }
) & {
  /** Set when the listener did something that it must never do. */
  readonly broke?: AnswerRule;
  /** The listener's word on how many of its nodes hold what an OK or Unsubscribe rests on; Exchange itself ignores it. */
  readonly durable?: string;
};

const MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages";

/** Judges an answer as Exchange does. */
export function judgeAnswer(answer: RawAnswer): Verdict {
  const { status, headers, body } = answer;
  if (
    status === 401 ||
    status === 407 ||
    headers.has("www-authenticate") ||
    headers.has("proxy-authenticate")
  ) {
    return failed(`status ${status} with a challenge`, "challenge");
  }
  if (status >= 301 && status <= 303) {
    const location = headers.get("location");
    return location === undefined
      ? failed("redirect without Location", "redirect")
      : { kind: "redirect", location, broke: "redirect" };
  }
  if (status < 200 || status > 299) return { kind: "failed", why: `status ${status}` };
  const encoding = headers.get("content-encoding");
  if (encoding !== undefined && encoding.toLowerCase() !== "identity")
    return failed("compressed answer", "compressed");
  if (status === 204 || body.length === 0) return failed("answer without a body", "empty");
  const durable = headers.get("inboxbell-durable");
  return { ...judgeBody(body), ...(durable === undefined ? {} : { durable }) };
}

function failed(why: string, broke: AnswerRule): Verdict {
  return { kind: "failed", why, broke };
}

function judgeBody(body: Buffer): Verdict {
  const found = readStatus(body);
  if (found.kind === "doctype") return failed("DOCTYPE in the answer", "doctype");
  if (found.kind === "broken") {
    return body.length >= ANSWER_BYTES
      ? failed(`answer longer than ${ANSWER_BYTES} bytes`, "too_long")
      : failed("answer is not well-formed XML", "not_xml");
  }
  switch (found.text) {
    case "OK":
      return { kind: "ok" };
    case "Unsubscribe":
      return { kind: "unsubscribe" };
    case null:
      return failed("no SubscriptionStatus in the right namespace", "status_missing");
    default:
      return failed("SubscriptionStatus is neither OK nor Unsubscribe", "status_text");
  }
}

type Found =
  | { readonly kind: "doctype" }
  | { readonly kind: "broken" }
  | { readonly kind: "read"; readonly text: string | null };

function readStatus(body: Buffer): Found {
  const parser = new SaxesParser({ xmlns: true });
  const path: { readonly uri: string; readonly local: string }[] = [];
  let doctype = false;
  let text: string | null = null;
  let inside = false;
  parser.on("doctype", () => {
    doctype = true;
  });
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", (tag) => {
    const parent = path.at(-1);
    if (
      tag.local === "SubscriptionStatus" &&
      tag.uri === MESSAGES &&
      parent?.local === "SendNotificationResult" &&
      parent.uri === MESSAGES
    ) {
      inside = true;
      text = "";
    }
    path.push({ uri: tag.uri, local: tag.local });
  });
  parser.on("closetag", () => {
    path.pop();
    inside = false;
  });
  parser.on("text", (piece) => {
    if (inside) text += piece;
  });
  try {
    parser.write(new TextDecoder("utf-8", { fatal: true }).decode(body)).close();
  } catch {
    return doctype ? { kind: "doctype" } : { kind: "broken" };
  }
  return doctype ? { kind: "doctype" } : { kind: "read", text };
}
