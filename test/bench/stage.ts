// The files that the measured programs share: keys, certificates of both kinds, credentials, and configurations.
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeys, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import type { Keyring } from "../../src/keys/types.ts";
import { createAuthority, issue, type KeyKind } from "../../src/rehearsal/certificates.ts";
import {
  type ApnsKey,
  createApnsKey,
  createServiceAccount,
  type ServiceAccount,
} from "../../src/rehearsal/credentials.ts";
import { APP, type Mix, seedDatabase, writePaths } from "./fleet.ts";

export const KEY_KINDS: readonly KeyKind[] = ["rsa-2048", "p256"];
export const PROJECT = "inboxbell-bench";
const PEER_KEYS = 2;
const HOST = "127.0.0.1";

export interface Stage {
  readonly root: string;
  readonly keyring: Keyring;
  /** PEM of the authority behind every certificate here. */
  readonly ca: string;
  readonly apnsKey: ApnsKey;
  /** Further keys of the same app, for senders that mint a provider token at every start: Apple counts tokens by key. */
  readonly peerKeys: readonly ApnsKey[];
  readonly serviceAccount: ServiceAccount;
  /** Paths of a server certificate and its key. */
  tlsFiles(kind: KeyKind): { readonly certificate: string; readonly key: string };
  /** A database with every phone in it, made once for each combination. */
  seed(phones: number, mix: Mix, owed?: boolean): Promise<string>;
  /** Callback paths of the phones, one a line. */
  paths(phones: number): string;
  /** A path for a Unix socket, of which 107 bytes are all there may be: a repository can lie deep. */
  socket(name: string): string;
  remove(): void;
}

/** Makes the files in a new directory below `parent`, which must lie on the disk that is to be measured. */
export async function createStage(parent: string): Promise<Stage> {
  mkdirSync(parent, { recursive: true });
  const root = mkdtempSync(join(parent, "bench-"));
  const sockets = mkdtempSync(join(tmpdir(), "inboxbell-bench-"));
  const names = ["localhost", HOST];
  const authority = await createAuthority("Inboxbell benchmark authority");
  for (const kind of KEY_KINDS) {
    const { certificate, key } = await issue(authority, { names, kind });
    writeFileSync(join(root, `${kind}.pem`), certificate, { mode: 0o600 });
    writeFileSync(join(root, `${kind}.key`), key, { mode: 0o600 });
  }
  const apnsKey = await createApnsKey(randomBytes);
  const peerKeys = await Promise.all(Array.from({ length: PEER_KEYS }, () => createApnsKey(randomBytes)));
  const serviceAccount = await createServiceAccount(randomBytes, PROJECT);
  const keys = generateKeys(Date.now());
  const keyring = createKeyring(keys);
  writeKeyFile(join(root, "keys.json"), keys);
  writeFileSync(join(root, "ca.pem"), authority.certificate, { mode: 0o600 });
  writeFileSync(join(root, "AuthKey.p8"), apnsKey.privateKey, { mode: 0o600 });
  writeFileSync(join(root, "fcm.json"), JSON.stringify(serviceAccount.file), { mode: 0o600 });
  writeFileSync(join(root, "enrolment.secret"), `${randomBytes(32).toString("base64url")}\n`, {
    mode: 0o600,
  });
  const seeds = new Map<string, Promise<string>>();
  const pathFiles = new Map<number, string>();
  return {
    root,
    keyring,
    ca: authority.certificate,
    apnsKey,
    peerKeys,
    serviceAccount,
    tlsFiles: (kind) => ({ certificate: join(root, `${kind}.pem`), key: join(root, `${kind}.key`) }),
    seed(phones, mix, owed = false) {
      const name = `seed-${phones}-${mix}${owed ? "-owed" : ""}.db`;
      const path = join(root, name);
      const seeded = seeds.get(name) ?? seedDatabase(path, keyring, phones, mix, owed).then(() => path);
      seeds.set(name, seeded);
      return seeded;
    },
    paths(phones) {
      const file = pathFiles.get(phones) ?? join(root, `paths-${phones}`);
      if (!pathFiles.has(phones)) writePaths(file, keyring, phones);
      pathFiles.set(phones, file);
      return file;
    },
    socket: (name) => join(sockets, `${name}.sock`),
    remove() {
      for (const directory of [root, sockets]) rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Where the providers are; null stands for an address where nobody listens. */
export type ProviderUrls = { readonly apns: string; readonly fcm: string; readonly fcmToken: string } | null;

/** An appliance's own directory, with a database of its own. */
export interface House {
  readonly configFile: string;
  /** Private directory for what the binary unpacks. */
  readonly temporary: string;
  readonly exchangeUrl: string;
  readonly adminUrl: string;
  remove(): void;
}

/** Lays out one appliance: a copy of the seeded database and a configuration beside it. */
export async function createHouse(
  stage: Stage,
  name: string,
  seed: string,
  kind: KeyKind,
  providers: ProviderUrls,
): Promise<House> {
  const directory = join(stage.root, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "tmp"), { recursive: true, mode: 0o700 });
  copyFileSync(seed, join(directory, "inboxbell.db"));
  const [registration, exchange, admin] = await freePorts(3);
  const nowhere = `https://${HOST}:9`;
  const configFile = join(directory, "inboxbell.yaml");
  const tls = (key: KeyKind) => `tls: { certificate: ../${key}.pem, key: ../${key}.key }`;
  writeFileSync(
    configFile,
    `node: bench
public:
  registration_url: https://${HOST}:${registration}
  exchange_url: https://${HOST}:${exchange}
listen:
  registration: { address: ${HOST}, port: ${registration}, ${tls("p256")}, allow: [127.0.0.0/8] }
  exchange:     { address: ${HOST}, port: ${exchange}, ${tls(kind)}, allow: [127.0.0.0/8] }
  admin:        { address: ${HOST}, port: ${admin} }
store: { path: inboxbell.db }
keys: { file: ../keys.json }
apps:
  - id: ${APP}
    apns:
      environment: production
      url: ${providers?.apns ?? nowhere}
      key: { file: ../AuthKey.p8, key_id: ${stage.apnsKey.keyId}, team_id: ${stage.apnsKey.teamId} }
    fcm:
      service_account: ../fcm.json
      url: ${providers?.fcm ?? nowhere}
      token_url: ${providers?.fcmToken ?? `${nowhere}/token`}
    ring: badge
registration_auth:
  - { type: enrolment_secret, file: ../enrolment.secret }
egress: { ca_file: ../ca.pem }
control: { socket: ${stage.socket(name)} }
log: { level: info, format: json }
`,
    { mode: 0o600 },
  );
  return {
    configFile,
    temporary: join(directory, "tmp"),
    exchangeUrl: `https://${HOST}:${exchange}`,
    adminUrl: `http://${HOST}:${admin}`,
    remove() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Ports that are free now, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
