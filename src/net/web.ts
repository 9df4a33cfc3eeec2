// Between net's requests and the web standard's: for the web framework behind the registration listener.
import type { HttpAnswer, HttpRequest } from "./types.ts";

// The framework reads path and query only; it does not see which name the client used.
const BASE = "http://localhost";
// The listener's business, whatever the framework put there.
const OWN_HEADERS = new Set(["content-length", "connection", "keep-alive", "transfer-encoding", "date"]);

/** The request as a web standard `Request`, with all its headers and its body. */
export function toWebRequest(request: HttpRequest): Request {
  const url = `${BASE}${request.path}${request.query === "" ? "" : `?${request.query}`}`;
  const headers = new Headers();
  for (const [name, value] of request.headers) headers.set(name, value);
  // The standard allows no body with these.
  const isBodiless = request.method === "GET" || request.method === "HEAD" || request.body.length === 0;
  return new Request(url, { method: request.method, headers, body: isBodiless ? null : request.body });
}

/** The framework's `Response` as an answer, read to its end. */
export async function fromWebResponse(response: Response): Promise<HttpAnswer> {
  const headers: Record<string, string> = {};
  response.headers.forEach((value, name) => {
    if (!OWN_HEADERS.has(name)) headers[name] = value;
  });
  return { status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) };
}
