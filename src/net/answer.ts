// Turns answers into bytes. Answers that never change are rendered once.
import { STATUS_CODES } from "node:http";
import type { Answer, FixedAnswer, Hangup, HttpAnswer } from "./types.ts";

const CRLF = "\r\n";
const HEAD_END = "\r\n\r\n";
const EMPTY = Buffer.alloc(0);
// RFC 9110, 5.6.2 and 5.5. A value that could end its line would let data become headers.
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t -~\x80-\xff]*$/;
// Decided here, whatever a handler says.
const OWN_HEADERS = new Set(["connection", "keep-alive", "content-length", "transfer-encoding", "date"]);

/** 100 Continue, as it goes over the wire (RFC 9110, 10.1.1). */
export const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

export function isHangup(answer: Answer): answer is Hangup {
  return "hangup" in answer;
}

export function isFixed(answer: Answer): answer is FixedAnswer {
  return "rendered" in answer;
}

// RFC 9110, 6.4.1 and 8.6: such an answer has neither a body nor, for 204, a length.
function hasBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

function renderHead(
  status: number,
  headers: Readonly<Record<string, string>>,
  length: number,
  close: boolean,
  date: string | null,
): string {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError("status of an answer");
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}${CRLF}`;
  for (const name of Object.keys(headers)) {
    const value = headers[name] ?? "";
    if (OWN_HEADERS.has(name.toLowerCase())) continue;
    if (!NAME.test(name) || !VALUE.test(value)) throw new TypeError("header of an answer");
    head += `${name}: ${value}${CRLF}`;
  }
  if (hasBody(status)) head += `Content-Length: ${length}${CRLF}`;
  if (date !== null) head += `Date: ${date}${CRLF}`;
  return `${head}Connection: ${close ? "close" : "keep-alive"}${HEAD_END}`;
}

/**
 * Renders an answer for good. It carries no `Date`, which would go stale.
 * @param status 200 to 599
 * @param headers without Content-Length, Connection and Date, which are added here
 */
export function fixedAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
): FixedAnswer {
  const bytes = hasBody(status) ? Buffer.from(body) : EMPTY;
  const render = (close: boolean): Buffer =>
    Buffer.concat([Buffer.from(renderHead(status, headers, bytes.length, close, null), "latin1"), bytes]);
  return { status, rendered: { close: render(true), keepAlive: render(false) } };
}

/**
 * Renders an answer of a handler.
 * @param date the value of the `Date` header
 * @throws RangeError or TypeError if the handler made an answer that HTTP cannot express
 */
export function renderAnswer(answer: HttpAnswer, close: boolean, date: string): Buffer {
  const body = hasBody(answer.status) ? (answer.body ?? EMPTY) : EMPTY;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const head = renderHead(answer.status, answer.headers ?? {}, bytes.length, close, date);
  const rendered = Buffer.allocUnsafe(head.length + bytes.length);
  rendered.write(head, 0, "latin1");
  bytes.copy(rendered, head.length);
  return rendered;
}

/** The same answer without its body, for HEAD (RFC 9110, 9.3.2). */
export function headOnly(rendered: Buffer): Buffer {
  const end = rendered.indexOf(HEAD_END);
  return end < 0 ? rendered : rendered.subarray(0, end + HEAD_END.length);
}

const bareAnswers = new Map<number, FixedAnswer>();

/** The listener's own answer to a request that no handler sees: the status in words, nothing else. */
export function bareAnswer(status: number): FixedAnswer {
  let answer = bareAnswers.get(status);
  if (answer === undefined) {
    const text = `${STATUS_CODES[status] ?? "Refused"}\n`;
    answer = fixedAnswer(status, { "Content-Type": "text/plain; charset=utf-8" }, text);
    bareAnswers.set(status, answer);
  }
  return answer;
}
