// The OpenAPI document, made from the same schemas that check the requests. JSON only: no page, no CDN.
import { CATALOGUE, type ErrorEntry } from "../errors.ts";
import type { ProblemCode } from "./problem.ts";
import { PATHS, type Route } from "./routes.ts";
import {
  discoverySchema,
  paramsSchema,
  problemSchema,
  registrationAnswerSchema,
  registrationRequestSchema,
  registrationViewSchema,
  ringAnswerSchema,
} from "./schema.ts";

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  /** Names of security schemes; none means that no credential is needed. */
  readonly security: readonly (keyof typeof SECURITY)[];
  readonly requestSchema?: string;
  /** Status → what it means and, if there is a body, its schema's name. */
  readonly answers: Readonly<Record<number, { readonly text: string; readonly schema?: string }>>;
  readonly problems: readonly ProblemCode[];
  /** The answer says how durably it is stored. */
  readonly durable?: boolean;
}

const SECURITY = {
  enrolment: {
    type: "http",
    scheme: "bearer",
    description: "The enrolment secret. Needed only for an id that is not registered.",
  },
  registration: {
    type: "http",
    scheme: "bearer",
    description: "The registration's own secret.",
  },
} as const;

const SCHEMAS = {
  Discovery: discoverySchema,
  RegistrationRequest: registrationRequestSchema,
  RegistrationAnswer: registrationAnswerSchema,
  Registration: registrationViewSchema,
  RingAnswer: ringAnswerSchema,
  Problem: problemSchema,
};

const ANYWHERE: readonly ProblemCode[] = ["body_too_large", "internal"];
const WITH_SECRET: readonly ProblemCode[] = [
  "unauthorized",
  "not_known_yet",
  "invalid_field",
  "rate_limited",
  "store_unavailable",
];

const OPERATIONS: Readonly<Record<Route, Operation>> = {
  "GET /v1/discovery": {
    operationId: "discover",
    summary: "What this server rings and how to subscribe",
    description: "Read it first, and again when a registration is refused.",
    security: [],
    answers: { 200: { text: "What an app needs to know.", schema: "Discovery" } },
    problems: [],
  },
  "GET /v1/openapi.json": {
    operationId: "describe",
    summary: "This document",
    description: "OpenAPI 3.1.",
    security: [],
    answers: { 200: { text: "This document." } },
    problems: [],
  },
  "PUT /v1/registrations/{uuid}": {
    operationId: "register",
    summary: "Register or renew",
    description:
      "Idempotent: the same revision again changes nothing and gets the same answer, a lower one is refused. A new id needs the enrolment secret as the bearer; an existing one needs the secret in the body. A folder that is new, changes its kind or says new_subscription gets a new callback URL.",
    security: ["enrolment"],
    requestSchema: "RegistrationRequest",
    answers: {
      200: { text: "Renewed, or a repeat of the stored revision.", schema: "RegistrationAnswer" },
      201: { text: "Registered.", schema: "RegistrationAnswer" },
    },
    problems: [
      ...WITH_SECRET,
      "malformed",
      "unsupported_media_type",
      "stale_revision",
      "subscription_bound",
      "spent",
    ],
    durable: true,
  },
  "GET /v1/registrations/{uuid}": {
    operationId: "look",
    summary: "How the registration stands",
    description: "Whether Exchange is heard for each folder, and how the last ring ended.",
    security: ["registration"],
    answers: { 200: { text: "The registration.", schema: "Registration" } },
    problems: [...WITH_SECRET, "spent"],
  },
  "DELETE /v1/registrations/{uuid}": {
    operationId: "unregister",
    summary: "Delete for good",
    description:
      "The id is spent, and Exchange's subscriptions end with its next notification. Deleting again gets the same answer.",
    security: ["registration"],
    answers: { 204: { text: "Deleted." } },
    problems: WITH_SECRET,
    durable: true,
  },
  "POST /v1/registrations/{uuid}/ring": {
    operationId: "ring",
    summary: "Ask for a test ring",
    description: "Up to 6 a minute. A body is not looked at.",
    security: ["registration"],
    answers: { 202: { text: "A test ring is owed.", schema: "RingAnswer" } },
    problems: [...WITH_SECRET, "spent"],
    durable: true,
  },
};

/**
 * The document.
 * @param serverUrl what phones reach, `public.registration_url`
 */
export function openApiDocument(serverUrl: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [path, methods] of Object.entries(PATHS)) {
    const item: Record<string, unknown> = {};
    if (path.includes("{uuid}")) {
      const schema = paramsSchema.properties.uuid;
      item.parameters = [
        { name: "uuid", in: "path", required: true, description: schema.description, schema },
      ];
    }
    for (const method of methods) {
      const operation: Operation | undefined = OPERATIONS[`${method} ${path}` as Route];
      if (operation !== undefined) item[method.toLowerCase()] = describe(operation);
    }
    paths[path] = item;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Inboxbell registration API",
      version: "1.0.0",
      description: "How an app has its phone rung when its mailbox changes.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: serverUrl }],
    paths,
    components: { schemas: SCHEMAS, securitySchemes: SECURITY },
  };
}

function describe(operation: Operation): Record<string, unknown> {
  const responses: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(operation.answers)) {
    responses[status] = {
      description: answer.text,
      ...(operation.durable === true ? { headers: DURABLE_HEADER } : {}),
      ...(answer.schema === undefined ? {} : { content: content("application/json", answer.schema) }),
    };
  }
  for (const [status, codes] of byStatus([...operation.problems, ...ANYWHERE])) {
    responses[status] = {
      description: codes.map((code) => `${code}: ${CATALOGUE[code].text}`).join(" "),
      content: content("application/problem+json", "Problem"),
      ...(status === "429" || status === "503" ? { headers: RETRY_AFTER } : {}),
    };
  }
  return {
    operationId: operation.operationId,
    summary: operation.summary,
    description: operation.description,
    // An empty alternative: the PUT of an existing registration carries its secret in the body.
    security:
      operation.security[0] === "enrolment"
        ? [{ enrolment: [] }, {}]
        : operation.security.map((name) => ({ [name]: [] })),
    ...(operation.requestSchema === undefined
      ? {}
      : { requestBody: { required: true, content: content("application/json", operation.requestSchema) } }),
    responses,
  };
}

const DURABLE_HEADER = {
  "Inboxbell-Durable": {
    description: "pair if two nodes hold what the answer rests on, node if one does.",
    schema: { type: "string", enum: ["pair", "node"] },
  },
};

const RETRY_AFTER = {
  "Retry-After": { description: "Seconds to wait.", schema: { type: "integer", minimum: 1 } },
};

function content(mediaType: string, schema: string): Record<string, unknown> {
  return { [mediaType]: { schema: { $ref: `#/components/schemas/${schema}` } } };
}

function byStatus(codes: readonly ProblemCode[]): Map<string, ProblemCode[]> {
  const grouped = new Map<string, ProblemCode[]>();
  for (const code of codes) {
    const entry: ErrorEntry = CATALOGUE[code];
    const status = String(entry.status ?? 500);
    grouped.set(status, [...(grouped.get(status) ?? []), code]);
  }
  return grouped;
}
