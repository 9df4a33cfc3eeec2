// The device-facing API at its edge: routes, bodies, and errors turned into problem details.
import { Elysia, NotFoundError } from "elysia";
import { isBellError } from "../errors.ts";
import { firstFrame } from "../net/labels.ts";
import type { HttpRequest, RequestHandler } from "../net/types.ts";
import { fromWebResponse, toWebRequest } from "../net/web.ts";
import type { Metrics } from "../ops/metrics.ts";
import { jsonResponse } from "./answer.ts";
import { bodyReader } from "./body.ts";
import { discovery } from "./discovery.ts";
import { openApiDocument } from "./openapi.ts";
import { invalidId, type Problem, ProblemError, problemResponse } from "./problem.ts";
import { NOT_SERVING } from "./refusal.ts";
import { allowedMethods } from "./routes.ts";
import { paramsSchema, registrationRequestSchema, UUID_PATTERN } from "./schema.ts";
import { createService, type ServiceDeps } from "./service.ts";

export interface RegistrationHandlerDeps extends ServiceDeps {
  readonly metrics: Metrics;
  /** False while this node has to leave the answers to another one. */
  readonly serving?: () => boolean;
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
    const refused = noRoute(request);
    if (refused !== null) return problemResponse(refused);
    if (request.oversize) return problemResponse({ code: "body_too_large" });
    const webRequest = toWebRequest(request);
    received.set(webRequest, request);
    return app.handle(webRequest);
  }

  return async (request) => {
    if (deps.serving?.() === false) {
      deps.metrics.registrationAnswers.inc({ status: String(NOT_SERVING.status) });
      return NOT_SERVING;
    }
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
  const readBody = bodyReader(registrationRequestSchema);

  return new Elysia({ strictPath: true })
    .onError(({ error, request }) => {
      const source = requestOf(request);
      if (error instanceof NotFoundError) return problemResponse({ code: "not_found" });
      if (error instanceof ProblemError) return problemResponse(error.problem);
      return problemResponse(unexpected(error, source, deps));
    })
    .get("/v1/discovery", () => jsonResponse(200, found))
    .get("/v1/openapi.json", () => jsonResponse(200, document))
    .guard({ parse: "none" }, (routes) =>
      routes
        .put("/v1/registrations/:uuid", ({ request, params }) => {
          const source = requestOf(request);
          return service.register(source, readId(params.uuid), readBody(source));
        })
        .get("/v1/registrations/:uuid", ({ request, params }) =>
          service.look(requestOf(request), readId(params.uuid)),
        )
        .delete("/v1/registrations/:uuid", ({ request, params }) =>
          service.unregister(requestOf(request), readId(params.uuid)),
        )
        .post("/v1/registrations/:uuid/ring", ({ request, params }) =>
          service.ring(requestOf(request), readId(params.uuid)),
        ),
    );
}

const UUID = new RegExp(UUID_PATTERN);

/**
 * The id from the path, in lower case.
 * @param uuid as Elysia decoded it; not a string where that failed
 */
function readId(uuid: unknown): string {
  if (typeof uuid !== "string" || !UUID.test(uuid)) {
    throw new ProblemError(invalidId(paramsSchema.properties.uuid.description));
  }
  return uuid.toLowerCase();
}

/** Asked before Elysia is, which answers a known path with another method like an unknown path. */
function noRoute({ method, path }: HttpRequest): Problem | null {
  const allowed = allowedMethods(path);
  if (allowed === null) return { code: "not_found" };
  if (allowed.includes(method)) return null;
  return { code: "method_not_allowed", headers: { Allow: allowed.join(", ") } };
}

/** An error that no request should cause: the log has its reason, the answer only how to find it there. */
function unexpected(error: unknown, request: HttpRequest, deps: RegistrationHandlerDeps): Problem {
  const correlationId = request.correlationId;
  if (isBellError(error, "store_unavailable")) {
    // The store's owner tells the outage once; a line for each phone would only bury it.
    deps.log.debug({ correlationId, code: error.code }, "A phone was told to try again.");
    return { code: "store_unavailable", correlationId, headers: RETRY_AFTER };
  }
  // Its place, not its message, which could carry what the phone sent.
  const told = error instanceof Error ? { error: error.name, at: firstFrame(error) } : {};
  deps.log.error({ correlationId, ...told }, "A phone's request failed.");
  return { code: "internal", correlationId };
}
