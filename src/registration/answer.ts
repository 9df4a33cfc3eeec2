// Rendering of JSON answers for the phone.

// `pair` when two nodes hold what the answer rests on; a node without a peer says `node`.
export const DURABLE: Readonly<Record<string, string>> = { "Inboxbell-Durable": "node" };

/** A JSON answer that nobody may keep: it may carry callback URLs. */
export function jsonResponse(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers },
  });
}

/** An answer without a body. */
export function emptyResponse(status: number, headers: Readonly<Record<string, string>>): Response {
  return new Response(null, { status, headers: { "Cache-Control": "no-store", ...headers } });
}
