// The whole stage of a rehearsal: simulated Exchange, APNs and FCM, phones, and the traffic between them.
import { type ApnsSimulator, createApnsSimulator } from "../apns/simulator.ts";
import { createApnsToken, createFcmToken, type RandomBytes } from "../credentials.ts";
import { createExchangeSimulator, type ExchangeSimulator } from "../ews/simulator.ts";
import { createFcmSimulator, type FcmSimulator } from "../fcm/simulator.ts";
import { createPhone, type Phone } from "../phone/phone.ts";
import { fromApns, fromFcm } from "../phone/push.ts";
import type { TunnelFault } from "../phone/registration-client.ts";
import { type Addressee, createScore, type Happening, type Score } from "../score.ts";
import { isRight, type PhoneResult } from "../summary.ts";
import { APP, PROJECT, type Props, type ProviderUrls, writeConfig } from "./props.ts";
import { createTraffic, type Traffic } from "./traffic.ts";

export interface StageOptions {
  readonly props: Props;
  readonly phones: number;
  /** Mailbox changes a second. */
  readonly rate: number;
  readonly random: RandomBytes;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly tell: (happening: Happening) => void;
}

export interface Stage {
  readonly exchange: ExchangeSimulator;
  readonly apns: ApnsSimulator;
  readonly fcm: FcmSimulator;
  readonly phones: readonly Phone[];
  readonly score: Score;
  readonly traffic: Traffic;
  readonly providers: ProviderUrls;
  /** Of no phone here: for one that a person registers by hand. */
  readonly spareTokens: { readonly apns: string; readonly fcm: string };
  /**
   * Every phone that is not registered yet registers and subscribes, a few at a time. Rejects with the error of one
   * that could not; asked again, the others are left as they are.
   */
  enrolAll(): Promise<void>;
  /** Whether every phone shows what Exchange counts. */
  results(): readonly PhoneResult[];
  /** Rules that the appliance broke. */
  violations(): readonly string[];
  /** Resolves when Exchange has delivered all and every phone is right, or after `limitMs`. */
  quiet(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

// Every tenth phone is the second one of its mailbox's user.
const SHARED_EVERY = 10;
// Of four phones the first two, one of each platform, also follow the calendar.
const CALENDAR_OF = 4;
const CALENDAR_FIRST = 2;
// Every third phone tells which folder the inbox is; for the others it has to be learnt.
const TELLS_INBOX_EVERY = 3;
// Every seventh phone sits behind a tunnel that loses a fifth of all requests and answers.
const FLAKY_EVERY = 7;
const LOST_SHARE = 0.2;
const ENROL_AT_ONCE = 8;
const LOOK_MS = 50;

/** Starts the simulators and writes the configuration that belongs to them. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const { props, random, now } = options;
  const byToken = new Map<string, Phone>();
  const addressees = new Map<string, Addressee>();
  const score = createScore(options.tell);
  const monotonic = () => performance.now();
  const fraction = () => random(4).readUInt32BE(0) / 2 ** 32;

  const apns = createApnsSimulator({
    tls: props.providerTls,
    keys: [{ ...props.apnsKey, topics: [APP] }],
    now,
    onAccepted: (push) => deliver(push.token, "APNs", fromApns(push)),
  });
  const fcm = createFcmSimulator({
    tls: props.providerTls,
    projectId: PROJECT,
    account: {
      clientEmail: props.serviceAccount.file.client_email,
      publicKey: props.serviceAccount.publicKey,
    },
    now,
    random,
    onAccepted: (message) => deliver(message.token, "FCM", fromFcm(message)),
  });
  const exchange = createExchangeSimulator({ ca: props.ca, now, random: fraction });

  function deliver(token: string, provider: "APNs" | "FCM", push: ReturnType<typeof fromApns>): void {
    const phone = byToken.get(token);
    if (phone === undefined) {
      // One of the spare tokens: the services push to no others.
      options.tell({ kind: "ring", phone: "by hand", mailbox: "", provider, push, latencyMs: null });
      return;
    }
    phone.receive(push);
    score.rang(phone.name, phone.mailbox, provider, push, monotonic());
  }
  exchange.observe({
    onPost(post) {
      const addressee = addressees.get(post.subscriptionId);
      if (addressee !== undefined && post.attempt === 0) score.posted(post, addressee);
    },
    onEnd: (subscription) => addressees.delete(subscription.id),
  });

  const loopback = (url: string) => url.replace("localhost", "127.0.0.1");
  const apnsAddress = await apns.start();
  const fcmAddress = await fcm.start();
  const providers: ProviderUrls = {
    apns: loopback(apnsAddress.url),
    fcm: loopback(fcmAddress.url),
    fcmToken: loopback(fcmAddress.tokenUrl),
  };
  writeConfig(props, providers);

  const flaky = (): TunnelFault | null => {
    const chance = fraction();
    if (chance >= LOST_SHARE) return null;
    return chance < LOST_SHARE / 2 ? "request" : "answer";
  };
  const phones = Array.from({ length: options.phones }, (_, n): Phone => {
    const platform = n % 2 === 0 ? "apns" : "fcm";
    const token = platform === "apns" ? createApnsToken(random) : createFcmToken(random);
    if (platform === "apns") apns.devices.register(token, APP);
    else fcm.devices.register(token);
    const owner = n % SHARED_EVERY === SHARED_EVERY - 1 ? n - 1 : n;
    const mailbox = `mailbox-${owner + 1}`;
    if (owner === n) exchange.addMailbox(mailbox).createFolder("inbox", "projects");
    const inboxId = exchange.mailbox(mailbox).folderId("inbox");
    const phone = createPhone({
      name: `phone-${n + 1}`,
      platform,
      app: APP,
      mailbox,
      folders: n % CALENDAR_OF < CALENDAR_FIRST ? ["inbox", "calendar"] : ["inbox"],
      token,
      registrationUrl: props.urls.registration,
      ca: props.ca,
      enrolmentSecret: props.enrolmentSecret,
      exchange,
      random,
      now,
      ...(n % TELLS_INBOX_EVERY === 0 ? { inboxId } : {}),
      ...(n % FLAKY_EVERY === FLAKY_EVERY - 1 ? { tunnel: flaky } : {}),
      onSubscribed(self, folder, subscriptionId) {
        addressees.set(subscriptionId, { phone: self.name, folder, inboxId });
      },
    });
    byToken.set(token, phone);
    return phone;
  });
  // After the phones, so that a seed gives them the same tokens as ever.
  const spareTokens = { apns: createApnsToken(random), fcm: createFcmToken(random) };
  apns.devices.register(spareTokens.apns, APP);
  fcm.devices.register(spareTokens.fcm);
  const waiting = new Set(phones);
  // What an appliance that would not register a phone was blamed for, until another one did.
  const excused = new Map<Phone, number>();
  const traffic = createTraffic(exchange.mailboxes(), options.rate, fraction, monotonic);

  const results = () =>
    phones.map(
      (phone): PhoneResult => ({
        phone: phone.name,
        mailbox: phone.mailbox,
        badge: phone.badge,
        unread: exchange.unread(phone.mailbox, "inbox"),
        touched: traffic.touched.has(phone.mailbox),
      }),
    );

  return {
    exchange,
    apns,
    fcm,
    phones,
    score,
    traffic,
    providers,
    results,
    spareTokens,
    async enrolAll() {
      const left = [...waiting];
      for (let at = 0; at < left.length; at += ENROL_AT_ONCE) {
        const results = await Promise.allSettled(
          left.slice(at, at + ENROL_AT_ONCE).map(async (phone) => {
            await phone.enrol();
            waiting.delete(phone);
          }),
        );
        for (const phone of waiting) excused.set(phone, phone.complaints.length);
        for (const result of results) if (result.status === "rejected") throw result.reason;
      }
    },
    violations() {
      const told = (where: string) => (violation: { readonly rule: string; readonly detail: string }) =>
        `${where}: ${violation.rule} (${violation.detail})`;
      return [
        ...apns.violations().map(told("APNs")),
        ...fcm.violations().map(told("FCM")),
        ...exchange.statistics().violations.map(told("Exchange")),
        ...phones.flatMap((phone) => phone.complaints.slice(excused.get(phone) ?? 0)),
      ];
    },
    async quiet(limitMs) {
      const until = monotonic() + limitMs;
      const right = () => score.missingWakes() === 0 && results().every(isRight);
      let delivered = false;
      void exchange.idle().then(() => {
        delivered = true;
      });
      while (monotonic() < until && !(delivered && right())) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    },
    async stop() {
      traffic.stop();
      await exchange.stop();
      await Promise.all(phones.map((phone) => phone.stop()));
      await Promise.all([apns.stop(), fcm.stop()]);
    },
  };
}
