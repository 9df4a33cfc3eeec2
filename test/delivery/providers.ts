// The simulated Apple and Google with credentials, and senders that are configured for them.
import { randomBytes } from "node:crypto";
import type {
  ApnsConfig,
  ApnsCredential,
  AppConfig,
  Config,
  ServiceAccount,
} from "../../src/config/types.ts";
import { type BuiltSender, createSenders } from "../../src/delivery/senders.ts";
import { type ApnsSimulatorOptions, createApnsSimulator } from "../../src/rehearsal/apns/simulator.ts";
import { createApnsKey, createServiceAccount } from "../../src/rehearsal/credentials.ts";
import { createFcmSimulator, type FcmSimulatorOptions } from "../../src/rehearsal/fcm/simulator.ts";
import { APP, certificates, TEXTS } from "./helpers.ts";

export const PROJECT = "example-mail";
export const TOKEN = "ab".repeat(32);
export const FCM_TOKEN = "instance:APA91bTestToken";

let made: ReturnType<typeof make> | null = null;

async function make() {
  return { key: await createApnsKey(randomBytes), account: await createServiceAccount(randomBytes, PROJECT) };
}

/** The credentials that the simulated providers know; made once. */
export function credentials() {
  made ??= make();
  return made;
}

export async function apns(more: Partial<ApnsSimulatorOptions> = {}) {
  const { server } = await certificates();
  const { key } = await credentials();
  const simulator = createApnsSimulator({ tls: server, keys: [{ ...key, topics: [APP] }], ...more });
  const { url } = await simulator.start();
  simulator.devices.register(TOKEN, APP);
  return { simulator, url };
}

export async function fcm(more: Partial<FcmSimulatorOptions> = {}) {
  const { server } = await certificates();
  const { account } = await credentials();
  const simulator = createFcmSimulator({
    tls: server,
    projectId: PROJECT,
    account: { clientEmail: account.file.client_email, publicKey: account.publicKey },
    random: randomBytes,
    ...more,
  });
  const urls = await simulator.start();
  simulator.devices.register(FCM_TOKEN);
  return { simulator, ...urls };
}

/** What of the configuration matters to the senders. */
export interface AppSetup {
  readonly id?: string;
  readonly apnsUrl?: string;
  readonly credential?: ApnsCredential;
  readonly topic?: string;
  readonly environment?: ApnsConfig["environment"];
  readonly fcmUrl?: string;
  readonly tokenUrl?: string;
  readonly projectId?: string;
}

export interface SetupOptions {
  /** The proxy to the providers. */
  readonly proxy?: { readonly url: string; readonly user?: string; readonly password?: string };
  readonly noProxy?: readonly string[];
  /** PEM of what is trusted besides the runtime's own; the tests' authority unless given. */
  readonly ca?: string | null;
  readonly now?: () => number;
  readonly monotonicNow?: () => number;
  /** Senders in use, for what is loaded anew. */
  readonly previous?: readonly BuiltSender[];
}

/** Senders as the appliance makes them, from a configuration. */
export async function sendersFor(setups: readonly AppSetup[], options: SetupOptions = {}) {
  const { authority } = await certificates();
  const { key, account } = await credentials();
  const { proxy } = options;
  const apps: AppConfig[] = [];
  const secrets = new Map<string, { apns: ApnsCredential | null; fcm: ServiceAccount | null }>();
  for (const setup of setups) {
    const id = setup.id ?? APP;
    const credential: ApnsCredential = setup.credential ?? {
      type: "key",
      privateKey: key.privateKey,
      keyId: key.keyId,
      teamId: key.teamId,
    };
    apps.push({
      id,
      apns:
        setup.apnsUrl === undefined
          ? null
          : {
              environment: setup.environment ?? "production",
              topic: setup.topic ?? id,
              port: 443,
              url: setup.apnsUrl,
              credential: { type: "key", file: "AuthKey.p8", keyId: key.keyId, teamId: key.teamId },
            },
      fcm:
        setup.fcmUrl === undefined
          ? null
          : {
              serviceAccount: "fcm.json",
              url: setup.fcmUrl,
              tokenUrl: setup.tokenUrl ?? `${setup.fcmUrl}/token`,
              dataOnly: false,
            },
      ring: "badge",
      ringFolders: ["inbox", "calendar", "other"],
      texts: TEXTS,
    });
    secrets.set(id, {
      apns: setup.apnsUrl === undefined ? null : credential,
      fcm:
        setup.fcmUrl === undefined
          ? null
          : {
              projectId: setup.projectId ?? PROJECT,
              clientEmail: account.file.client_email,
              privateKey: account.file.private_key,
              privateKeyId: account.file.private_key_id,
            },
    });
  }
  const settings = {
    config: {
      apps,
      egress: {
        proxy:
          proxy === undefined
            ? null
            : {
                url: proxy.url,
                user: proxy.user === undefined ? null : { name: proxy.user, passwordFile: "" },
              },
        noProxy: options.noProxy ?? [],
        caFile: null,
      },
    } as unknown as Config,
    secrets: {
      apps: secrets,
      enrolmentSecrets: [],
      egressCa: options.ca === undefined ? authority : options.ca,
      egressProxyPassword: proxy?.password ?? null,
    },
    now: options.now ?? Date.now,
    monotonicNow: options.monotonicNow ?? (() => performance.now()),
    random: Math.random,
  };
  return createSenders(settings, options.previous);
}
