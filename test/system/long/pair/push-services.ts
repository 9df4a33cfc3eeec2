// Simulated push services, a pair of them for each node: so it is known which node rang.
import { randomBytes } from "node:crypto";
import { type ApnsSimulator, createApnsSimulator } from "../../../../src/rehearsal/apns/simulator.ts";
import { createApnsToken, createFcmToken } from "../../../../src/rehearsal/credentials.ts";
import { createFcmSimulator, type FcmSimulator } from "../../../../src/rehearsal/fcm/simulator.ts";
import { fromApns, fromFcm, type Push } from "../../../../src/rehearsal/phone/push.ts";
import { APP, PROJECT, type ProviderUrls } from "../../../../src/rehearsal/stage/props.ts";
import { NODES, type NodeName } from "./evidence.ts";
import type { PairProps } from "./props.ts";

export type Platform = "apns" | "fcm";

export interface PushServices {
  /** Where a node finds its own. */
  readonly urls: Readonly<Record<NodeName, ProviderUrls>>;
  /** A token that every one of them knows. */
  newToken(platform: Platform): string;
  violations(): readonly string[];
  stop(): Promise<void>;
}

/** @param address that the nodes reach them at */
export async function startPushServices(
  props: PairProps,
  address: string,
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
      const at = (url: string) => url.replace("localhost", address);
      const [apnsAt, fcmAt] = [await apns.start(), await fcm.start()];
      const urls: ProviderUrls = { apns: at(apnsAt.url), fcm: at(fcmAt.url), fcmToken: at(fcmAt.tokenUrl) };
      return { node, apns, fcm, urls };
    }),
  );
  return {
    urls: Object.fromEntries(sets.map(({ node, urls }) => [node, urls])) as Record<NodeName, ProviderUrls>,
    newToken(platform) {
      const token = platform === "apns" ? createApnsToken(randomBytes) : createFcmToken(randomBytes);
      for (const { apns, fcm } of sets) {
        if (platform === "apns") apns.devices.register(token, APP);
        else fcm.devices.register(token);
      }
      return token;
    },
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
