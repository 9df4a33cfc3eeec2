// Health as load balancers and monitors ask for it.
import { describe, expect, test } from "bun:test";
import { answerHealth, type Check, HEALTH_PATHS, type Role } from "../../src/ops/health.ts";

const good: Check = { name: "database", essential: true, look: () => ({ ok: true, detail: "writes" }) };
const bad: Check = { name: "database", essential: true, look: () => ({ ok: false, detail: "is full" }) };
const outage: Check = { name: "providers", essential: false, look: () => ({ ok: false, detail: "Apple" }) };

interface Question {
  readonly method?: string;
  readonly query?: string;
  readonly checks?: readonly Check[];
  readonly role?: Role;
}

function ask(path: string, { method = "GET", query = "", checks = [good], role = "active" }: Question = {}) {
  return answerHealth(method, path, query, checks, () => role);
}

test.each(["GET", "HEAD", "OPTIONS"])("%s is answered on each path, and kept by no cache", (method) => {
  for (const path of HEALTH_PATHS) {
    const answer = ask(path, { method });
    expect(answer).toMatchObject({ status: 200, headers: { "Cache-Control": "no-store" } });
    expect(answer!.headers.Allow).toBe(method === "OPTIONS" ? "GET, HEAD, OPTIONS" : (undefined as never));
  }
});

test("other methods and other paths are none of its business", () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "get"])
    expect(ask("/livez", { method })).toBeNull();
  for (const path of ["/", "/livez/", "/LIVEZ", "/healthz", "/readyz%20"]) expect(ask(path)).toBeNull();
});

describe("/livez", () => {
  test("is 200 whatever is wrong: a restart would not help", () => {
    expect(ask("/livez", { checks: [bad, outage], role: "passive" })).toMatchObject({
      status: 200,
      body: "ok\n",
    });
  });
});

describe("/readyz", () => {
  test("is 200 while the work can be done, in one word without a list", () => {
    expect(ask("/readyz")).toMatchObject({ status: 200, body: "ready\n" });
    expect(ask("/readyz", { checks: [] })).toMatchObject({ status: 200 });
  });

  test("is 503 when something essential fails", () => {
    expect(ask("/readyz", { checks: [good, bad] })).toMatchObject({ status: 503, body: "not ready\n" });
  });

  test("stays 200 during a provider's outage, and on a passive node", () => {
    expect(ask("/readyz", { checks: [good, outage] })!.status).toBe(200);
    expect(ask("/readyz", { role: "passive" })!.status).toBe(200);
  });

  test("?verbose says what was looked at, a line each, and the verdict last", () => {
    for (const query of ["verbose", "verbose=1", "a=b&verbose"]) {
      expect(ask("/readyz", { query, checks: [good, outage] })!.body).toBe(
        "ok   database: writes\nwarn providers: Apple\nready\n",
      );
    }
    expect(ask("/readyz", { query: "verbose", checks: [bad] })!.body).toBe(
      "FAIL database: is full\nnot ready\n",
    );
    expect(ask("/readyz", { query: "quiet&verbos=1" })!.body).toBe("ready\n");
  });
});

describe("/primary", () => {
  test("has fixed words that monitors match", () => {
    expect(ask("/primary")).toMatchObject({ status: 200, body: "ROLE=ACTIVE\n" });
    expect(ask("/primary", { role: "passive" })).toMatchObject({ status: 503, body: "ROLE=PASSIVE\n" });
  });

  test("does not look at readiness", () => {
    expect(ask("/primary", { checks: [bad] })!.status).toBe(200);
  });
});
