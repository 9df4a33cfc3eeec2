// How the simulated FCM behaves on the wire, over HTTP/2 and over HTTP/1.1, and how it misbehaves when told to.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Agent, request as requestHttps } from "node:https";
import type { DeliveredMessage } from "../../src/rehearsal/fcm/simulator.ts";
import { fcmRefusal } from "../../src/rehearsal/fcm/simulator.ts";
import { assertion, authority, connect, NOON, PROJECT, startFcm, within } from "./provider-helpers.ts";

// Loopback answers within a few milliseconds; what has not come by then does not come.
const SILENCE_MS = 120;
const PATH = `/v1/projects/${PROJECT}/messages:send`;

let fcm: Awaited<ReturnType<typeof startFcm>>;
const rung: DeliveredMessage[] = [];

interface Answer {
  readonly status: number | undefined;
  readonly rst?: number;
}
/** Sends to a path over one kind of HTTP; undefined as status where the connection ended without an answer. */
interface Wire {
  ask(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<Answer & { body: string }>;
  end(): void;
}

beforeEach(async () => {
  rung.length = 0;
  fcm = await startFcm({ onAccepted: (message) => rung.push(message) });
});
afterEach(() => fcm.simulator.stop());

async function overHttp2(): Promise<Wire> {
  const client = await connect(fcm.url);
  return {
    ask: (path, headers, body) => client.request({ ":path": path, ...headers }, body),
    end: client.end,
  };
}

function overHttp1(): Wire {
  const agent = new Agent({ keepAlive: true, ca: authority.certificate });
  return {
    ask(path, headers, body) {
      const { promise, resolve } = Promise.withResolvers<Answer & { body: string }>();
      const request = requestHttps(`${fcm.url}${path}`, { method: "POST", agent, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () =>
          resolve({ status: answer.statusCode, body: Buffer.concat(chunks).toString() }),
        );
      });
      request.on("error", () => resolve({ status: undefined, body: "" }));
      request.end(body);
      return promise;
    },
    end: () => agent.destroy(),
  };
}

/** A sender with a token on one kind of wire. */
async function sender(wire: Wire) {
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: assertion(NOON),
  });
  const reply = await wire.ask(
    "/token",
    { "content-type": "application/x-www-form-urlencoded" },
    form.toString(),
  );
  const authorization = `Bearer ${JSON.parse(reply.body).access_token}`;
  return (unread: number) =>
    wire.ask(
      PATH,
      { authorization, "content-type": "application/json" },
      JSON.stringify({ message: { token: fcm.token, data: { reason: "changed", unread: String(unread) } } }),
    );
}

const wires = [
  ["HTTP/2", overHttp2],
  ["HTTP/1.1", async () => overHttp1()],
] as const;

for (const [name, open] of wires) {
  describe(`over ${name} the simulated FCM`, () => {
    let wire: Wire;
    beforeEach(async () => {
      wire = await open();
    });
    afterEach(() => wire.end());

    test("gives tokens, takes messages and remembers them in order", async () => {
      const send = await sender(wire);
      for (const unread of [2, 5, 0]) expect((await send(unread)).status).toBe(200);
      expect(fcm.simulator.history(fcm.token).map(({ unread }) => unread)).toEqual([2, 5, 0]);
      expect(fcm.simulator.lastUnread(fcm.token)).toBe(0);
      expect(rung).toHaveLength(3);
      expect(fcm.simulator.requests().map(({ status, reason }) => [status, reason])).toEqual(
        Array(3).fill([200, "accepted"]),
      );
      expect(fcm.simulator.totals()).toMatchObject({ connections: 1, accepted: 3, requests: 3 });
    });

    test("refuses the next ones or every n-th, until told to behave", async () => {
      const send = await sender(wire);
      const answers = async (count: number) => {
        const statuses: (number | undefined)[] = [];
        for (let n = 0; n < count; n += 1) statuses.push((await send(n)).status);
        return statuses;
      };
      fcm.simulator.misbehave(fcmRefusal("INTERNAL"), { next: 2 });
      expect(await answers(3)).toEqual([500, 500, 200]);
      fcm.simulator.misbehave(fcmRefusal("UNAVAILABLE"), { every: 2 });
      expect(await answers(4)).toEqual([200, 503, 200, 503]);
      fcm.simulator.behave();
      expect(await answers(2)).toEqual([200, 200]);
      expect(fcm.simulator.totals().refused).toEqual({ INTERNAL: 2, UNAVAILABLE: 2 });
    });

    test("answers late, hangs, and loses answers", async () => {
      const send = await sender(wire);
      fcm.simulator.misbehave({ kind: "delay", ms: 60 });
      const before = performance.now();
      expect((await send(1)).status).toBe(200);
      expect(performance.now() - before).toBeGreaterThanOrEqual(55);
      fcm.simulator.misbehave({ kind: "hang" });
      expect(await within(send(2), SILENCE_MS)).toBeUndefined();
      fcm.simulator.misbehave({ kind: "lose-answer" });
      expect(await within(send(3), SILENCE_MS)).toBeUndefined();
      expect((await send(4)).status).toBe(200);
      expect(rung.map(({ unread }) => unread)).toEqual([1, 3, 4]);
    });

    for (const kind of ["close", "abort", "reset-stream"] as const) {
      test(`ends a request without an answer (${kind}), not processed`, async () => {
        const send = await sender(wire);
        fcm.simulator.misbehave({ kind });
        expect((await send(1)).status).toBeUndefined();
        expect(rung).toHaveLength(0);
        const again = await open();
        expect((await (await sender(again))(2)).status).toBe(200);
        again.end();
      });
    }

    test("says GOAWAY, or closes: unprocessed, answered, or unknown", async () => {
      const outcomes: (number | undefined)[] = [];
      for (const processed of ["unprocessed", "answered", "unanswered"] as const) {
        const own = await open();
        const send = await sender(own);
        fcm.simulator.misbehave({ kind: "goaway", processed });
        outcomes.push((await send(1)).status);
        own.end();
      }
      expect(outcomes).toEqual([undefined, 200, undefined]);
      expect(rung).toHaveLength(2);
    });

    test("freezes a connection that stays open, and serves others", async () => {
      const send = await sender(wire);
      fcm.simulator.misbehave({ kind: "freeze" });
      expect(await within(send(1), SILENCE_MS)).toBeUndefined();
      const other = await open();
      expect((await (await sender(other))(2)).status).toBe(200);
      other.end();
      expect(rung.map(({ unread }) => unread)).toEqual([2]);
    });

    test("answers something that is not Google's, as a proxy in between would", async () => {
      const send = await sender(wire);
      fcm.simulator.misbehave({
        kind: "answer",
        status: 502,
        body: "<html>Bad Gateway</html>",
        headers: { "content-type": "text/html" },
      });
      expect(await send(1)).toMatchObject({ status: 502, body: "<html>Bad Gateway</html>" });
    });
  });
}

test("an outage ends every connection; afterwards it is back on the same port", async () => {
  const wire = await overHttp2();
  const send = await sender(wire);
  await send(1);
  await fcm.simulator.stop();
  await expect(connect(fcm.url)).rejects.toThrow();
  expect((await fcm.simulator.start()).port).toBe(fcm.port);
  const again = await overHttp2();
  expect((await (await sender(again))(2)).status).toBe(200);
  expect(fcm.simulator.history(fcm.token)).toHaveLength(2);
  wire.end();
  again.end();
});
