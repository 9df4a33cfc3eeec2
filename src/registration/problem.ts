// Errors as the phone sees them: RFC 9457 problem details with a stable code, and never a value that was sent.

import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors";
import { CATALOGUE, type ErrorCode, type ErrorEntry } from "../errors.ts";
import { jsonResponse } from "./answer.ts";

/** The codes that this API answers with. */
export type ProblemCode =
  | "malformed"
  | "unauthorized"
  | "not_known_yet"
  | "not_found"
  | "method_not_allowed"
  | "stale_revision"
  | "subscription_bound"
  | "spent"
  | "body_too_large"
  | "unsupported_media_type"
  | "invalid_field"
  | "rate_limited"
  | "store_unavailable"
  | "internal";

export interface Problem {
  readonly code: ProblemCode & ErrorCode;
  /** For a person; what the code alone does not say. */
  readonly detail?: string;
  /** JSON Pointer into the body, or `uuid` for the id in the path. */
  readonly field?: string;
  readonly storedRevision?: number;
  readonly correlationId?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Carries a problem out of a hook that cannot return an answer. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.code);
    this.name = "ProblemError";
    this.problem = problem;
  }
}

/** Renders a problem as `application/problem+json`. */
export function problemResponse(problem: Problem): Response {
  const entry: ErrorEntry = CATALOGUE[problem.code];
  const status = entry.status ?? 500;
  const body = {
    // RFC 9457 section 3.1.1: a relative type names the full path.
    type: `/docs/errors#${problem.code}`,
    title: entry.text,
    status,
    code: problem.code,
    detail: problem.detail ?? entry.remedy,
    ...(problem.field === undefined ? {} : { field: problem.field }),
    ...(problem.storedRevision === undefined ? {} : { stored_revision: problem.storedRevision }),
    ...(problem.correlationId === undefined ? {} : { correlation_id: problem.correlationId }),
  };
  return jsonResponse(status, body, { ...problem.headers, "Content-Type": "application/problem+json" });
}

/** The same answer for an unknown id, a wrong secret and a wrong enrolment secret. */
export const UNAUTHORIZED: Problem = {
  code: "unauthorized",
  headers: { "WWW-Authenticate": 'Bearer realm="inboxbell"' },
};

/** Instead of it, from a node that may lack the registration, or a newer secret of it: another node has the answer. */
export const NOT_KNOWN_YET: Problem = { code: "not_known_yet", headers: { "Retry-After": "5" } };

/** `Retry-After` in whole seconds (RFC 9110 section 10.2.3), at least one. */
export function rateLimited(waitMs: number): Problem {
  return { code: "rate_limited", headers: { "Retry-After": String(Math.max(1, Math.ceil(waitMs / 1000))) } };
}

/** What a schema found wrong first, as field and reason. */
export function invalidValue(error: ValueError | undefined): Problem {
  const path = error?.path ?? "";
  const description = error?.schema.description;
  switch (error?.type) {
    case ValueErrorType.ObjectAdditionalProperties:
      // The last part of the path is a name that the client made up: it is not repeated.
      return {
        code: "invalid_field",
        field: path.slice(0, path.lastIndexOf("/")),
        detail: "There is a member that this version does not know. Remove it.",
      };
    case ValueErrorType.ObjectRequiredProperty:
      return { code: "invalid_field", field: path, detail: `It is missing. ${expected(description)}` };
    default:
      return { code: "invalid_field", field: path, detail: expected(description) };
  }
}

/** The id in the path is not what a registration's id looks like. */
export function invalidId(description: string | undefined): Problem {
  return { code: "invalid_field", field: "uuid", detail: expected(description) };
}

function expected(description: string | undefined): string {
  return description === undefined ? "It does not have the expected form." : `Expected: ${description}`;
}
