// Rendering of JSON answers for the phone.

import type { Durability } from "../store/types.ts";

/** Notes, while a request is worked on, on how many nodes its answer rests: a node without a peer says `node`. */
export interface DurabilityNote {
  readonly onDurable: (durability: Durability) => void;
  /** For the answer. */
  readonly headers: Readonly<Record<string, string>>;
}

export function noteDurability(): DurabilityNote {
  let durability: Durability = "node";
  return {
    onDurable(word) {
      durability = word;
    },
    get headers() {
      return { "Inboxbell-Durable": durability };
    },
  };
}

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
