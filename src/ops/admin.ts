// The admin listener's own paths: the metrics in Prometheus' text format.
import type { Metrics } from "./metrics.ts";

export interface AdminAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Makes the answer to a request on the admin listener.
 * @param refresh brings the gauges up to date before they are read
 */
export function createAdminHandler(metrics: Metrics, refresh: () => Promise<void>) {
  return async (request: { readonly method: string; readonly path: string }): Promise<AdminAnswer> => {
    if (request.path !== "/metrics") return plain(404, "not found");
    if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "method not allowed");
    // A database that cannot be read is what the other metrics tell of: they are answered all the same.
    await refresh().catch(() => {});
    return {
      status: 200,
      headers: { "Content-Type": metrics.registry.contentType, "Cache-Control": "no-store" },
      body: await metrics.registry.metrics(),
    };
  };
}

function plain(status: number, text: string): AdminAnswer {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: `${text}\n` };
}
