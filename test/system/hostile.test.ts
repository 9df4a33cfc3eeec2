// Bytes that nobody should send, against both public listeners of the running binary: each gets a clear answer, no
// subscription ends by it, and the same process goes on ringing.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { askRaw, type Running, type Scene, setScene, until } from "./helpers.ts";

let scene: Scene;
let appliance: Running;
let capabilityPath: string;
let exchangePort: number;
let registrationPort: number;

beforeAll(async () => {
  scene = await setScene("hostile");
  appliance = await scene.up();
  capabilityPath = pathOf(await freshPhone());
  ({ exchange: exchangePort, registration: registrationPort } = scene.props.ports);
});
afterAll(() => scene.stop());

let phones = 0;
/** A phone of its own, since a phone that is rung often is rung less promptly. */
async function freshPhone(): Promise<Phone> {
  phones += 1;
  const phone = scene.addPhone({ platform: "apns", mailbox: `mailbox-${phones}`, tellsInbox: true });
  await phone.enrol();
  return phone;
}

function pathOf(phone: Phone): string {
  return new URL(scene.callbackUrl(phone)).pathname;
}

interface Reply {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

async function ask(port: number, bytes: string | Buffer): Promise<Reply> {
  const text = await askRaw(port, scene.props.ca, bytes);
  const [head = "", ...rest] = text.split("\r\n\r\n");
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0), head, body: rest.join("\r\n\r\n") };
}

function request(line: string, headers: Readonly<Record<string, string>>, body: string | Buffer): Buffer {
  const all = {
    Host: "127.0.0.1",
    Connection: "close",
    "Content-Length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.concat([
    Buffer.from(`${[`${line} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`),
    Buffer.from(body),
  ]);
}

/** A notification that is well-formed but for what is done to it. */
function notification(): string {
  return readFileSync(
    new URL("../samples/syn-21-newmail-created-modified-unread1.xml", import.meta.url),
    "utf8",
  );
}

async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${scene.props.urls.admin}/metrics`)).text();
  const found = text.split("\n").find((each) => each.startsWith(`${line} `));
  return found === undefined ? 0 : Number(found.slice(line.length + 1));
}

/** The process that was started is the one that works, and mail still rings with the right badge. */
async function stillRings(): Promise<void> {
  expect(appliance.ended()).toBeNull();
  const ready = await fetch(`${scene.props.urls.admin}/readyz`);
  expect(ready.status).toBe(200);
  const phone = await freshPhone();
  scene.exchange.mailbox(phone.mailbox).deliver();
  await until(() => phone.badge === 1, "the phone shows the badge");
  expect(scene.exchange.subscriptions()).toHaveLength(phones);
}

const BOMB = `<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">${Array.from(
  { length: 20 },
  (_, n) => `<!ENTITY ${String.fromCharCode(98 + n)} "${`&${String.fromCharCode(97 + n)};`.repeat(10)}">`,
).join("")}]><b>&u;</b>`;

describe("the Exchange listener, at a valid callback URL", () => {
  const bodies: readonly (readonly [string, () => string | Buffer])[] = [
    ["malformed XML", () => notification().replace("</", "<")],
    ["half a document", () => notification().slice(0, 400)],
    ["an empty body", () => ""],
    ["JSON", () => '{"unread": 1}'],
    ["an entity bomb", () => BOMB],
    ["an external entity", () => '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'],
    ["invalid UTF-8", () => Buffer.concat([Buffer.from(notification()), Buffer.from([0xff, 0xfe, 0xc0])])],
    ["random bytes", () => randomBytes(4096)],
    ["5 MB", () => Buffer.alloc(5_000_000, "<a>")],
    ["10 000 nested elements", () => `${"<a>".repeat(10_000)}${"</a>".repeat(10_000)}`],
    ["10 000 attributes", () => `<a ${Array.from({ length: 10_000 }, (_, n) => `b${n}="1"`).join(" ")}/>`],
    ["another vocabulary", () => notification().replaceAll("schemas.microsoft.com", "schemas.example")],
  ];
  test.each(bodies)(
    "answers OK to %s, counts it as malformed and wakes the phone without a badge",
    async (_, body) => {
      const phone = await freshPhone();
      const before = await metric('inboxbell_notifications_total{result="malformed"}');
      const bytes = request(`POST ${pathOf(phone)}`, { "Content-Type": "text/xml; charset=utf-8" }, body());
      const reply = await ask(exchangePort, bytes);
      expect(reply.status).toBe(200);
      expect(reply.body).toContain("<SubscriptionStatus>OK</SubscriptionStatus>");
      expect(await metric('inboxbell_notifications_total{result="malformed"}')).toBe(before + 1);
      await until(() => phone.pushes.length > 0, "the phone is woken");
      expect(phone.badge).toBeNull();
      // The subscription is none the worse for it.
      scene.exchange.mailbox(phone.mailbox).deliver();
      await until(() => phone.badge === 1, "mail rings the phone");
    },
  );

  test("lets its own process and every subscription live", stillRings);
});

describe("the Exchange listener", () => {
  const bare = (line: string, headers = {}) => request(line, headers, "");
  test.each<readonly [string, () => Buffer | string, number]>([
    ["a forged callback URL", () => bare(`POST ${capabilityPath.slice(0, -4)}AAAA`), 404],
    ["the shared route, which is off", () => bare("POST /ews"), 404],
    ["another method", () => bare(`GET ${capabilityPath}`), 404],
    ["an unknown path", () => bare("POST /EWS/Exchange.asmx"), 404],
    ["a path that climbs", () => bare(`POST /ews/../${capabilityPath.slice(5)}`), 404],
    ["an unknown method", () => bare(`BREW ${capabilityPath}`), 501],
    [
      "two lengths of one body",
      () => bare(`POST ${capabilityPath}`, { "Transfer-Encoding": "chunked" }),
      400,
    ],
    ["a length that is no number", () => bare(`POST ${capabilityPath}`, { "Content-Length": "+1" }), 400],
    ["a second Host", () => `POST ${capabilityPath} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`, 400],
    ["a header section without end", () => `POST / HTTP/1.1\r\nX: ${"a".repeat(40_000)}`, 431],
    ["a path of 8000 characters", () => bare(`POST /${"a".repeat(8000)}`), 414],
    ["HTTP/2 without asking", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
    ["no HTTP at all", () => randomBytes(2000), 400],
  ])("refuses %s", async (_, bytes, status) => {
    expect((await ask(exchangePort, bytes())).status).toBe(status);
  });

  test("never challenges and never redirects, whatever it is sent", async () => {
    const headers = { Authorization: "NTLM TlRMTVNTUAABAAAA" };
    const reply = await ask(
      exchangePort,
      request(`POST ${capabilityPath}`, headers, notification().slice(0, 9)),
    );
    expect(reply.status).toBe(200);
    expect(reply.head.toLowerCase()).not.toMatch(/www-authenticate|location:|content-encoding/);
  });

  test("throws away a body that breaks off, and rings when Exchange sends it whole", async () => {
    const before = await metric('inboxbell_notifications_total{result="accepted"}');
    const socket = await import("node:tls").then(({ connect }) =>
      connect({ port: exchangePort, host: "127.0.0.1", ca: scene.props.ca, servername: "localhost" }),
    );
    const whole = request(`POST ${capabilityPath}`, {}, notification());
    await new Promise<void>((resolve) => socket.write(whole.subarray(0, whole.length - 10), () => resolve()));
    socket.destroy();
    await stillRings();
    expect(await metric('inboxbell_notifications_total{result="accepted"}')).toBe(before + 1);
  });

  test("does not mind a client that says nothing, nor plain HTTP on its TLS port", async () => {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port: exchangePort, socket: { data() {} } });
    const plain = await fetch(`http://127.0.0.1:${exchangePort}/livez`).catch(() => null);
    expect(plain).toBeNull();
    await stillRings();
    socket.end();
  });
});

describe("the registration listener", () => {
  const secret = "abcdefghijklmnopqrstuvwxyz012345";
  const wish = (changes: Readonly<Record<string, unknown>> = {}) => ({
    app: "com.example.mail",
    platform: "apns",
    token: "ab".repeat(32),
    secret,
    revision: 1,
    folders: [{ kind: "inbox" }],
    ...changes,
  });
  const put = (id: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}) =>
    ask(
      registrationPort,
      request(
        `PUT /v1/registrations/${id}`,
        {
          "Content-Type": "application/json",
          Authorization: `Bearer ${scene.props.enrolmentSecret}`,
          ...headers,
        },
        body,
      ),
    );
  const bare = (line: string, headers: Readonly<Record<string, string>> = {}) =>
    ask(registrationPort, request(line, headers, ""));
  const json = (changes = {}) => JSON.stringify(wish(changes));
  const id = randomUUID();

  /** RFC 9457, with the code of the catalogue. */
  function expectProblem(reply: Reply, status: number, code: string): void {
    expect([reply.status, reply.body]).toEqual([status, expect.any(String)]);
    expect(reply.head.toLowerCase()).toContain("content-type: application/problem+json");
    expect(JSON.parse(reply.body)).toMatchObject({ status, code });
  }

  test.each<readonly [string, () => Promise<Reply>, number, string]>([
    ["invalid JSON", () => put(id, "{"), 400, "malformed"],
    ["invalid UTF-8", () => put(id, Buffer.from(json({ locale: "\u00ff" }), "latin1")), 400, "malformed"],
    ["a body that is no object", () => put(id, "[]"), 422, "invalid_field"],
    ["an id that is no UUID", () => put("1", json()), 422, "invalid_field"],
    ["an unknown app", () => put(id, json({ app: "com.example.other" })), 422, "invalid_field"],
    ["a token of another shape", () => put(id, json({ token: "not a token" })), 422, "invalid_field"],
    ["no credential", () => put(id, json(), { Authorization: "" }), 401, "unauthorized"],
    ["a wrong enrolment secret", () => put(id, json(), { Authorization: "Bearer x" }), 401, "unauthorized"],
    [
      "another media type",
      () => put(id, json(), { "Content-Type": "text/xml" }),
      415,
      "unsupported_media_type",
    ],
    ["an unknown path", () => bare("GET /v2/discovery"), 404, "not_found"],
    ["another method", () => bare("DELETE /v1/discovery"), 405, "method_not_allowed"],
    ["a body of 5 MB", () => put(id, Buffer.alloc(5_000_000, " ")), 413, "body_too_large"],
    [
      "two lengths of one body",
      () => put(id, json(), { "Transfer-Encoding": "chunked" }),
      400,
      "http_malformed",
    ],
    ["an unknown method", () => bare("BREW /v1/discovery"), 501, "http_malformed"],
  ])("answers %s with a problem that names it", async (_, act, status, code) => {
    expectProblem(await act(), status, code);
  });

  test("answers a wrong secret, a stale revision and a spent id each in its own way", async () => {
    expect((await put(id, json({ revision: 5 }))).status).toBe(201);
    expectProblem(await put(id, json({ revision: 6, secret: "z".repeat(32) })), 401, "unauthorized");
    expectProblem(await put(id, json({ revision: 4 })), 409, "stale_revision");
    const gone = await bare(`DELETE /v1/registrations/${id}`, { Authorization: `Bearer ${secret}` });
    expect(gone.status).toBe(204);
    expectProblem(await put(id, json({ revision: 7 })), 410, "spent");
  });

  test("leaves the ring as it was", stillRings);
});

test("no answer and no log line repeats what was sent, and the process that began is the one that ends", async () => {
  const { code } = await appliance.stop();
  expect(code).toBe(0);
  const text = appliance.lines.join("\n");
  expect(text).not.toMatch(/passwd|TlRMTVNTUAAB|com\.example\.other|reached nobody/);
});
