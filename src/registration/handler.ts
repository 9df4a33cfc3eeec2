// The device-facing API at its edge: routes, bodies, and errors turned into problem details.
import { Elysia, NotFoundError, ParseError, ValidationError } from "elysia";
import { isBellError } from "../errors.ts";
import type { HttpRequest, RequestHandler } from "../net/types.ts";
import { fromWebResponse, toWebRequest } from "../net/web.ts";
import type { Metrics } from "../ops/metrics.ts";
import { jsonResponse } from "./answer.ts";
import { readJson } from "./body.ts";
import { discovery } from "./discovery.ts";
import { openApiDocument } from "./openapi.ts";
import { type Problem, ProblemError, problemResponse, validationProblem } from "./problem.ts";
import { allowedMethods } from "./routes.ts";
import { paramsSchema, registrationRequestSchema } from "./schema.ts";
import { createService, type ServiceDeps } from "./service.ts";

export interface RegistrationHandlerDeps extends ServiceDeps {
  readonly metrics: Metrics;
}

// A phone asks again this long after the database could not be written, seconds.
const RETRY_AFTER = { "Retry-After": "5" };

/** Makes the handler of the registration listener. It holds no timer and nothing to stop. */
export function createRegistrationHandler(deps: RegistrationHandlerDeps): RequestHandler {
  // Elysia hands its routes a web Request; what net/ knows beyond that is found again by it.
  const received = new WeakMap<Request, HttpRequest>();
  const app = createApp(deps, (webRequest) => {
    const request = received.get(webRequest);
    if (request === undefined) throw new Error("A request did not come from the listener.");
    return request;
  });

  async function answer(request: HttpRequest): Promise<Response> {
    if (request.oversize) return problemResponse({ code: "body_too_large" });
    const webRequest = toWebRequest(request);
    received.set(webRequest, request);
    return app.handle(webRequest);
  }

  return async (request) => {
    const response = await answer(request).catch((error: unknown) =>
      problemResponse(unexpected(error, request, deps)),
    );
    deps.metrics.registrationAnswers.inc({ status: String(response.status) });
    return fromWebResponse(response);
  };
}

function createApp(deps: RegistrationHandlerDeps, requestOf: (webRequest: Request) => HttpRequest) {
  const service = createService(deps);
  const document = openApiDocument(deps.config.public.registrationUrl);
  const found = discovery(deps.config);
  const params = paramsSchema;

  // normalize: false, or unknown members would be dropped instead of refused.
  return new Elysia({ normalize: false, strictPath: true })
    .onError(({ error, request }) => {
      const source = requestOf(request);
      if (error instanceof NotFoundError) return problemResponse(noRoute(source.path));
      if (error instanceof ValidationError) return problemResponse(validationProblem(error));
      if (error instanceof ParseError) {
        const { cause } = error;
        return problemResponse(cause instanceof ProblemError ? cause.problem : { code: "malformed" });
      }
      return problemResponse(unexpected(error, source, deps));
    })
    .get("/v1/discovery", () => jsonResponse(200, found))
    .get("/v1/openapi.json", () => jsonResponse(200, document))
    .put(
      "/v1/registrations/:uuid",
      ({ request, params: { uuid }, body }) => service.register(requestOf(request), uuid, body),
      { params, body: registrationRequestSchema, parse: [({ request }) => readJson(requestOf(request))] },
    )
    .get(
      "/v1/registrations/:uuid",
      ({ request, params: { uuid } }) => service.look(requestOf(request), uuid),
      {
        params,
      },
    )
    .delete(
      "/v1/registrations/:uuid",
      ({ request, params: { uuid } }) => service.unregister(requestOf(request), uuid),
      { params, parse: "none" },
    )
    .post(
      "/v1/registrations/:uuid/ring",
      ({ request, params: { uuid } }) => service.ring(requestOf(request), uuid),
      { params, parse: "none" },
    );
}

function noRoute(path: string): Problem {
  const allowed = allowedMethods(path);
  return allowed === null
    ? { code: "not_found" }
    : { code: "method_not_allowed", headers: { Allow: allowed.join(", ") } };
}

/** An error that no request should cause: the log has its reason, the answer only how to find it there. */
function unexpected(error: unknown, request: HttpRequest, deps: RegistrationHandlerDeps): Problem {
  const correlationId = request.correlationId;
  const reason = error instanceof Error ? error.message : String(error);
  if (isBellError(error) && (error.code === "store_unavailable" || error.code === "key_unknown")) {
    deps.log.warn({ correlation: correlationId, code: error.code, reason }, "A phone was told to try again.");
    return { code: error.code, correlationId, headers: RETRY_AFTER };
  }
  deps.log.error({ correlation: correlationId, reason }, "A phone's request failed.");
  return { code: "internal", correlationId };
}
