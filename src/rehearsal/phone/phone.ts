// A simulated phone with the company's mail app: registers through TLS, subscribes at Exchange with the callback
// URLs it was given, and remembers what its push service brought it.

import type { EventKind } from "../ews/notification.ts";
import type { Platform, Push } from "./push.ts";

/** The part of Exchange that an app uses. */
export interface EwsServer {
  subscribe(request: {
    readonly mailbox: string;
    readonly folders: readonly string[];
    readonly eventTypes: readonly EventKind[];
    readonly statusFrequencyMinutes: number;
    readonly url: string;
  }): { readonly subscriptionId: string };
}

export interface PhoneOptions {
  readonly name: string;
  readonly platform: Platform;
  readonly app: string;
  readonly mailbox: string;
  /** Folder keys of the mailbox to subscribe to. */
  readonly folders: readonly ("inbox" | "calendar")[];
  /** Device token at the start. */
  readonly token: string;
  /** For example `https://127.0.0.1:8443`. */
  readonly registrationUrl: string;
  /** PEM of the authority that signed the listener's certificate. */
  readonly ca: string;
  readonly enrolmentSecret: string;
  readonly exchange: EwsServer;
  /** Random bytes, for the id and the secret. */
  readonly random: (count: number) => Buffer;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** A flaky tunnel: whether this answer gets lost, after which the request is sent again. Default never. */
  readonly losesAnswer?: () => boolean;
}

interface FolderAnswer {
  readonly name: string;
  readonly kind: string;
  readonly callback_url: string;
}

interface RegistrationAnswer {
  readonly revision: number;
  readonly folders: readonly FolderAnswer[];
  readonly ews: { readonly event_types: readonly string[]; readonly status_frequency_minutes: number };
}

export interface Phone {
  readonly name: string;
  readonly mailbox: string;
  readonly platform: Platform;
  readonly token: string;
  readonly registrationId: string;
  /** The number on the icon, or null if it was never set. */
  readonly badge: number | null;
  readonly pushes: readonly Push[];
  /** Registers (or renews) and subscribes where a new subscription was asked for. */
  enrol(): Promise<void>;
  /** Renews without a new subscription. */
  renew(): Promise<void>;
  /** The system gave the app a new token; it renews. */
  changeToken(token: string): Promise<void>;
  /** What the app is told of its registration. */
  look(): Promise<unknown>;
  /** Asks for a test ring; the status of the answer. */
  askForTestRing(): Promise<number>;
  /** The user removes the account. */
  unregister(): Promise<void>;
  /** The push service delivers. */
  receive(push: Push): void;
}

// A request through a dead tunnel is given up after this time, milliseconds.
const REQUEST_TIMEOUT_MS = 10_000;
const TRIES = 5;
// A phone keeps what a person would scroll through.
const KEPT_PUSHES = 500;

export class PhoneError extends Error {
  readonly status: number;

  constructor(status: number, what: string) {
    super(`${what} was answered with status ${status}`);
    this.name = "PhoneError";
    this.status = status;
  }
}

export function createPhone(options: PhoneOptions): Phone {
  const { random, now, exchange } = options;
  const registrationId = randomUuid(random);
  const secret = random(24).toString("base64url");
  const pushes: Push[] = [];
  let token = options.token;
  let badge: number | null = null;
  let lastRevision = 0;
  let resubscribing: Promise<void> = Promise.resolve();
  const path = `/v1/registrations/${registrationId}`;

  // Raised for every new wish; the clock may stand still or go back.
  function nextRevision(): number {
    lastRevision = Math.max(lastRevision + 1, now());
    return lastRevision;
  }

  async function call(method: string, where: string, bearer: string, body?: unknown): Promise<Response> {
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(`${options.registrationUrl}${where}`, {
        method,
        headers: {
          authorization: `Bearer ${bearer}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        tls: { ca: options.ca },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      // The tunnel broke before the answer came through: an app cannot know, and repeats.
      if (options.losesAnswer?.() === true && tries < TRIES) {
        await response.arrayBuffer();
        continue;
      }
      return response;
    }
  }

  async function put(subscribeAgain: readonly string[]): Promise<RegistrationAnswer> {
    const response = await call("PUT", path, options.enrolmentSecret, {
      app: options.app,
      platform: options.platform,
      token,
      secret,
      revision: nextRevision(),
      folders: options.folders.map((kind) => ({
        kind,
        ...(subscribeAgain.includes(kind) ? { new_subscription: true } : {}),
      })),
    });
    if (response.status !== 200 && response.status !== 201) throw new PhoneError(response.status, "PUT");
    return (await response.json()) as RegistrationAnswer;
  }

  async function subscribe(folders: readonly string[]): Promise<void> {
    const answer = await put(folders);
    for (const folder of answer.folders) {
      if (!folders.includes(folder.name)) continue;
      exchange.subscribe({
        mailbox: options.mailbox,
        folders: [folder.name],
        // EWS names them with the suffix, the simulator's call without it.
        eventTypes: answer.ews.event_types.map((name) => name.replace(/Event$/, "") as EventKind),
        statusFrequencyMinutes: answer.ews.status_frequency_minutes,
        url: folder.callback_url,
      });
    }
  }

  return {
    name: options.name,
    mailbox: options.mailbox,
    platform: options.platform,
    registrationId,
    get token() {
      return token;
    },
    get badge() {
      return badge;
    },
    get pushes() {
      return pushes;
    },
    enrol: () => subscribe(options.folders),
    async renew() {
      await put([]);
    },
    async changeToken(next) {
      token = next;
      await put([]);
    },
    async look() {
      const response = await call("GET", path, secret);
      if (!response.ok) throw new PhoneError(response.status, "GET");
      return response.json();
    },
    async askForTestRing() {
      return (await call("POST", `${path}/ring`, secret)).status;
    },
    async unregister() {
      const response = await call("DELETE", path, secret);
      if (response.status !== 204) throw new PhoneError(response.status, "DELETE");
    },
    receive(push) {
      pushes.push(push);
      if (pushes.length > 2 * KEPT_PUSHES) pushes.splice(0, KEPT_PUSHES);
      if (push.badge !== null) badge = push.badge;
      if (push.reason === "resubscribe") {
        const folders = push.folder === null ? options.folders : [push.folder];
        // One after the other; a failure shows in what the phone is told next time.
        resubscribing = resubscribing.then(() => subscribe(folders)).catch(() => {});
      }
    },
  };
}

function randomUuid(random: (count: number) => Buffer): string {
  const bytes = random(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
