// Health as load balancers and monitors ask for it. The checks are named functions; what they look at is not this
// file's business. A provider's outage never makes a node unready: restarting would not help.

/** One thing that `/readyz?verbose` looks at. */
export interface Check {
  readonly name: string;
  /** Whether a failure makes the node unready; others are shown only. */
  readonly essential: boolean;
  /** `detail` is one line in plain words. */
  readonly look: () => { readonly ok: boolean; readonly detail: string };
}

export type Role = "active" | "passive";

export interface HealthAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Paths that are answered on every listener, whatever its allow list says. */
export const HEALTH_PATHS: readonly string[] = ["/livez", "/readyz", "/primary"];

/**
 * Answers a health request, or returns null if the path or method is not one.
 * @param query without the question mark
 */
export function answerHealth(
  method: string,
  path: string,
  query: string,
  checks: readonly Check[],
  role: () => Role,
): HealthAnswer | null {
  if (!HEALTH_PATHS.includes(path)) return null;
  if (method !== "GET" && method !== "HEAD" && method !== "OPTIONS") return null;
  const answer = (status: number, body: string): HealthAnswer => ({
    status,
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      "Cache-Control": "no-store",
      ...(method === "OPTIONS" ? { Allow: "GET, HEAD, OPTIONS" } : {}),
    },
    body: `${body}\n`,
  });
  switch (path) {
    case "/livez":
      return answer(200, "ok");
    case "/primary":
      // The words are fixed: NetScaler's HTTP-ECV monitor matches the body, its HTTP monitor the status.
      return role() === "active" ? answer(200, "ROLE=ACTIVE") : answer(503, "ROLE=PASSIVE");
    default: {
      const results = checks.map((check) => ({ check, result: check.look() }));
      const ready = results.every(({ check, result }) => result.ok || !check.essential);
      const lines = results.map(({ check, result }) => {
        const mark = result.ok ? "ok  " : check.essential ? "FAIL" : "warn";
        return `${mark} ${check.name}: ${result.detail}`;
      });
      const verdict = ready ? "ready" : "not ready";
      const verbose = new URLSearchParams(query).has("verbose");
      return answer(ready ? 200 : 503, verbose ? [...lines, verdict].join("\n") : verdict);
    }
  }
}
