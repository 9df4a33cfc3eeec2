// The paths of the API and the methods that each takes: for the 405 answer and for the OpenAPI document.

/** Path template → methods. */
export const PATHS = {
  "/v1/discovery": ["GET"],
  "/v1/openapi.json": ["GET"],
  "/v1/registrations/{uuid}": ["PUT", "GET", "DELETE"],
  "/v1/registrations/{uuid}/ring": ["POST"],
} as const;

export type Path = keyof typeof PATHS;

/** `METHOD template`, for each pair that there is. */
export type Route = { [P in Path]: `${(typeof PATHS)[P][number]} ${P}` }[Path];

/** The methods that a path takes (HEAD wherever GET is, RFC 9110 section 9.1), or null for an unknown path. */
export function allowedMethods(path: string): readonly string[] | null {
  for (const [template, methods] of Object.entries(PATHS)) {
    if (!matches(template, path)) continue;
    return methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  }
  return null;
}

function matches(template: string, path: string): boolean {
  const wanted = template.split("/");
  const given = path.split("/");
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part === "{uuid}" ? given[index] !== "" : part === given[index]))
  );
}
