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

function render(status: number): FixedAnswer {
  const code = codeOf(status);
  const { text, remedy } = CATALOGUE[code];
  // As in problem.ts; nothing of the request is in it.
  const body = { type: `/docs/errors#${code}`, title: text, status, code, detail: remedy };
  const headers = { "Content-Type": "application/problem+json", "Cache-Control": "no-store" };
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
