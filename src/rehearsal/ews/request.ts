// Renders the bytes of a request as Exchange writes them: these headers, in this order, and no others. Pure.

const SOAP_ACTION = "http://schemas.microsoft.com/exchange/services/2006/messages/SendNotification";

export interface RequestParts {
  readonly url: URL;
  /** Given at `Subscribe`; Exchange returns it as a header. */
  readonly callerData: string | null;
}

/** Head of the POST that carries a notification. The body follows in a write of its own. */
export function renderPostHead(parts: RequestParts, bodyBytes: number): string {
  return head("POST", parts, ["Content-Type: text/xml; charset=utf-8"], [`Content-Length: ${bodyBytes}`]);
}

/** The GET that Exchange's HTTP client makes of a POST when it is redirected (301 to 303): the body is gone. */
export function renderRedirectedGet(parts: RequestParts): string {
  return head("GET", parts, ["Content-Type: text/xml; charset=utf-8"], []);
}

function head(
  method: "POST" | "GET",
  parts: RequestParts,
  first: readonly string[],
  last: readonly string[],
): string {
  const { url, callerData } = parts;
  return [
    `${method} ${url.pathname}${url.search} HTTP/1.1`,
    ...first,
    "Accept: text/xml",
    ...(callerData === null ? [] : [`CallerData: ${callerData}`]),
    `SOAPAction: ${SOAP_ACTION}`,
    // Without the port when it is the scheme's own, as URL gives it.
    `Host: ${url.host}`,
    ...last,
    "Connection: Close",
    "",
    "",
  ].join("\r\n");
}
