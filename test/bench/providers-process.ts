// The simulated APNs and FCM in a process of their own. Input: a first line with what they need to know, then one
// command a line; each gets one line of JSON back.
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { createApnsSimulator } from "../../src/rehearsal/apns/simulator.ts";
import type { ApnsKey, ServiceAccount } from "../../src/rehearsal/credentials.ts";
import { createFcmSimulator } from "../../src/rehearsal/fcm/simulator.ts";
import { APP, type Mix, newestOf, platformOf, tokenOf, unreadOf } from "./fleet.ts";

export interface ProvidersInput {
  readonly tls: { readonly certificate: string; readonly key: string };
  readonly apnsKeys: readonly ApnsKey[];
  readonly account: ServiceAccount;
  readonly project: string;
  /** Known phones: as many iPhones, and as many Android phones. */
  readonly phones: number;
}

/** One provider's counts since it was started. */
export interface Counts {
  readonly connections: number;
  readonly accepted: number;
  readonly refused: number;
  readonly violations: number;
}

export type Command =
  | { readonly do: "counts" }
  /** Nobody listens any more; every connection breaks. */
  | { readonly do: "leave" }
  /** Listens again at the same addresses. */
  | { readonly do: "return" }
  /** How many of the phones show the unread count of the newest of `sent` notifications that was theirs. */
  | { readonly do: "right"; readonly phones: number; readonly mix: Mix; readonly sent: number }
  | { readonly do: "stop" };

// The limits for one device and one project are about phones, not about a sender's speed.
const NO_LIMIT = { count: Number.MAX_SAFE_INTEGER, windowMs: 1 };

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  const input = JSON.parse(String(first.value)) as ProvidersInput;
  const apns = createApnsSimulator({
    tls: input.tls,
    keys: input.apnsKeys.map((key) => ({ ...key, topics: [APP] })),
    deviceLimit: NO_LIMIT,
  });
  const fcm = createFcmSimulator({
    tls: input.tls,
    projectId: input.project,
    account: { clientEmail: input.account.file.client_email, publicKey: input.account.publicKey },
    random: randomBytes,
    deviceLimit: NO_LIMIT,
    deviceHourLimit: NO_LIMIT,
    projectLimit: NO_LIMIT,
  });
  for (let phone = 0; phone < input.phones; phone += 1) {
    apns.devices.register(tokenOf(phone, "apns"), APP);
    fcm.devices.register(tokenOf(phone, "fcm"));
  }

  async function listen() {
    const loopback = (url: string) => url.replace("localhost", "127.0.0.1");
    const [apnsAddress, fcmAddress] = await Promise.all([apns.start(), fcm.start()]);
    return {
      apns: loopback(apnsAddress.url),
      fcm: loopback(fcmAddress.url),
      fcmToken: loopback(fcmAddress.tokenUrl),
    };
  }
  const countsOf = (
    simulator: Pick<typeof apns, "totals"> & { violations(): readonly unknown[] },
  ): Counts => {
    const { connections, accepted, refused } = simulator.totals();
    return {
      connections,
      accepted,
      refused: Object.values(refused).reduce((sum, count) => sum + count, 0),
      violations: simulator.violations().length,
    };
  };

  async function perform(command: Command): Promise<unknown> {
    switch (command.do) {
      case "counts":
        return { apns: countsOf(apns), fcm: countsOf(fcm) };
      case "leave":
        await Promise.all([apns.stop(), fcm.stop()]);
        return {};
      case "return":
        return await listen();
      case "right": {
        let right = 0;
        for (let phone = 0; phone < command.phones; phone += 1) {
          const platform = platformOf(phone, command.mix);
          const token = tokenOf(phone, platform);
          const shown = platform === "apns" ? apns.lastBadge(token) : fcm.lastUnread(token);
          if (shown === unreadOf(newestOf(phone, command.phones, command.sent), command.phones)) right += 1;
        }
        return { right };
      }
      case "stop":
        await Promise.all([apns.stop(), fcm.stop()]);
        process.exit(0);
    }
  }

  const reply = (value: unknown) => void process.stdout.write(`${JSON.stringify(value)}\n`);
  reply(await listen());
  for await (const line of lines) reply(await perform(JSON.parse(line) as Command));
  // The benchmark is gone.
  process.exit(0);
}

await main();
