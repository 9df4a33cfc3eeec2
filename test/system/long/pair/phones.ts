// Phones that register, renew, change tokens, subscribe anew, delete and lose their app all the time, and note what was
// acknowledged.
// They repeat a wish that got no answer, as an app does; most go through the load balancer, some straight to a node.
import { randomBytes, randomUUID } from "node:crypto";
import { EVENT_KINDS } from "../../../../src/rehearsal/ews/notification.ts";
import type { ExchangeSimulator } from "../../../../src/rehearsal/ews/simulator.ts";
import type { Push } from "../../../../src/rehearsal/phone/push.ts";
import { APP } from "../../../../src/rehearsal/stage/props.ts";
import { NODES, type NodeName, type Put } from "./evidence.ts";
import { durableOf, type Ledger } from "./ledger.ts";
import { ADDRESS } from "./network.ts";
import { type PairProps, PORTS } from "./props.ts";
import type { Platform, PushServices } from "./push-services.ts";
import type { Random } from "./random.ts";

export interface Phones {
  /** Registers all of them. */
  enrol(): Promise<void>;
  /** Begins the traffic. */
  begin(): void;
  /** Ends it; resolves when nothing is on its way. */
  end(): Promise<void>;
  /** The phones' names, which are their mailboxes'. */
  names(): readonly string[];
  /** These renew their registrations now, some of them with a new subscription. */
  renew(mailboxes: readonly string[]): void;
  /** The registrations that these have at the moment, once nothing is on its way from them. */
  settled(mailboxes: readonly string[]): Promise<readonly string[]>;
  /** Those that rested do what they were asked for meanwhile. */
  wake(): void;
  /** The registration whose token this is. */
  ownerOf(token: string): string | null;
  /** The push services deliver. */
  receive(node: NodeName, token: string, push: Push): void;
}

export interface PhonesOptions {
  readonly count: number;
  readonly props: PairProps;
  readonly exchange: ExchangeSimulator;
  readonly services: () => PushServices;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Whether a phone does nothing at the moment. */
  readonly rests: (mailbox: string) => boolean;
  /** Nobody reaches a node but through the load balancer. */
  readonly frontOnly?: boolean;
}

interface Phone {
  readonly platform: Platform;
  readonly mailbox: string;
  /** Inbox, and of some the calendar. */
  readonly folders: readonly string[];
  /** The app was removed from it. */
  isBare: boolean;
  id: string;
  secret: string;
  token: string;
  revision: number;
  queue: Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly durable: "pair" | "node" | null;
}

const TRIES = 8;
const PAUSE_MS = 250;
const ANSWER_WITHIN_MS = 8_000;
const STATUS_FREQUENCY_MINUTES = 15;
const KINDS = EVENT_KINDS.filter((kind) => kind !== "FreeBusyChanged");
// A phone does something every so often, milliseconds.
const LEAST_WAIT_MS = 1_500;
const MOST_WAIT_MS = 8_000;
const DIRECT_SHARE = 0.2;
// Of those that renew around a fault: a new subscription, or a new token.
const FRESH_SHARE = 0.3;
const TOKEN_SHARE = 0.3;
// What a phone does by itself: gets a new token, and much more often while one node alone answers for it, since what the
// push services say of the old one is then what the other node goes by.
const TOKEN_CHANCE = { pair: 0.12, alone: 0.35 } as const;
// Every so many-th phone rings for its calendar, both of Apple's and of Google's.
const CALENDAR_EVERY = 3;
// Of the times that somebody looks at a phone without the app: installs it.
const INSTALL_SHARE = 0.5;

/** Where a request goes: mostly to the load balancer. @param frontOnly always there */
export function pickAddress(random: Random, frontOnly = false): string {
  if (frontOnly) return ADDRESS.clients;
  return random.fraction() < DIRECT_SHARE ? ADDRESS[random.pick(NODES)] : ADDRESS.clients;
}

export function createPhones(options: PhonesOptions): Phones {
  const { props, exchange, ledger, random } = options;
  const byToken = new Map<string, { readonly phone: Phone; readonly id: string }>();
  const askedWhileResting = new Set<Phone>();
  const spent: { readonly id: string; readonly body: unknown }[] = [];
  let phones: Phone[] = [];
  let isAlone = false;
  let isRunning = false;
  let loops: Promise<unknown> = Promise.resolve();

  function reborn(phone: Pick<Phone, "platform">): Pick<Phone, "id" | "secret" | "token" | "revision"> {
    const token = options.services().newToken(phone.platform);
    return { id: randomUUID(), secret: randomBytes(24).toString("base64url"), token, revision: 0 };
  }
  function make(n: number): Phone {
    const platform: Platform = n % 2 === 0 ? "apns" : "fcm";
    const mailbox = `mailbox-${n}`;
    exchange.addMailbox(mailbox);
    const folders = n % CALENDAR_EVERY === 0 ? ["inbox", "calendar"] : ["inbox"];
    const fresh = { ...reborn({ platform }), isBare: false, queue: Promise.resolve() };
    return { platform, mailbox, folders, ...fresh };
  }
  function own(phone: Phone): void {
    byToken.set(phone.token.toLowerCase(), { phone, id: phone.id });
  }

  /** One request; null if no answer came. */
  async function send(
    method: string,
    path: string,
    init: { readonly body?: unknown; readonly bearer: string },
  ): Promise<Answer | null> {
    const address = pickAddress(random, options.frontOnly);
    const failed = (what: string) => {
      if (address === ADDRESS.clients)
        ledger.failures.push({ atMs: ledger.now(), what: `${method}: ${what}` });
    };
    try {
      const response = await fetch(`https://${address}:${PORTS.registration}${path}`, {
        method,
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${init.bearer}` },
        ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
        keepalive: false,
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        tls: { ca: props.ca },
      });
      const text = await response.text();
      const { status } = response;
      if (status >= 500) failed(`status ${status}`);
      const durable = durableOf(response.headers.get("Inboxbell-Durable"));
      return { status, durable, body: text === "" ? null : JSON.parse(text) };
    } catch (error) {
      failed(String(error));
      return null;
    }
  }

  /** The same request until somebody answers it; null if nobody does. */
  async function insist(...request: Parameters<typeof send>): Promise<Answer | null> {
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const answer = await send(...request);
      if (answer !== null && answer.status < 500 && answer.status !== 429) return answer;
      await Bun.sleep(PAUSE_MS * tries);
    }
    return null;
  }

  /** @param fresh folders that get a new subscription */
  function wish(phone: Phone, fresh: readonly string[]) {
    const { platform, token, secret, revision, mailbox } = phone;
    const folders = phone.folders.map((kind) => ({
      kind,
      folder_id: exchange.mailbox(mailbox).folderId(kind),
      ...(fresh.includes(kind) ? { new_subscription: true } : {}),
    }));
    return { app: APP, platform, token, secret, revision, folders };
  }

  async function put(phone: Phone, fresh: readonly string[]): Promise<Put | null> {
    phone.revision = Math.max(phone.revision + 1, Date.now());
    own(phone);
    const { id, revision } = phone;
    const body = wish(phone, fresh);
    const answer = await insist("PUT", `/v1/registrations/${id}`, { body, bearer: props.enrolmentSecret });
    if (answer === null) return null;
    if (answer.status !== 200 && answer.status !== 201) {
      ledger.complaints.push(`PUT of ${id} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
      return null;
    }
    isAlone = answer.durable === "node";
    const done: Put = { id, revision, fresh, atMs: ledger.now(), durable: answer.durable };
    ledger.puts.push(done);
    for (const folder of fresh) subscribe(phone, folder, revision, callbackUrl(answer.body, folder));
    return done;
  }

  function subscribe({ id, mailbox }: Phone, folder: string, generation: number, url: string): void {
    const { subscriptionId } = exchange.subscribe({
      mailbox,
      folders: [folder],
      eventTypes: KINDS,
      statusFrequencyMinutes: STATUS_FREQUENCY_MINUTES,
      url,
    });
    ledger.subscriptions.push({ subscriptionId, id, folder, generation, madeAtMs: ledger.now() });
  }

  /** The push services forget the old one once the new one was acknowledged: nothing may end by it. */
  async function replaceToken(phone: Phone): Promise<void> {
    const { platform, id, mailbox, token } = phone;
    phone.token = options.services().newToken(platform);
    const replaced = await put(phone, []);
    if (replaced === null) return;
    ledger.deaths.push({ id, mailbox, atMs: ledger.now(), replaced });
    options.services().retire(platform, token);
  }

  /** Nobody tells the registration: what the push services say of the token is all. */
  function uninstall(phone: Phone): void {
    const { platform, id, mailbox, token } = phone;
    phone.isBare = true;
    ledger.deaths.push({ id, mailbox, atMs: ledger.now(), replaced: null });
    options.services().retire(platform, token);
  }

  /** Another registration. Its token may be the former one's, where that is known to be dead. */
  async function install(phone: Phone): Promise<void> {
    const { platform, token } = phone;
    const isEnded = hasEnded(phone);
    Object.assign(phone, reborn(phone), { isBare: false });
    if (isEnded && random.fraction() < INSTALL_SHARE) {
      phone.token = token;
      options.services().revive(platform, token);
    }
    await put(phone, phone.folders);
  }

  /** Whether all subscriptions of its registration were ended. */
  function hasEnded({ id }: Phone): boolean {
    const ended = new Set(
      ledger.ends.filter(({ why }) => why === "unsubscribed").map(({ subscriptionId }) => subscriptionId),
    );
    return ledger.subscriptions.every((each) => each.id !== id || ended.has(each.subscriptionId));
  }

  async function remove(phone: Phone): Promise<void> {
    const { id, secret } = phone;
    const sentAtMs = ledger.now();
    const body = wish(phone, []);
    ledger.deletions.set(id, { id, sentAtMs, answered: null });
    const answer = await insist("DELETE", `/v1/registrations/${id}`, { bearer: secret });
    if (answer?.status === 204) {
      const answered = { atMs: ledger.now(), durable: answer.durable };
      ledger.deletions.set(id, { id, sentAtMs, answered });
      spent.push({ id, body });
    }
    Object.assign(phone, reborn(phone));
    await put(phone, phone.folders);
  }

  /** A repeat of an old PUT, on an id that was deleted. */
  async function revive(): Promise<void> {
    if (spent.length === 0) return;
    const { id, body } = random.pick(spent);
    const sentAtMs = ledger.now();
    const answer = await send("PUT", `/v1/registrations/${id}`, { body, bearer: props.enrolmentSecret });
    if (answer?.status === 200 || answer?.status === 201)
      ledger.revivals.push({ id, sentAtMs, atMs: ledger.now() });
  }

  /** Some of the phone's folders, at least one. */
  function some({ folders }: Phone): readonly string[] {
    return random.shuffled(folders).slice(0, random.between(1, folders.length));
  }

  async function act(phone: Phone): Promise<unknown> {
    if (phone.isBare) return random.fraction() < INSTALL_SHARE ? install(phone) : undefined;
    if (random.fraction() < TOKEN_CHANCE[isAlone ? "alone" : "pair"]) return replaceToken(phone);
    const chance = random.fraction();
    if (chance < 0.5) return put(phone, []);
    if (chance < 0.7) return put(phone, some(phone));
    if (chance < 0.75) return uninstall(phone);
    if (chance < 0.85) return remove(phone);
    if (chance < 0.93) return revive();
    return send("GET", `/v1/registrations/${phone.id}`, { bearer: phone.secret });
  }

  /** What the phone does around a fault. */
  async function renew(phone: Phone): Promise<unknown> {
    const chance = random.fraction();
    if (phone.isBare) return install(phone);
    if (chance < FRESH_SHARE) return put(phone, some(phone));
    return chance < FRESH_SHARE + TOKEN_SHARE ? replaceToken(phone) : put(phone, []);
  }

  /** What a push asked for. */
  async function subscribeAnew(phone: Phone, folder: string | null): Promise<void> {
    if (!phone.isBare) await put(phone, folder === null ? phone.folders : [folder]);
  }

  function inTurn(phone: Phone, work: () => Promise<unknown>): Promise<void> {
    const done = phone.queue.then(async () => {
      await work();
    });
    phone.queue = done.catch((error: unknown) => {
      ledger.complaints.push(`a phone failed: ${String(error)}`);
    });
    return phone.queue;
  }

  function called(mailboxes: readonly string[]): readonly Phone[] {
    return phones.filter(({ mailbox }) => mailboxes.includes(mailbox));
  }

  async function live(phone: Phone): Promise<void> {
    while (isRunning) {
      await Bun.sleep(random.between(LEAST_WAIT_MS, MOST_WAIT_MS));
      if (isRunning && !options.rests(phone.mailbox)) await inTurn(phone, () => act(phone));
    }
  }

  return {
    async enrol() {
      phones = Array.from({ length: options.count }, (_, n) => make(n));
      for (const phone of phones) await inTurn(phone, () => put(phone, phone.folders));
    },
    begin() {
      isRunning = true;
      loops = Promise.all(phones.map(live));
    },
    async end() {
      isRunning = false;
      await loops;
      await Promise.all(phones.map((phone) => phone.queue));
    },
    names: () => phones.map(({ mailbox }) => mailbox),
    renew(mailboxes) {
      for (const phone of called(mailboxes)) void inTurn(phone, () => renew(phone));
    },
    async settled(mailboxes) {
      const asked = called(mailboxes);
      await Promise.all(asked.map(({ queue }) => queue));
      return asked.map(({ id }) => id);
    },
    wake() {
      for (const phone of askedWhileResting) void inTurn(phone, () => subscribeAnew(phone, null));
      askedWhileResting.clear();
    },
    ownerOf: (token) => byToken.get(token.toLowerCase())?.id ?? null,
    receive(node, token, push) {
      const owner = byToken.get(token.toLowerCase());
      if (owner === undefined) {
        ledger.complaints.push(`${node} rang a token that no phone has`);
        return;
      }
      const { id, phone } = owner;
      ledger.pushes.push({ atMs: ledger.now(), node, id, badge: push.badge, reason: push.reason });
      if (push.wrong !== null) ledger.complaints.push(`a push the app cannot use: ${push.wrong}`);
      if (push.reason !== "resubscribe" || phone.id !== id) return;
      if (options.rests(phone.mailbox)) askedWhileResting.add(phone);
      else void inTurn(phone, () => subscribeAnew(phone, push.folder));
    },
  };
}

function callbackUrl(body: unknown, folder: string): string {
  const { folders } = body as {
    readonly folders: readonly { readonly name: string; readonly callback_url: string }[];
  };
  const url = folders.find(({ name }) => name === folder)?.callback_url;
  if (url === undefined) throw new Error("a PUT was answered without a callback URL");
  return url;
}
