// A simulated phone with the company's mail app: registers through TLS, subscribes at Exchange with the callback
// URLs it was given, and remembers what its push service brought it. It is strict: an answer or a push against the
// contract is a complaint. It holds the user's Exchange account, as the real app does; Inboxbell never sees that.
import type { EventKind } from "../ews/notification.ts";
import { type Guidance, readDiscovery, readRegistration, storedRevision } from "./answers.ts";
import type { Platform, Push } from "./push.ts";
import {
  type ApiAnswer,
  createRegistrationClient,
  type SendOptions,
  type Tunnel,
  TunnelError,
} from "./registration-client.ts";

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

export type PhoneFolder = "inbox" | "calendar";

export interface PhoneOptions {
  readonly name: string;
  readonly platform: Platform;
  readonly app: string;
  readonly mailbox: string;
  /** Folder keys of the mailbox to subscribe to. */
  readonly folders: readonly PhoneFolder[];
  /** The Exchange id of the inbox, for an app that tells it; without it Inboxbell has to learn it. */
  readonly inboxId?: string;
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
  /** A flaky tunnel: what happens to the next request. Default nothing. */
  readonly tunnel?: Tunnel;
  /** A subscription was made; nothing has been posted for it yet. */
  readonly onSubscribed?: (phone: Phone, folder: PhoneFolder, subscriptionId: string) => void;
}

export interface Phone {
  readonly name: string;
  readonly mailbox: string;
  readonly platform: Platform;
  readonly token: string;
  /** Another one after the old one was spent. */
  readonly registrationId: string;
  /** The number on the icon, or null if it was never set. */
  readonly badge: number | null;
  readonly pushes: readonly Push[];
  /** What Inboxbell did against the contract, as the app saw it. */
  readonly complaints: readonly string[];
  /** Requests that had to be sent again because they or their answers were lost. */
  readonly repeats: number;
  /** Registers (or renews) and subscribes again to all its folders. */
  enrol(): Promise<void>;
  /** Renews without a new subscription. */
  renew(): Promise<void>;
  /** The system gave the app a new token; it renews. */
  changeToken(token: string): Promise<void>;
  /** What the app is told of its registration. */
  look(): Promise<unknown>;
  /** Asks for a test ring; the status of the answer. */
  askForTestRing(): Promise<number>;
  /** The very first PUT arrives once more, late; the status of its answer. */
  repeatFirstPut(): Promise<number>;
  /** The user removes the account. */
  unregister(): Promise<void>;
  /** The push service delivers. */
  receive(push: Push): void;
  /** Resolves when the phone has nothing under way. */
  settled(): Promise<void>;
  /** Switches the phone off: what is under way is aborted. */
  stop(): Promise<void>;
}

// A request through a bad tunnel is sent this often before the app waits for its user. Waits in milliseconds.
const TRIES = 10;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2000;
// A refused wish is brought into another form once for each reason it can be refused for, and then no more.
const WISHES = 3;
// A phone keeps what a person would scroll through.
const KEPT_PUSHES = 500;
const KEPT_COMPLAINTS = 100;

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
  const stopping = new AbortController();
  const client = createRegistrationClient(
    options.registrationUrl,
    options.ca,
    options.tunnel ?? (() => null),
    stopping.signal,
  );
  const pushes: Push[] = [];
  const complaints: string[] = [];
  let registrationId = randomUuid(random);
  let secret = random(24).toString("base64url");
  let token = options.token;
  let badge: number | null = null;
  let repeats = 0;
  let lastRevision = 0;
  let guidance: Guidance | null = null;
  let firstPut: unknown = null;
  // One wish at a time: the next begins when the one before it is through.
  let queue: Promise<void> = Promise.resolve();

  const path = () => `/v1/registrations/${registrationId}`;

  function complain(what: string): void {
    if (complaints.length < KEPT_COMPLAINTS) complaints.push(`${options.name}: ${what}`);
  }
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = queue.then(work);
    queue = result.then(
      () => {},
      () => {},
    );
    return result;
  }
  // A lost request and a lost answer look the same to the app, so the same request goes out again.
  async function call(
    method: "GET" | "PUT" | "POST" | "DELETE",
    where: string,
    send: SendOptions = {},
  ): Promise<ApiAnswer> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await client.send(method, where, send);
      } catch (error) {
        if (!(error instanceof TunnelError) || tries === TRIES || stopping.signal.aborted) throw error;
        repeats += 1;
        await pause(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (tries - 1)), stopping.signal);
      }
    }
  }
  async function discover(): Promise<Guidance> {
    const answer = await call("GET", "/v1/discovery");
    const read = readDiscovery(answer, options.app, options.platform);
    if (typeof read !== "string") return read;
    complain(read);
    throw new PhoneError(answer.status, "discovery");
  }

  /** Sends the app's wish and subscribes to the folders that `fresh` names. */
  async function put(fresh: readonly PhoneFolder[], attempt = 1): Promise<void> {
    const ews = guidance ?? (await discover());
    guidance = ews;
    // Raised for every new wish; the clock may stand still or go back.
    lastRevision = Math.max(lastRevision + 1, now());
    const body = {
      app: options.app,
      platform: options.platform,
      token,
      secret,
      revision: lastRevision,
      folders: options.folders.map((kind) => ({
        kind,
        ...(kind === "inbox" && options.inboxId !== undefined ? { folder_id: options.inboxId } : {}),
        ...(fresh.includes(kind) ? { new_subscription: true } : {}),
      })),
    };
    firstPut ??= body;
    const answer = await call("PUT", path(), { body, bearer: options.enrolmentSecret });
    const stored = answer.status === 409 ? storedRevision(answer.body) : null;
    if (stored !== null && attempt < WISHES) {
      // The clock was set back since: the wish goes out once more, above what is stored.
      lastRevision = Math.max(stored, lastRevision);
      return put(fresh, attempt + 1);
    }
    if (answer.status === 410 && attempt < WISHES) {
      startOver();
      return put(options.folders, attempt + 1);
    }
    const expected = { id: registrationId, revision: lastRevision, folders: options.folders };
    const urls = readRegistration(answer, expected);
    if (typeof urls === "string") {
      complain(urls);
      throw new PhoneError(answer.status, "PUT");
    }
    for (const folder of fresh) subscribe(folder, urls.get(folder) ?? "", ews);
  }
  // A deleted id is spent: the app makes a new one, with a new secret.
  function startOver(): void {
    registrationId = randomUuid(random);
    secret = random(24).toString("base64url");
    firstPut = null;
  }
  function subscribe(folder: PhoneFolder, url: string, ews: Guidance): void {
    const { eventTypes, statusFrequencyMinutes } = ews;
    const { mailbox } = options;
    const { subscriptionId } = exchange.subscribe({
      mailbox,
      folders: [folder],
      eventTypes,
      statusFrequencyMinutes,
      url,
    });
    options.onSubscribed?.(phone, folder, subscriptionId);
  }
  function subscribeAgain(name: string | null): void {
    const folder = options.folders.find((own) => own === name);
    if (folder === undefined) {
      complain("resubscribe names a folder that the phone does not have");
      return;
    }
    inTurn(() => put([folder])).catch((error: unknown) => {
      if (!stopping.signal.aborted) complain(`could not subscribe again: ${String(error)}`);
    });
  }

  const phone: Phone = {
    name: options.name,
    mailbox: options.mailbox,
    platform: options.platform,
    get registrationId() {
      return registrationId;
    },
    get token() {
      return token;
    },
    get badge() {
      return badge;
    },
    get repeats() {
      return repeats;
    },
    pushes,
    complaints,
    enrol: () => inTurn(() => put(options.folders)),
    renew: () => inTurn(() => put([])),
    changeToken: (next) =>
      inTurn(() => {
        token = next;
        return put([]);
      }),
    look: () =>
      inTurn(async () => {
        const answer = await call("GET", path(), { bearer: secret });
        if (answer.status !== 200) throw new PhoneError(answer.status, "GET");
        return answer.body;
      }),
    askForTestRing: () =>
      inTurn(async () => (await call("POST", `${path()}/ring`, { bearer: secret })).status),
    repeatFirstPut: () =>
      inTurn(async () => {
        const send = { body: firstPut, bearer: options.enrolmentSecret };
        return (await call("PUT", path(), send)).status;
      }),
    unregister: () =>
      inTurn(async () => {
        const { status } = await call("DELETE", path(), { bearer: secret });
        if (status !== 204) throw new PhoneError(status, "DELETE");
      }),
    receive(push) {
      if (stopping.signal.aborted) return;
      pushes.push(push);
      if (pushes.length > 2 * KEPT_PUSHES) pushes.splice(0, KEPT_PUSHES);
      if (push.wrong !== null) complain(`a push the app cannot use: ${push.wrong}`);
      if (push.badge !== null) badge = push.badge;
      if (push.reason === "resubscribe") subscribeAgain(push.folder);
    },
    settled: () => queue,
    async stop() {
      stopping.abort();
      await queue;
    },
  };
  return phone;
}

/** A random UUID (RFC 9562, version 4), lower case. */
function randomUuid(random: (count: number) => Buffer): string {
  const bytes = Buffer.from(random(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = () => resolve();
  signal.addEventListener("abort", wake, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
  });
}
