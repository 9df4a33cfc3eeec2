import { afterAll, beforeAll, expect, test } from "bun:test";
import { FormatRegistry } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { openApiDocument } from "../../src/registration/openapi.ts";
import {
  discoverySchema,
  problemSchema,
  registrationAnswerSchema,
  registrationViewSchema,
  ringAnswerSchema,
} from "../../src/registration/schema.ts";
import { type Api, newPhone, START, startApi } from "./helpers.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi({ sharedRoute: true });
});
afterAll(() => api.stop());

// The contract's routes with the answers that each can give.
const CONTRACT: Readonly<Record<string, readonly number[]>> = {
  "get /v1/discovery": [200, 413, 500],
  "get /v1/openapi.json": [200, 413, 500],
  "put /v1/registrations/{uuid}": [200, 201, 400, 401, 409, 410, 413, 415, 422, 429, 500, 503],
  "get /v1/registrations/{uuid}": [200, 401, 410, 413, 422, 429, 500, 503],
  "delete /v1/registrations/{uuid}": [204, 401, 413, 422, 429, 500, 503],
  "post /v1/registrations/{uuid}/ring": [202, 401, 410, 413, 422, 429, 500, 503],
};

// biome-ignore lint/suspicious/noExplicitAny: a JSON document is walked
type Json = any;

test("the document names every route of the contract with all its answers, and no other", async () => {
  const { json, headers } = await api.call("GET", "/v1/openapi.json");
  expect(headers.get("content-type")).toBe("application/json");
  const found: Record<string, number[]> = {};
  for (const [path, item] of Object.entries<Json>(json.paths)) {
    for (const [method, operation] of Object.entries<Json>(item)) {
      if (method === "parameters") continue;
      found[`${method} ${path}`] = Object.keys(operation.responses).map(Number);
    }
  }
  expect(found).toEqual(CONTRACT as Record<string, number[]>);
});

test("the document has the structure that OpenAPI 3.1 asks for", async () => {
  const { json } = await api.call("GET", "/v1/openapi.json");
  expect(json.openapi).toMatch(/^3\.1\.\d+$/);
  expect(json.info.title).toBeString();
  expect(json.info.version).toBeString();
  expect(json.servers).toEqual([{ url: "https://push.test" }]);
  expect(json).toEqual(JSON.parse(JSON.stringify(openApiDocument("https://push.test"))));
  const ids = new Set<string>();
  for (const [path, item] of Object.entries<Json>(json.paths)) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    expect((item.parameters ?? []).map((parameter: Json) => parameter.name)).toEqual(named);
    for (const [method, operation] of Object.entries<Json>(item)) {
      if (method === "parameters") continue;
      expect(ids.has(operation.operationId)).toBe(false);
      ids.add(operation.operationId);
      expect(operation.summary).toBeString();
      expect(operation.description).toBeString();
      for (const response of Object.values<Json>(operation.responses)) {
        expect(response.description).toBeString();
      }
      for (const needed of operation.security) {
        for (const name of Object.keys(needed)) {
          expect(json.components.securitySchemes[name]).toMatchObject({ type: "http", scheme: "bearer" });
        }
      }
    }
  }
  for (const reference of JSON.stringify(json).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
    expect(json.components.schemas[reference[1]!]).toBeDefined();
  }
  // No page and no script from elsewhere.
  expect((await api.call("GET", "/v1/openapi")).status).toBe(404);
});

test("every field of a registration is described", async () => {
  const { json } = await api.call("GET", "/v1/openapi.json");
  const walk = (schema: Json, where: string) => {
    for (const [name, property] of Object.entries<Json>(schema.properties ?? {})) {
      if (typeof property.description !== "string") throw new Error(`${where}.${name} has no description`);
      walk(property, `${where}.${name}`);
    }
    if (schema.items !== undefined) walk(schema.items, `${where}[]`);
  };
  walk(json.components.schemas.RegistrationRequest, "body");
});

test("answers follow the schemas that the document gives", async () => {
  FormatRegistry.Set("uuid", (value) => /^[0-9a-f-]{36}$/.test(value));
  FormatRegistry.Set("uri", (value) => URL.canParse(value));
  FormatRegistry.Set("uri-reference", (value) => URL.canParse(value, "https://push.test"));
  FormatRegistry.Set("date-time", (value) => new Date(value).toISOString() === value);
  const phone = newPhone(api);
  const created = await phone.put(START);
  await api.folder(phone.id, { boundGeneration: START, lastHeardAt: START });
  const ring = await phone.ring();
  const [begun] = await api.store.begin([phone.id]);
  await api.store.settle([{ ring: begun!, kind: "done", outcome: "accepted", at: START }]);
  const view = await phone.get();
  expect(view.json.last_ring).toEqual({
    at: new Date(START).toISOString(),
    reasons: ["test"],
    outcome: "accepted",
  });
  for (const [schema, answer] of [
    [discoverySchema, await api.call("GET", "/v1/discovery")],
    [registrationAnswerSchema, created],
    [registrationViewSchema, view],
    [ringAnswerSchema, ring],
    [problemSchema, await phone.renew(START - 1)],
    [problemSchema, await phone.renew(0)],
  ] as const) {
    expect([...Value.Errors(schema, answer.json)]).toEqual([]);
  }
});

test("discovery tells apps with their platforms, the ways to register, and how to subscribe", async () => {
  const { status, json } = await api.call("GET", "/v1/discovery");
  expect(status).toBe(200);
  expect(json).toEqual({
    version: 1,
    apps: [
      { id: "com.example.mail", platforms: ["apns", "fcm"] },
      { id: "com.example.ios", platforms: ["apns"] },
    ],
    auth: ["enrolment_secret"],
    ews: {
      event_types: [
        "NewMailEvent",
        "CreatedEvent",
        "ModifiedEvent",
        "DeletedEvent",
        "MovedEvent",
        "CopiedEvent",
      ],
      status_frequency_minutes: 15,
      shared_callback_url: "https://bell.test:9443/ews",
    },
  });
  const head = await fetch(`${api.base}/v1/discovery`, { method: "HEAD", tls: { ca: api.certificate } });
  expect(head.status).toBe(200);
});
