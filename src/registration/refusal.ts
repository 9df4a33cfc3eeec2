// What the listener answers by itself, before any route is looked for: problem details, as every other error here.
import { CATALOGUE, type ErrorCode } from "../errors.ts";
import { fixedAnswer } from "../net/answer.ts";
import type { FixedAnswer } from "../net/types.ts";

const rendered = new Map<number, FixedAnswer>();

/** The answer to a request that is refused with this HTTP status without being read to its end. */
export function refusalAnswer(status: number): FixedAnswer {
  let answer = rendered.get(status);
  if (answer === undefined) {
    answer = render(status);
    rendered.set(status, answer);
  }
  return answer;
}

/** The answer of a node that has to leave it to another one. */
export const NOT_SERVING: FixedAnswer = render(503, "not_serving", { "Retry-After": "1" });

function render(
  status: number,
  code: ErrorCode = codeOf(status),
  more: Readonly<Record<string, string>> = {},
): FixedAnswer {
  const { text, remedy } = CATALOGUE[code];
  // As in problem.ts; nothing of the request is in it.
  const body = { type: `/docs/errors#${code}`, title: text, status, code, detail: remedy };
  const headers = { "Content-Type": "application/problem+json", "Cache-Control": "no-store", ...more };
  return fixedAnswer(status, headers, JSON.stringify(body));
}

function codeOf(status: number): ErrorCode {
  switch (status) {
    case 413:
      return "body_too_large";
    case 500:
      return "internal";
    default:
      return "http_malformed";
  }
}
