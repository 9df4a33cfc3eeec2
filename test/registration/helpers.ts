// A registration listener on real TLS with a real store, and a phone's calls to it. Every answer is held
// against the OpenAPI document and the shape of problem details.
import { expect } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AppConfig, Config, Secrets } from "../../src/config/types.ts";
import { CATALOGUE, type ErrorCode, type ErrorEntry } from "../../src/errors.ts";
import { generateKeys } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { createListener } from "../../src/net/listener.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { createRegistrationHandler } from "../../src/registration/handler.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import type { DueNews, Folder, Store } from "../../src/store/types.ts";
import { makeIdentity } from "../net/helpers.ts";

export const ENROLMENT = "enrolment-secret-of-the-test-0001";
export const SECOND_ENROLMENT = "enrolment-secret-of-the-test-0002";
export const START = 1_760_000_000_000;
export const DAY_MS = 86_400_000;

const identity = await makeIdentity("ec");
const texts = {
  newMessages: "NEW_MESSAGES",
  sound: "default",
  fcmTitle: "new_messages",
  fcmBody: "new_messages",
  testRing: "TEST_RING",
};
const ringFolders = ["inbox", "calendar", "other"] as const;
const apns: AppConfig["apns"] = {
  environment: "production",
  topic: "com.example.mail",
  port: 443,
  url: null,
  credential: { type: "key", file: "/none.p8", keyId: "ABC123DEFG", teamId: "DEF123GHIJ" },
};
const fcm: AppConfig["fcm"] = { serviceAccount: "/none.json", url: null, tokenUrl: null, dataOnly: false };

export function testConfig(sharedRoute = false): Config {
  const listener = {
    address: "127.0.0.1",
    port: 0,
    tls: null,
    allow: [],
    trustedProxies: [],
    proxyProtocol: false,
  };
  return {
    file: "/none.yaml",
    node: "bell-test",
    public: { registrationUrl: "https://push.test", exchangeUrl: "https://bell.test:9443" },
    listen: {
      registration: listener,
      exchange: { ...listener, sharedRoute },
      admin: { address: "127.0.0.1", port: 0 },
    },
    store: { path: "/none.db" },
    keys: { file: "/none.json" },
    ringing: { mergeChangesMs: 0, stalledAfterMs: 120_000 },
    apps: [
      { id: "com.example.mail", apns, fcm, ring: "badge", ringFolders, texts },
      { id: "com.example.ios", apns, fcm: null, ring: "rich", ringFolders, texts },
    ],
    registrationAuth: [
      { type: "enrolment_secret", file: "/none.secret" },
      { type: "enrolment_secret", file: "/none2.secret" },
    ],
    egress: { proxy: null, noProxy: [], caFile: null },
    subscriptions: { statusFrequencyMinutes: 15, unknownGraceMs: 3_600_000 },
    retention: { idleRegistrationMs: 60 * DAY_MS },
    pair: null,
    control: { socket: "/none.sock" },
    log: { level: "debug", format: "json" },
  };
}

const secrets: Secrets = {
  apps: new Map(),
  enrolmentSecrets: [ENROLMENT, SECOND_ENROLMENT],
  egressCa: null,
  egressProxyPassword: null,
};

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface Call {
  readonly bearer?: string;
  readonly body?: unknown;
  readonly raw?: string | Buffer;
  readonly headers?: Record<string, string>;
}

export type Api = Awaited<ReturnType<typeof startApi>>;

/** Starts store and listener; `stop()` ends both. */
export async function startApi(
  options: {
    readonly sharedRoute?: boolean;
    /** Puts something between the API and its store. */
    readonly wrap?: (store: Store) => Store;
    readonly serving?: () => boolean;
    readonly mayLackRows?: () => boolean;
  } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "inboxbell-registration-"));
  const time = { now: START };
  const lines: string[] = [];
  const due: DueNews[] = [];
  const keyring = createKeyring(generateKeys(0));
  const store = createStore({ path: join(directory, "bell.db"), keyring, now: () => time.now });
  store.onDue((news) => due.push(...news));
  await store.start();
  const log = createLogger("debug", "json", (line) => void lines.push(line));
  const metrics = createMetrics({ version: "0", commit: "0" });
  const config = testConfig(options.sharedRoute);
  const handler = createRegistrationHandler({
    ...(options.serving === undefined ? {} : { serving: options.serving }),
    ...(options.mayLackRows === undefined ? {} : { mayLackRows: options.mayLackRows }),
    store: options.wrap?.(store) ?? store,
    keyring,
    config,
    secrets,
    log,
    metrics,
    now: () => time.now,
  });
  let seen = START;
  let passed = 0;
  // What the test lets pass on the wall clock passes on this one too; a clock set back does not turn it back.
  const monotonicNow = () => {
    passed += Math.max(0, time.now - seen);
    seen = time.now;
    return performance.now() + passed;
  };
  const listener = createListener({
    name: "registration",
    address: "127.0.0.1",
    port: 0,
    tls: identity,
    allow: [],
    handler,
    healthPaths: [],
    healthHandler: () => ({ status: 404 }),
    log,
    metrics,
    now: monotonicNow,
  });
  const { port } = await listener.start();
  const base = `https://127.0.0.1:${port}`;

  async function call(method: string, path: string, options: Call = {}): Promise<Answer> {
    const { bearer, body, raw, headers } = options;
    const response = await fetch(base + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
        ...headers,
      },
      ...(raw !== undefined ? { body: raw } : body !== undefined ? { body: JSON.stringify(body) } : {}),
      tls: { ca: identity.certificate },
    });
    const text = await response.text();
    const json = text === "" ? null : JSON.parse(text);
    const answer = { status: response.status, headers: response.headers, text, json };
    expectShape(answer);
    return answer;
  }

  return {
    base,
    port,
    certificate: identity.certificate,
    store,
    keyring,
    config,
    time,
    lines,
    due,
    metrics,
    call,
    /** Writes a folder as Exchange's room does when it hears or loses a subscription. */
    folder: (id: string, more: Partial<Folder>, name = "inbox") =>
      store.submit<void>({
        registrationId: id,
        decide: (state) => {
          if (state.kind !== "present") throw new Error("not registered");
          const folder = state.folders.find((candidate) => candidate.name === name)!;
          return { change: { folders: [{ ...folder, ...more }] }, result: undefined };
        },
      }),
    async stored(id: string, name = "inbox"): Promise<Folder> {
      const [view] = await store.read([id]);
      if (view?.state.kind !== "present") throw new Error("not registered");
      return view.state.folders.find((folder) => folder.name === name)!;
    },
    async stop() {
      await listener.stop(0);
      await store.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

function expectShape(answer: Answer): void {
  if (answer.status < 400) return;
  if (answer.headers.get("content-type") !== "application/problem+json") {
    throw new Error(`status ${answer.status} is no problem: ${answer.text}`);
  }
  expect(answer.headers.get("cache-control")).toBe("no-store");
  const entry: ErrorEntry = CATALOGUE[answer.json.code as ErrorCode];
  expect(answer.json).toMatchObject({
    type: `/docs/errors#${answer.json.code}`,
    title: entry.text,
    status: answer.status,
  });
  expect(entry.status).toBe(answer.status);
  if (answer.status === 422) expect(typeof answer.json.field).toBe("string");
}

/** What an app sends, with the parts that a test wants different. */
export function wish(secret: string, revision: number, more: Record<string, unknown> = {}) {
  return {
    app: "com.example.mail",
    platform: "apns",
    token: "a1".repeat(32),
    secret,
    revision,
    folders: [{ kind: "inbox" }],
    ...more,
  };
}

/** A phone with an id and a secret of its own. */
export function newPhone(api: Api) {
  const id = randomUUID();
  const secret = randomBytes(24).toString("base64url");
  const path = `/v1/registrations/${id}`;
  return {
    id,
    secret,
    path,
    /** A PUT with the enrolment secret, which an existing registration does not need. */
    put: (revision: number, more: Record<string, unknown> = {}, bearer: string | undefined = ENROLMENT) =>
      api.call("PUT", path, {
        body: wish(secret, revision, more),
        ...(bearer === undefined ? {} : { bearer }),
      }),
    /** A PUT without any bearer. */
    renew: (revision: number, more: Record<string, unknown> = {}) =>
      api.call("PUT", path, { body: wish(secret, revision, more) }),
    get: () => api.call("GET", path, { bearer: secret }),
    delete: () => api.call("DELETE", path, { bearer: secret }),
    ring: () => api.call("POST", `${path}/ring`, { bearer: secret }),
  };
}
