// Simulated push services, a pair of them for each node: so it is known which node rang.
import { randomBytes } from "node:crypto";
import { type ApnsSimulator, createApnsSimulator } from "../../../../src/rehearsal/apns/simulator.ts";
import { createApnsToken, createFcmToken } from "../../../../src/rehearsal/credentials.ts";
import { createFcmSimulator, type FcmSimulator } from "../../../../src/rehearsal/fcm/simulator.ts";
import { fromApns, fromFcm, type Push } from "../../../../src/rehearsal/phone/push.ts";
import { APP, PROJECT, type ProviderUrls } from "../../../../src/rehearsal/stage/props.ts";
import { NODES, type NodeName } from "./evidence.ts";
import type { PairProps } from "./props.ts";
import type { Random } from "./random.ts";

export type Platform = "apns" | "fcm";

export interface PushServices {
  /** Where a node finds its own. */
  readonly urls: Readonly<Record<NodeName, ProviderUrls>>;
  /** A token that every one of them knows. */
  newToken(platform: Platform): string;
  /** The app that has the token is gone: every one of them says so from now on. */
  retire(platform: Platform, token: string): void;
  /** An app has it once more. */
  revive(platform: Platform, token: string): void;
  /** Rings that were told so; the time in epoch milliseconds. */
  refused(): readonly { readonly at: number; readonly node: NodeName; readonly token: string }[];
  violations(): readonly string[];
  stop(): Promise<void>;
}

// What each of them waits before it answers is one of so many times, in turn. The phone has the push before.
const DELAYS = 8;
const LONGEST_DELAY_MS = 600;
// As APNs and FCM say that an app is gone.
const GONE = ["Unregistered", "UNREGISTERED"];

/** Plans the waits of a service: of what comes, a like share for each. */
function slowDown(service: Pick<ApnsSimulator & FcmSimulator, "misbehave">, random: Random): void {
  for (let left = DELAYS; left > 0; left -= 1) {
    service.misbehave({ kind: "delay", ms: random.between(0, LONGEST_DELAY_MS) }, { every: left });
  }
}

/** @param address that the nodes reach them at */
export async function startPushServices(
  props: PairProps,
  address: string,
  random: Random,
  onPush: (node: NodeName, token: string, push: Push) => void,
): Promise<PushServices> {
  const sets = await Promise.all(
    NODES.map(async (node) => {
      const apns: ApnsSimulator = createApnsSimulator({
        tls: props.providerTls,
        keys: [{ ...props.apnsKey, topics: [APP] }],
        address,
        onAccepted: (push) => onPush(node, push.token, fromApns(push)),
      });
      const fcm: FcmSimulator = createFcmSimulator({
        tls: props.providerTls,
        projectId: PROJECT,
        account: {
          clientEmail: props.serviceAccount.file.client_email,
          publicKey: props.serviceAccount.publicKey,
        },
        random: randomBytes,
        address,
        onAccepted: (message) => onPush(node, message.token, fromFcm(message)),
      });
      slowDown(apns, random);
      slowDown(fcm, random);
      const at = (url: string) => url.replace("localhost", address);
      const [apnsAt, fcmAt] = [await apns.start(), await fcm.start()];
      const urls: ProviderUrls = { apns: at(apnsAt.url), fcm: at(fcmAt.url), fcmToken: at(fcmAt.tokenUrl) };
      return { node, apns, fcm, urls };
    }),
  );
  function register(platform: Platform, token: string): void {
    for (const { apns, fcm } of sets) {
      if (platform === "apns") apns.devices.register(token, APP);
      else fcm.devices.register(token);
    }
  }
  return {
    urls: Object.fromEntries(sets.map(({ node, urls }) => [node, urls])) as Record<NodeName, ProviderUrls>,
    newToken(platform) {
      const token = platform === "apns" ? createApnsToken(randomBytes) : createFcmToken(randomBytes);
      register(platform, token);
      return token;
    },
    retire(platform, token) {
      for (const { apns, fcm } of sets) {
        if (platform === "apns") apns.devices.unregister(token, Date.now());
        else fcm.devices.unregister(token);
      }
    },
    revive: register,
    refused: () =>
      sets.flatMap(({ node, apns, fcm }) =>
        [...apns.requests(), ...fcm.requests()]
          .filter(({ reason }) => GONE.includes(reason))
          .map(({ at, token }) => ({ at, node, token })),
      ),
    violations: () =>
      sets.flatMap(({ node, apns, fcm }) => [
        ...apns.violations().map(({ rule, detail }) => `${node} at APNs: ${rule} (${detail})`),
        ...fcm.violations().map(({ rule, detail }) => `${node} at FCM: ${rule} (${detail})`),
      ]),
    async stop() {
      await Promise.all(sets.flatMap(({ apns, fcm }) => [apns.stop(), fcm.stop()]));
    },
  };
}
