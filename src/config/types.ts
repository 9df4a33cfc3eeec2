// The configuration as the rest of the program sees it: checked, defaults filled in, paths absolute,
// durations in milliseconds. Secrets are not in here; `secrets.ts` reads them from the files named here.

/** A TLS certificate chain and its private key, as absolute paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface ListenerConfig {
  readonly address: string;
  readonly port: number;
  /** `null` means plain HTTP (`tls: off`), allowed on loopback addresses only. */
  readonly tls: TlsFiles | null;
  /** CIDR blocks or addresses that may connect; empty allows every address. */
  readonly allow: readonly string[];
  /** CIDR blocks or addresses of proxies that are believed whom they pass on; empty believes nobody. */
  readonly trustedProxies: readonly string[];
  /** Whether those begin every connection with the PROXY protocol's header. */
  readonly proxyProtocol: boolean;
}

export interface ExchangeListenerConfig extends ListenerConfig {
  /** Whether `POST /ews` without a capability is served. */
  readonly sharedRoute: boolean;
}

export interface AdminListenerConfig {
  readonly address: string;
  readonly port: number;
}

export interface ApnsConfig {
  readonly environment: "production" | "sandbox";
  /** Topic of the notifications; the app id unless set. */
  readonly topic: string;
  /** Apple's port, where `url` does not override the address. */
  readonly port: 443 | 2197;
  /** Overrides Apple's address (simulators, relays), for example `https://127.0.0.1:2197`. */
  readonly url: string | null;
  readonly credential:
    | { readonly type: "key"; readonly file: string; readonly keyId: string; readonly teamId: string }
    | { readonly type: "certificate"; readonly file: string; readonly passwordFile: string | null };
}

export interface FcmConfig {
  /** Path of the service account's JSON file. */
  readonly serviceAccount: string;
  /** Overrides `https://fcm.googleapis.com`. */
  readonly url: string | null;
  /** Overrides `https://oauth2.googleapis.com/token`. */
  readonly tokenUrl: string | null;
  /** Send data only, no visible notification: the app shows its own. */
  readonly dataOnly: boolean;
}

/** Keys of texts that the app translates. */
export interface TextKeys {
  /** APNs `loc-key` of a new mail (`ring: rich`). */
  readonly newMessages: string;
  /** APNs `sound` of a new mail (`ring: rich`). */
  readonly sound: string;
  /** FCM `title_loc_key` and `body_loc_key` of a new mail. */
  readonly fcmTitle: string;
  readonly fcmBody: string;
  /** Text key of a test ring on both platforms. */
  readonly testRing: string;
}

export interface AppConfig {
  readonly id: string;
  readonly apns: ApnsConfig | null;
  readonly fcm: FcmConfig | null;
  readonly ring: "badge" | "rich";
  /** Kinds of folders that ring; the others are heard and noted only. */
  readonly ringFolders: readonly ("inbox" | "calendar" | "other")[];
  readonly texts: TextKeys;
}

/** The other node, and the link to it. */
export interface PairConfig {
  readonly listen: { readonly address: string; readonly port: number };
  readonly peer: { readonly host: string; readonly port: number };
  /** The other node's name, which its certificate proves. */
  readonly peerName: string;
  readonly tls: PairFiles;
  /** The active node's silence after which the passive one takes over. */
  readonly takeoverAfterMs: number;
  /** After so long without an acknowledgement answers no longer wait for the other node. */
  readonly aloneAfterMs: number;
}

/** Absolute paths of PEM files: the pair's own authority, this node's certificate by it, and its key. */
export interface PairFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface Config {
  /** Absolute path of the file it came from. */
  readonly file: string;
  readonly node: string;
  /** Without a trailing slash. */
  readonly public: { readonly registrationUrl: string; readonly exchangeUrl: string };
  readonly listen: {
    readonly registration: ListenerConfig;
    readonly exchange: ExchangeListenerConfig;
    readonly admin: AdminListenerConfig;
  };
  readonly store: { readonly path: string };
  readonly keys: { readonly file: string };
  readonly apps: readonly AppConfig[];
  /** Ways a new registration may prove itself; only the enrolment secret in this version. */
  readonly registrationAuth: readonly { readonly type: "enrolment_secret"; readonly file: string }[];
  readonly egress: {
    /** The HTTP proxy to Apple and Google, or null. */
    readonly proxy: {
      /** Scheme, host and port. */
      readonly url: string;
      readonly user: { readonly name: string; readonly passwordFile: string } | null;
    } | null;
    /** Hosts, `.suffixes`, addresses and CIDR blocks that are reached without it. */
    readonly noProxy: readonly string[];
    /** PEM file with further certificate authorities for outgoing connections, or null. */
    readonly caFile: string | null;
  };
  readonly ringing: { readonly mergeChangesMs: number; readonly stalledAfterMs: number };
  readonly subscriptions: { readonly statusFrequencyMinutes: number; readonly unknownGraceMs: number };
  readonly retention: { readonly idleRegistrationMs: number };
  /** Null: a single node. */
  readonly pair: PairConfig | null;
  readonly control: { readonly socket: string };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "text" | "json";
  };
}

/** An APNs credential, read from its file and checked. */
export type ApnsCredential =
  | {
      readonly type: "key";
      /** PEM of the .p8 file; its curve is P-256. */
      readonly privateKey: string;
      readonly keyId: string;
      readonly teamId: string;
    }
  | {
      readonly type: "pem";
      readonly certificate: string;
      readonly privateKey: string;
      readonly expiresAt: number;
    }
  | { readonly type: "p12"; readonly pfx: Buffer; readonly passphrase: string };

/** What is used of a Google service account file. */
export interface ServiceAccount {
  readonly projectId: string;
  readonly clientEmail: string;
  readonly privateKey: string;
  readonly privateKeyId: string;
}

/** Secrets read from the files that the configuration names. Never logged, never put into an error. */
export interface Secrets {
  /** By app id. */
  readonly apps: ReadonlyMap<
    string,
    { readonly apns: ApnsCredential | null; readonly fcm: ServiceAccount | null }
  >;
  /** Any of these proves a new registration. */
  readonly enrolmentSecrets: readonly string[];
  /** PEM text of further certificate authorities for outgoing connections, or null. */
  readonly egressCa: string | null;
  /** Password of the account at the proxy, or null. */
  readonly egressProxyPassword: string | null;
}
