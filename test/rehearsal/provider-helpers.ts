// What the tests of the simulated push services share: certificates, keys, and a small HTTP/2 client that says
// exactly what it is told to.
import { createPrivateKey, createSign, type KeyObject, randomUUID, sign } from "node:crypto";
import http2, { type ClientHttp2Session } from "node:http2";
import { type ApnsSimulatorOptions, createApnsSimulator } from "../../src/rehearsal/apns/simulator.ts";
import { createAuthority, type IssuedCertificate, issue } from "../../src/rehearsal/certificates.ts";
import {
  type ApnsKey,
  createApnsKey,
  createApnsToken,
  createFcmToken,
  createServiceAccount,
  type ServiceAccount,
  seededRandom,
} from "../../src/rehearsal/credentials.ts";
import { createFcmSimulator, type FcmSimulatorOptions } from "../../src/rehearsal/fcm/simulator.ts";

export const APP = "com.example.mail";
export const PROJECT = "bell-test";
// A moment on a whole half hour: tests move the clock from here.
export const NOON = Date.UTC(2030, 0, 1, 12);

export const random = seededRandom("push services");
export const authority = await createAuthority("Test authority");
export const serverTls: IssuedCertificate = await issue(authority, {
  names: ["localhost", "127.0.0.1", "fcm.googleapis.com", "oauth2.googleapis.com"],
});
export const apnsKey: ApnsKey = await createApnsKey(random);
export const serviceAccount: ServiceAccount = await createServiceAccount(random, PROJECT);

/** An APNs with one phone, on a clock that the test moves. */
export async function startApns(options: Partial<ApnsSimulatorOptions> = {}) {
  const clock = { now: NOON };
  const simulator = createApnsSimulator({
    tls: serverTls,
    keys: [{ ...apnsKey, topics: [APP] }],
    now: () => clock.now,
    ...options,
  });
  const token = createApnsToken(random);
  simulator.devices.register(token, APP);
  const { url, port } = await simulator.start();
  return { simulator, clock, token, url, port };
}

/** An FCM with one phone, on a clock that the test moves. */
export async function startFcm(options: Partial<FcmSimulatorOptions> = {}) {
  const clock = { now: NOON };
  const simulator = createFcmSimulator({
    tls: serverTls,
    projectId: PROJECT,
    account: { clientEmail: serviceAccount.file.client_email, publicKey: serviceAccount.publicKey },
    now: () => clock.now,
    random,
    ...options,
  });
  const token = createFcmToken(random);
  simulator.devices.register(token);
  const { url, tokenUrl, port } = await simulator.start();
  return { simulator, clock, token, url, tokenUrl, port };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

export interface JwtOptions {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly key?: string;
}

/** A provider token as a sender makes it, issued at `atMs`. */
export function providerToken(atMs: number, options: JwtOptions = {}): string {
  const header = { alg: "ES256", kid: apnsKey.keyId, ...options.header };
  const claims = { iss: apnsKey.teamId, iat: Math.floor(atMs / 1000), ...options.claims };
  const content = `${encode(header)}.${encode(claims)}`;
  const key: KeyObject = createPrivateKey(options.key ?? apnsKey.privateKey);
  const signature = sign("sha256", Buffer.from(content), { key, dsaEncoding: "ieee-p1363" });
  return `${content}.${signature.toString("base64url")}`;
}

/** A service account's assertion, issued at `atMs`. */
export function assertion(atMs: number, options: JwtOptions = {}): string {
  const iat = Math.floor(atMs / 1000);
  const header = { alg: "RS256", typ: "JWT", kid: serviceAccount.file.private_key_id, ...options.header };
  const claims = {
    iss: serviceAccount.file.client_email,
    scope: "https://www.googleapis.com/auth/firebase.messaging",
    aud: "https://oauth2.googleapis.com/token",
    iat,
    exp: iat + 3600,
    ...options.claims,
  };
  const content = `${encode(header)}.${encode(claims)}`;
  const signature = createSign("sha256")
    .update(content)
    .sign(options.key ?? serviceAccount.file.private_key);
  return `${content}.${signature.toString("base64url")}`;
}

export interface Reply {
  /** Undefined if the stream ended without an answer. */
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  /** HTTP/2 error code of the stream. */
  readonly rst: number;
}

export interface Client {
  readonly session: ClientHttp2Session;
  request(headers: Readonly<Record<string, string | string[]>>, body?: string | Buffer): Promise<Reply>;
  /** The first GOAWAY of the server. */
  readonly goaway: Promise<{ readonly code: number; readonly lastStreamId: number; readonly data: string }>;
  readonly closed: Promise<void>;
  end(): void;
}

/** Connects and waits for the server's SETTINGS, as a sender must. */
export async function connect(url: string, identity?: IssuedCertificate): Promise<Client> {
  const session = http2.connect(url, {
    ca: authority.certificate,
    ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
  });
  session.on("error", () => {});
  const goaway = new Promise<Awaited<Client["goaway"]>>((resolve) => {
    session.once("goaway", (code, lastStreamId, data) =>
      resolve({ code, lastStreamId, data: data?.toString() ?? "" }),
    );
  });
  const closed = new Promise<void>((resolve) => session.once("close", () => resolve()));
  await new Promise((resolve, reject) => {
    session.once("remoteSettings", resolve);
    session.once("error", reject);
  });
  return {
    session,
    goaway,
    closed,
    end: () => session.destroy(),
    request(headers, body = "") {
      return new Promise((resolve) => {
        const stream = session.request({ ":method": "POST", ...headers });
        let answered: Record<string, unknown> = {};
        const chunks: Buffer[] = [];
        stream.on("response", (given) => {
          answered = given;
        });
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("error", () => {});
        stream.on("close", () => {
          const status = answered[":status"] as number | undefined;
          resolve({
            status,
            headers: answered,
            body: Buffer.concat(chunks).toString(),
            rst: stream.rstCode ?? 0,
          });
        });
        stream.end(body);
      });
    },
  };
}

export interface PushOptions {
  /** Changed or (undefined) left out. */
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: string | Buffer;
}

/** A push that APNs accepts, with what a test changes about it. */
export function push(client: Client, token: string, atMs: number, options: PushOptions = {}): Promise<Reply> {
  const headers: Record<string, string | string[] | undefined> = {
    ":path": `/3/device/${token}`,
    authorization: `bearer ${providerToken(atMs)}`,
    "apns-topic": APP,
    "apns-push-type": "alert",
    "apns-priority": "10",
    "apns-id": randomUUID(),
    "apns-expiration": String(Math.floor(atMs / 1000) + 3600),
    ...options.headers,
  };
  const given = Object.entries(headers).filter(([, value]) => value !== undefined);
  return client.request(
    Object.fromEntries(given) as Record<string, string | string[]>,
    options.body ?? JSON.stringify({ aps: { badge: 3 } }),
  );
}

/** The reason in an answer of APNs, "accepted" for a success. */
export function reasonOf(reply: Reply): string {
  return reply.status === 200 ? "accepted" : JSON.parse(reply.body).reason;
}

/** Resolves with undefined if `promise` takes longer than `ms`: for what must not be answered. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
