// Mutated requests against the live ports of the compiled binary for a minute: what Exchange posts, what phones ask
// for, and the fuzz corpus. The process lives on, answers as a listener may, and rings a phone all the while.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { mutate, type Pick, seededPick } from "../../fuzz/mutate.ts";
import { TARGETS } from "../../fuzz/targets.ts";
import { open } from "../../soak/client.ts";
import { type Running, type Scene, setScene, until } from "../helpers.ts";

const SECONDS = 60;
const WORKERS = 8;
const MOST_BYTES = 8192;
// Phones whose callback URLs are mutated. Each URL has an allowance of its own.
const VICTIMS = 8;
// Within 25 s a connection is closed that sends half a request; here its client ends it earlier.
const PATIENCE_MS = 500;
const ANSWER_MS = 5_000;

const root = join(import.meta.dir, "..", "..");
const WORDS = TARGETS.flatMap((target) => target.words);
const seed = process.env.FUZZ_SEED ?? String(Date.now());

/** Statuses that a listener answers whatever arrives. */
const STATUSES: Readonly<Record<Port, readonly number[]>> = {
  // Never 401, 403 or 407, never a redirect.
  exchange: [200, 400, 404, 411, 413, 414, 417, 431, 501, 503, 505],
  registration: [
    200, 201, 202, 204, 400, 401, 404, 405, 409, 410, 413, 414, 415, 417, 422, 429, 431, 501, 503, 505,
  ],
};
type Port = "exchange" | "registration";

function filesOf(directory: string, name: RegExp): Buffer[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => name.test(file))
    .map((file) => readFileSync(join(directory, file)));
}

function request(line: string, headers: Readonly<Record<string, string>>, body: string | Buffer): Buffer {
  const all = {
    Host: "bell.corp.example",
    ...headers,
    "Content-Length": Buffer.byteLength(body),
    Connection: "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${lines.join("")}\r\n`), Buffer.from(body)]);
}

describe("mutated requests", () => {
  let scene: Scene;
  let appliance: Running;
  let bystander: Phone;
  let exitCode: number | string;
  const counts: Record<Port, Map<number, number>> = { exchange: new Map(), registration: new Map() };
  const wrong = new Set<string>();
  let late = 0;
  let delivered = 0;

  /** One request of any kind, not mutated yet. */
  function original(port: Port, paths: readonly string[], bodies: readonly Buffer[], pick: Pick): Buffer {
    if (port === "exchange") {
      const path = paths[pick(paths.length)] ?? "/ews";
      const body = bodies[pick(bodies.length)] ?? Buffer.alloc(0);
      return request(`POST ${path}`, { "Content-Type": "text/xml; charset=utf-8", SOAPAction: "x" }, body);
    }
    const registration = JSON.stringify({
      app: APP,
      platform: "apns",
      token: scene.newToken("apns"),
      secret: "c2VjcmV0LXNlY3JldC1zZWNyZXQ",
      revision: 1 + pick(1000),
      folders: [{ kind: "inbox", new_subscription: true }, { kind: "calendar" }],
    });
    const headers = {
      Authorization: `Bearer ${scene.props.enrolmentSecret}`,
      "Content-Type": "application/json",
    };
    const path = `/v1/registrations/${randomUUID()}`;
    switch (pick(4)) {
      case 0:
        return request("GET /v1/discovery", headers, "");
      case 1:
        return request(`GET ${path}`, headers, "");
      default:
        return request(`PUT ${path}`, headers, registration);
    }
  }

  async function attempt(port: Port, bytes: Buffer, pick: Pick): Promise<void> {
    const url = new URL(scene.props.urls[port]);
    const client = await open({ port: Number(url.port), tls: true, from: `127.0.0.${2 + pick(60)}` });
    const half = pick(2) === 0 ? bytes.length : pick(bytes.length + 1);
    if (!client.isClosed) client.socket.write(bytes.subarray(0, half));
    if (half < bytes.length) {
      await Bun.sleep(2);
      if (!client.isClosed) client.socket.write(bytes.subarray(half));
    }
    const impatience = setTimeout(() => client.socket.end(), PATIENCE_MS);
    const end = setTimeout(() => {
      late += 1;
      client.socket.destroy();
    }, ANSWER_MS);
    const { answer } = await client.end;
    clearTimeout(impatience);
    clearTimeout(end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) [A-Za-z ]+\r\n/.exec(answer)?.[1] ?? 0);
    counts[port].set(status, (counts[port].get(status) ?? 0) + 1);
    const isRight = status === 0 ? answer === "" : STATUSES[port].includes(status);
    if (!isRight) wrong.add(`${port}: ${answer.slice(0, 60)} to ${bytes.toString("base64")}`);
  }

  beforeAll(async () => {
    process.stdout.write(`FUZZ_SEED=${seed}\n`);
    scene = await setScene("fuzz");
    appliance = await scene.up();
    bystander = scene.addPhone({ platform: "apns", mailbox: "bystander", tellsInbox: true });
    await bystander.enrol();
    const victims = Array.from({ length: VICTIMS }, (_, n) =>
      scene.addPhone({ platform: n % 2 === 0 ? "apns" : "fcm", mailbox: `victim-${n}` }),
    );
    for (const phone of victims) await phone.enrol();
    await scene.exchange.idle();
    const paths = victims.map((phone) => new URL(scene.callbackUrl(phone)).pathname);
    const bodies = [
      ...filesOf(join(root, "samples"), /^syn-.*\.xml$/),
      ...filesOf(join(root, "fuzz", "corpus", "notification"), /\.bin$/),
    ];
    const corpus = filesOf(join(root, "fuzz", "corpus", "request"), /\.bin$/);
    const endsAt = performance.now() + SECONDS * 1000;
    const workers = Array.from({ length: WORKERS }, async (_, n) => {
      const pick = seededPick(`${seed} ${n}`);
      while (performance.now() < endsAt) {
        const port: Port = pick(3) === 0 ? "registration" : "exchange";
        const whole = original(port, paths, bodies, pick);
        await attempt(
          port,
          pick(8) === 0
            ? whole
            : mutate([whole, whole, ...corpus.slice(0, 1 + pick(2))], WORDS, MOST_BYTES, pick),
          pick,
        );
      }
    });
    const mails = (async () => {
      while (performance.now() < endsAt) {
        scene.exchange.mailbox("bystander").deliver();
        delivered += 1;
        await Bun.sleep(1000);
      }
    })();
    await Promise.all([...workers, mails]);
    const told = Object.entries(counts).map(
      ([port, statuses]) => `${port} ${JSON.stringify(Object.fromEntries(statuses))}`,
    );
    process.stdout.write(`${told.join("; ")}\n`);
  }, 180_000);
  afterAll(() => scene.stop());

  test("are answered with a status that the listener may give, or with none, and in time", () => {
    expect([...wrong].slice(0, 3)).toEqual([]);
    expect(late).toBe(0);
  });

  test("were of both kinds: some that were taken and some that were refused", () => {
    for (const port of ["exchange", "registration"] as const) {
      const seen = counts[port];
      expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(SECONDS * 5);
      expect((seen.get(200) ?? 0) + (seen.get(201) ?? 0)).toBeGreaterThan(SECONDS);
      expect(seen.get(400) ?? 0).toBeGreaterThan(SECONDS);
    }
  });

  test("never stop another phone's rings", async () => {
    await until(
      () => bystander.badge === delivered,
      () => `${delivered} is shown; it is ${bystander.badge}`,
    );
  });

  test("leave a process that runs, logs no error, takes a new phone and rings it", async () => {
    expect(appliance.ended()).toBeNull();
    const newcomer = scene.addPhone({ platform: "fcm", mailbox: "newcomer", tellsInbox: true });
    await newcomer.enrol();
    scene.exchange.mailbox("newcomer").deliver();
    await until(() => newcomer.badge === 1, "the new phone is rung");
    expect((await fetch(`${scene.props.urls.admin}/readyz`)).status).toBe(200);
    expect(
      appliance.lines.filter(
        (line) =>
          /"level":"?(error|50|fatal|60)|"code":"internal"/.test(line) && !line.includes("key_unknown"),
      ),
    ).toEqual([]);
    expect(scene.violations()).toEqual([]);
    exitCode = (await appliance.stop()).code;
    expect(exitCode).toBe(0);
  });
});
