// Requests and answers between the listener and a web framework.
import { expect, test } from "bun:test";
import type { HttpRequest } from "../../src/net/types.ts";
import { fromWebResponse, toWebRequest } from "../../src/net/web.ts";
import { request, startListener, statuses } from "./helpers.ts";

const PLAIN: HttpRequest = {
  method: "GET",
  path: "/v1/a%20b",
  query: "x=1&y=%2F",
  headers: new Map([
    ["host", "push.corp.example"],
    ["authorization", "Bearer abc"],
    ["x-latin", "\xe9"],
  ]),
  body: Buffer.alloc(0),
  oversize: false,
  remoteAddress: "127.0.0.1",
  correlationId: "0",
  receivedAtMs: 0,
};

test("a request keeps its method, target, headers and body", async () => {
  const got = toWebRequest({ ...PLAIN, method: "PUT", body: Buffer.from([0, 255, 10]) });
  expect(got.method).toBe("PUT");
  expect(got.url).toBe("http://localhost/v1/a%20b?x=1&y=%2F");
  expect(Object.fromEntries(got.headers.entries())).toEqual(Object.fromEntries(PLAIN.headers));
  expect(Buffer.from(await got.arrayBuffer())).toEqual(Buffer.from([0, 255, 10]));
});

test("a GET with a body is one without", () => {
  expect(toWebRequest({ ...PLAIN, body: Buffer.from("a") }).body).toBeNull();
  expect(toWebRequest({ ...PLAIN, method: "HEAD", body: Buffer.from("a") }).body).toBeNull();
});

test("a path cannot name another host", () => {
  for (const path of ["//evil.example/x", "/@evil.example", "/:80@evil.example/"]) {
    expect(new URL(toWebRequest({ ...PLAIN, path }).url).host).toBe("localhost");
  }
});

test("a response keeps its status, headers and body, without what the listener decides", async () => {
  const response = new Response(new Uint8Array([1, 2, 3]), {
    status: 422,
    headers: { "Content-Type": "application/problem+json", "Content-Length": "99", Connection: "close" },
  });
  expect(await fromWebResponse(response)).toEqual({
    status: 422,
    headers: { "content-type": "application/problem+json" },
    body: Buffer.from([1, 2, 3]),
  });
  expect(await fromWebResponse(new Response(null, { status: 204 }))).toEqual({
    status: 204,
    headers: {},
    body: Buffer.alloc(0),
  });
});

test("every method that the listener takes can be passed on", async () => {
  const bell = await startListener("plain", {
    handler: async (got) => {
      const web = toWebRequest(got);
      return fromWebResponse(new Response(`${web.method} ${await web.text()}`));
    },
  });
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const body = method === "GET" ? "" : "body";
    const received = await bell.ask(request(`${method} /`, {}, body));
    expect(statuses(received)).toEqual([200]);
    expect(received).toEndWith(`${method} ${body}`);
  }
  await bell.stop();
});
