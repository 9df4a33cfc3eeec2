// Phones that register, renew, change tokens, subscribe anew and delete all the time, and note what was acknowledged.
// They repeat a wish that got no answer, as an app does; most go through the load balancer, some straight to a node.
import { randomBytes, randomUUID } from "node:crypto";
import { EVENT_KINDS } from "../../../../src/rehearsal/ews/notification.ts";
import type { ExchangeSimulator } from "../../../../src/rehearsal/ews/simulator.ts";
import type { Push } from "../../../../src/rehearsal/phone/push.ts";
import { APP } from "../../../../src/rehearsal/stage/props.ts";
import { NODES, type NodeName } from "./evidence.ts";
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
  /** Nobody reaches a node but through the load balancer. */
  readonly frontOnly?: boolean;
}

interface Phone {
  readonly platform: Platform;
  readonly mailbox: string;
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

/** Where a request goes: mostly to the load balancer. @param frontOnly always there */
export function pickAddress(random: Random, frontOnly = false): string {
  if (frontOnly) return ADDRESS.clients;
  return random.fraction() < DIRECT_SHARE ? ADDRESS[random.pick(NODES)] : ADDRESS.clients;
}

export function createPhones(options: PhonesOptions): Phones {
  const { props, exchange, ledger, random } = options;
  const byToken = new Map<string, { readonly phone: Phone; readonly id: string }>();
  const spent: { readonly id: string; readonly body: unknown }[] = [];
  let phones: Phone[] = [];
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
    return { platform, mailbox, ...reborn({ platform }), queue: Promise.resolve() };
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

  function wish(phone: Phone, fresh: boolean) {
    const { platform, token, secret, revision, mailbox } = phone;
    const folder_id = exchange.mailbox(mailbox).folderId("inbox");
    const folder = { kind: "inbox", folder_id, ...(fresh ? { new_subscription: true } : {}) };
    return { app: APP, platform, token, secret, revision, folders: [folder] };
  }

  async function put(phone: Phone, fresh: boolean): Promise<void> {
    phone.revision = Math.max(phone.revision + 1, Date.now());
    own(phone);
    const { id, revision } = phone;
    const body = wish(phone, fresh);
    const answer = await insist("PUT", `/v1/registrations/${id}`, { body, bearer: props.enrolmentSecret });
    if (answer === null) return;
    if (answer.status !== 200 && answer.status !== 201) {
      ledger.complaints.push(`PUT of ${id} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
      return;
    }
    ledger.puts.push({ id, revision, fresh, atMs: ledger.now(), durable: answer.durable });
    if (fresh) subscribe(phone, revision, callbackUrl(answer.body));
  }

  function subscribe({ id, mailbox }: Phone, generation: number, url: string): void {
    const { subscriptionId } = exchange.subscribe({
      mailbox,
      folders: ["inbox"],
      eventTypes: KINDS,
      statusFrequencyMinutes: STATUS_FREQUENCY_MINUTES,
      url,
    });
    ledger.subscriptions.push({ subscriptionId, id, generation, madeAtMs: ledger.now() });
  }

  async function remove(phone: Phone): Promise<void> {
    const { id, secret } = phone;
    const sentAtMs = ledger.now();
    const body = wish(phone, false);
    ledger.deletions.set(id, { id, sentAtMs, answered: null });
    const answer = await insist("DELETE", `/v1/registrations/${id}`, { bearer: secret });
    if (answer?.status === 204) {
      const answered = { atMs: ledger.now(), durable: answer.durable };
      ledger.deletions.set(id, { id, sentAtMs, answered });
      spent.push({ id, body });
    }
    Object.assign(phone, reborn(phone));
    await put(phone, true);
  }

  /** A repeat of an old PUT, on an id that was deleted. */
  async function revive(): Promise<void> {
    if (spent.length === 0) return;
    const { id, body } = random.pick(spent);
    const answer = await send("PUT", `/v1/registrations/${id}`, { body, bearer: props.enrolmentSecret });
    if (answer?.status === 200 || answer?.status === 201) ledger.revivals.push({ id, atMs: ledger.now() });
  }

  async function act(phone: Phone): Promise<void> {
    const chance = random.fraction();
    if (chance < 0.5) return put(phone, false);
    if (chance < 0.65) return put(phone, true);
    if (chance < 0.75) {
      phone.token = options.services().newToken(phone.platform);
      return put(phone, false);
    }
    if (chance < 0.85) return remove(phone);
    if (chance < 0.93) return revive();
    await send("GET", `/v1/registrations/${phone.id}`, { bearer: phone.secret });
  }

  function inTurn(phone: Phone, work: () => Promise<void>): Promise<void> {
    phone.queue = phone.queue.then(work).catch((error: unknown) => {
      ledger.complaints.push(`a phone failed: ${String(error)}`);
    });
    return phone.queue;
  }

  async function live(phone: Phone): Promise<void> {
    while (isRunning) {
      await Bun.sleep(random.between(LEAST_WAIT_MS, MOST_WAIT_MS));
      if (isRunning) await inTurn(phone, () => act(phone));
    }
  }

  return {
    async enrol() {
      phones = Array.from({ length: options.count }, (_, n) => make(n));
      for (const phone of phones) await inTurn(phone, () => put(phone, true));
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
    receive(node, token, push) {
      const owner = byToken.get(token.toLowerCase());
      if (owner === undefined) {
        ledger.complaints.push(`${node} rang a token that no phone has`);
        return;
      }
      const { id, phone } = owner;
      ledger.pushes.push({ atMs: ledger.now(), node, id, badge: push.badge, reason: push.reason });
      if (push.wrong !== null) ledger.complaints.push(`a push the app cannot use: ${push.wrong}`);
      if (push.reason === "resubscribe" && phone.id === id) void inTurn(phone, () => put(phone, true));
    },
  };
}

function callbackUrl(body: unknown): string {
  const { folders } = body as { readonly folders: readonly { readonly callback_url: string }[] };
  const url = folders[0]?.callback_url;
  if (url === undefined) throw new Error("a PUT was answered without a callback URL");
  return url;
}
