// Helpers of the tests of the compiled binary: running it, waiting, and a scene with simulated Exchange, APNs, FCM
// and phones around it. The binary is `dist/inboxbell` unless INBOXBELL_BINARY names another.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { type ApnsSimulator, createApnsSimulator } from "../../src/rehearsal/apns/simulator.ts";
import { createApnsToken, createFcmToken } from "../../src/rehearsal/credentials.ts";
import { createExchangeSimulator, type ExchangeSimulator } from "../../src/rehearsal/ews/simulator.ts";
import { createFcmSimulator, type FcmSimulator } from "../../src/rehearsal/fcm/simulator.ts";
import { createPhone, type Phone, type PhoneFolder } from "../../src/rehearsal/phone/phone.ts";
import { fromApns, fromFcm, type Push } from "../../src/rehearsal/phone/push.ts";
import {
  APP,
  freePorts,
  makeProps,
  PROJECT,
  type Props,
  writeConfig,
} from "../../src/rehearsal/stage/props.ts";

const dist = join(import.meta.dir, "..", "..", "dist");
export const binary = process.env.INBOXBELL_BINARY ?? join(dist, "inboxbell");
/** The build that can be told to break on purpose. */
export const testBinary = process.env.INBOXBELL_TEST_BINARY ?? join(dist, "inboxbell-test");

/** Waits until something holds; after `limitMs` it throws an error that says what did not come. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
  limitMs = 30_000,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > limit) {
      throw new Error(`waited in vain until ${typeof what === "string" ? what : what()}`);
    }
    await Bun.sleep(20);
  }
}

/** A private directory that `remove` deletes. Short, since a control socket's path may have 107 bytes only. */
export function freshDirectory(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `ib-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Ended {
  /** Exit code, or the signal's name. */
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly pid: number;
  /** All lines of its standard error so far. */
  readonly lines: readonly string[];
  readonly exited: Promise<Ended>;
  /** Null while it runs. */
  ended(): Ended | null;
  kill(signal: NodeJS.Signals): void;
  /** Asks it to stop in order, and kills it if it does not within `limitMs`. */
  stop(limitMs?: number): Promise<Ended>;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Private directory for what the binary unpacks. */
  readonly temporary?: string;
  /** A process group of its own, whose id is the pid: to signal a tracer and what it traces together. */
  readonly ownGroup?: boolean;
}

/** Starts a command; whoever starts it ends it. */
export function start(command: readonly string[], options: RunOptions = {}): Running {
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: {
      ...process.env,
      ...(options.temporary === undefined ? {} : { BUN_TMPDIR: options.temporary }),
      ...options.env,
    },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    detached: options.ownGroup === true,
  });
  const lines: string[] = [];
  const read = async (): Promise<string> => {
    let text = "";
    let rest = "";
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
    }
    if (rest !== "") lines.push(rest);
    return text;
  };
  let ended: Ended | null = null;
  const exited = Promise.all([child.exited, new Response(child.stdout).text(), read()]).then(
    ([code, out, err]) => {
      ended = { code: child.signalCode ?? code, out, err };
      return ended;
    },
  );
  return {
    pid: child.pid,
    lines,
    exited,
    ended: () => ended,
    kill: (signal) => child.kill(signal),
    async stop(limitMs = 20_000) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
      const result = await exited;
      clearTimeout(timer);
      return result;
    },
  };
}

/** Runs a command to its end; one that does not end within `limitMs` is killed, which the exit code shows. */
export async function run(
  command: readonly string[],
  options: RunOptions & { readonly limitMs?: number } = {},
): Promise<Ended> {
  const running = start(command, options);
  const timer = setTimeout(() => running.kill("SIGKILL"), options.limitMs ?? 30_000);
  const ended = await running.exited;
  clearTimeout(timer);
  return ended;
}

/** Waits until the appliance whose admin listener is at `adminUrl` is ready, or says what it said instead. */
export async function untilReady(running: Running, adminUrl: string): Promise<void> {
  await until(
    async () => {
      if (running.ended() !== null) throw new Error(`the appliance ended: ${running.lines.join("\n")}`);
      const answer = await fetch(`${adminUrl}/readyz`).catch(() => null);
      return answer?.ok === true;
    },
    () => `the appliance is ready; it said ${running.lines.join("\n")}`,
  );
}

/** Sends bytes through TLS on a connection of their own; everything that comes back until it is closed. */
export function askRaw(port: number, ca: string, bytes: string | Buffer, limitMs = 20_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      socket.write(bytes);
    });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error("the listener neither answered nor closed"));
    }, limitMs);
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      answer += text;
    });
    // A listener that ends a connection while bytes are still on their way may reset it.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

export interface PhoneWish {
  readonly platform: "apns" | "fcm";
  /** Made if there is none of this name. */
  readonly mailbox: string;
  /** Default the inbox alone. */
  readonly folders?: readonly PhoneFolder[];
  /** Whether the app tells the inbox's folder id; otherwise it has to be learnt. */
  readonly tellsInbox?: boolean;
}

export interface Scene {
  readonly directory: string;
  readonly props: Props;
  readonly exchange: ExchangeSimulator;
  readonly apns: ApnsSimulator;
  readonly fcm: FcmSimulator;
  /** A phone that is switched on but has not registered yet. */
  addPhone(wish: PhoneWish): Phone;
  /** The callback URL that the phone gave to Exchange last for a folder. */
  callbackUrl(phone: Phone, folder?: PhoneFolder): string;
  /** A token that the push service has just given out. */
  newToken(platform: "apns" | "fcm"): string;
  /** Starts the binary with this scene's configuration and waits until it is ready. */
  up(command?: readonly string[], options?: RunOptions): Promise<Running>;
  /** Runs a verb against this scene's configuration or control socket. */
  verb(...args: readonly string[]): Promise<Ended>;
  /** Rules that the appliance broke, as any of the simulators and phones saw it. */
  violations(): readonly string[];
  /** Ends everything that it started and removes its files. */
  stop(): Promise<void>;
}

/** Sets up simulators, files and a configuration; the appliance is not started yet. */
export async function setScene(
  title: string,
  options: {
    readonly timeScale?: number;
    readonly config?: (text: string) => string;
    /** Where phones register, if not at the appliance itself. */
    readonly registrationUrl?: string;
  } = {},
): Promise<Scene> {
  const directory = freshDirectory(title);
  const props = await makeProps(directory.path, await freePorts(), randomBytes);
  const phones: Phone[] = [];
  const callbackUrls = new Map<string, string>();
  const running: Running[] = [];
  // By the token of the moment: a push to a token that the phone had before reaches nobody.
  const deliver = (token: string, push: Push) => phones.find((phone) => phone.token === token)?.receive(push);
  const apns = createApnsSimulator({
    tls: props.providerTls,
    keys: [{ ...props.apnsKey, topics: [APP] }],
    onAccepted: (push) => deliver(push.token, fromApns(push)),
  });
  const fcm = createFcmSimulator({
    tls: props.providerTls,
    projectId: PROJECT,
    account: {
      clientEmail: props.serviceAccount.file.client_email,
      publicKey: props.serviceAccount.publicKey,
    },
    random: randomBytes,
    onAccepted: (message) => deliver(message.token, fromFcm(message)),
  });
  const exchange = createExchangeSimulator({ ca: props.ca, timeScale: options.timeScale ?? 1 });
  const loopback = (url: string) => url.replace("localhost", "127.0.0.1");
  const [apnsAt, fcmAt] = [await apns.start(), await fcm.start()];
  writeConfig(props, {
    apns: loopback(apnsAt.url),
    fcm: loopback(fcmAt.url),
    fcmToken: loopback(fcmAt.tokenUrl),
  });
  if (options.config !== undefined) {
    await Bun.write(props.configFile, options.config(await Bun.file(props.configFile).text()));
  }
  const temporary = join(directory.path, "tmp");

  const newToken = (platform: "apns" | "fcm"): string => {
    if (platform === "apns") {
      const token = createApnsToken(randomBytes);
      apns.devices.register(token, APP);
      return token;
    }
    const token = createFcmToken(randomBytes);
    fcm.devices.register(token);
    return token;
  };

  return {
    directory: directory.path,
    props,
    exchange,
    apns,
    fcm,
    newToken,
    addPhone({ platform, mailbox, folders = ["inbox"], tellsInbox = false }) {
      if (!exchange.mailboxes().some((box) => box.name === mailbox)) exchange.addMailbox(mailbox);
      const name = `phone-${phones.length + 1}`;
      const phone = createPhone({
        name,
        platform,
        app: APP,
        mailbox,
        folders,
        token: newToken(platform),
        registrationUrl: options.registrationUrl ?? props.urls.registration,
        ca: props.ca,
        enrolmentSecret: props.enrolmentSecret,
        exchange: {
          subscribe(request) {
            for (const folder of request.folders) callbackUrls.set(`${name} ${folder}`, request.url);
            return exchange.subscribe(request);
          },
        },
        random: randomBytes,
        now: Date.now,
        ...(tellsInbox ? { inboxId: exchange.mailbox(mailbox).folderId("inbox") } : {}),
      });
      phones.push(phone);
      return phone;
    },
    callbackUrl(phone, folder = "inbox") {
      const url = callbackUrls.get(`${phone.name} ${folder}`);
      if (url === undefined) throw new Error(`${phone.name} has not subscribed to its ${folder}`);
      return url;
    },
    async up(command = [binary, "serve", "--config", props.configFile], runOptions = {}) {
      const appliance = start(command, { temporary, ...runOptions });
      running.push(appliance);
      await untilReady(appliance, props.urls.admin);
      return appliance;
    },
    verb: (...args) => run([binary, ...args], { temporary }),
    violations() {
      const told = (where: string) => (violation: { readonly rule: string; readonly detail: string }) =>
        `${where}: ${violation.rule} (${violation.detail})`;
      return [
        ...apns.violations().map(told("APNs")),
        ...fcm.violations().map(told("FCM")),
        ...exchange.statistics().violations.map(told("Exchange")),
        ...phones.flatMap((phone) => phone.complaints),
      ];
    },
    async stop() {
      await exchange.stop();
      await Promise.all(phones.map((phone) => phone.stop()));
      for (const appliance of running) appliance.kill("SIGKILL");
      await Promise.all(running.map((appliance) => appliance.exited));
      await Promise.all([apns.stop(), fcm.stop()]);
      directory.remove();
    },
  };
}
