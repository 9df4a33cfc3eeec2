// Two machines that are joined: a directory each with configuration, keys and secret files, and what `pair invite` and
// `pair join` do with them, over real TLS on loopback.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfigText } from "../../src/config/load.ts";
import { type Environment, isCredential } from "../../src/config/paths.ts";
import type { Config } from "../../src/config/types.ts";
import { generateKeys, writeKeyFile } from "../../src/keys/key-file.ts";
import { makePairAuthority } from "../../src/pair/authority.ts";
import { prepareFirstPart, writeFirstPart } from "../../src/pair/first-part.ts";
import { type InvitationOptions, type OpenInvitation, openInvitation } from "../../src/pair/invite.ts";
import { askToJoin, type Joining, type JoinOptions, readCode } from "../../src/pair/join.ts";
import { type JoinPlan, type PlanOptions, planJoin, writePlan } from "../../src/pair/join-plan.ts";
import { linkFiles, readAuthority } from "../../src/pair/link-files.ts";
import { readShared } from "../../src/pair/parcel.ts";

export interface Machine {
  readonly directory: string;
  readonly config: string;
  /** Writes a file of it. */
  put(name: string, content: string | Buffer, mode?: number): void;
  read(name: string): string;
  mode(name: string): number;
  /** What its configuration says. */
  loaded(): Config;
}

export interface Scene {
  readonly first: Machine;
  readonly second: Machine;
  /** What the first node's screen said. */
  readonly told: string[];
  invite(options?: Partial<InvitationOptions>): Promise<OpenInvitation>;
  /** Asks, and plans what is to be written. */
  ask(
    code: string,
    options?: Partial<JoinOptions> & Partial<PlanOptions>,
  ): Promise<{ joining: Joining; plan: JoinPlan }>;
  /** All of `pair join --yes`; what was put aside. */
  join(
    code: string,
    options?: Partial<JoinOptions> & Partial<PlanOptions>,
  ): Promise<readonly (string | null)[]>;
  close(): void;
}

/** The first node's configuration: with comments, and spaced as by hand. */
export const FIRST_CONFIG = `# Mail push of Example Corp. Ask Petra before you touch this.
node:   bell-a          # left rack

public:
    registration_url: https://push.corp.example   # Gateway
    exchange_url: https://bell.corp.example:9443

listen:
    # the tunnel
    registration: { address: 192.0.2.10, port: 8443, tls: { certificate: tls/reg.pem, key: tls/reg.key } }
    exchange:
        # DAG members only
        port: 9443
        tls: { certificate: tls/ews.pem, key: tls/ews.key }
        allow: [10.1.0.0/16]

store: { path: data/inboxbell.db }
keys: { file: data/keys.json }

apps:
    - id: com.example.bell
      apns: { environment: production, key: { file: AuthKey.p8, key_id: KEY0000001, team_id: TEAM000001 } }
      fcm: { service_account: fcm.json }   # project of the app team
registration_auth:
    - { type: enrolment_secret, file: enrolment.secret }
control: { socket: data/control.sock }
# the end
`;

export const SECRETS = {
  "tls/reg.pem": "certificate of the phones' listener\n",
  "tls/reg.key": "key of the phones' listener\n",
  "tls/ews.pem": "certificate of Exchange's listener\n",
  "tls/ews.key": "key of Exchange's listener\n",
  "AuthKey.p8": "the key from Apple\n",
  "fcm.json": "the account from Google\n",
  "enrolment.secret": "what the device management knows\n",
} as const;

function createMachine(root: string, name: string, env: Environment): Machine {
  const directory = join(root, name);
  const config = join(directory, "inboxbell.yaml");
  for (const each of ["", "tls", "data"]) mkdirSync(join(directory, each), { recursive: true });
  return {
    directory,
    config,
    put(file, content, mode = 0o600) {
      writeFileSync(join(directory, file), content, { mode });
    },
    read: (file) => readFileSync(join(directory, file), "utf8"),
    mode: (file) => statSync(join(directory, file)).mode & 0o777,
    loaded() {
      const { config: loaded, problems } = readConfigText(readFileSync(config, "utf8"), config, env);
      if (loaded === null) throw new Error(JSON.stringify(problems));
      return loaded;
    },
  };
}

/**
 * @param now epoch milliseconds
 * @param env without a credentials directory unless one is given: what runs the tests may have one
 */
export function createScene(now: () => number = Date.now, env: Environment = {}): Scene {
  const root = mkdtempSync(join(tmpdir(), "inboxbell-join-"));
  const first = createMachine(root, "a", env);
  const second = createMachine(root, "b", env);
  first.put("inboxbell.yaml", FIRST_CONFIG, 0o640);
  for (const [name, content] of Object.entries(SECRETS)) first.put(name, content);
  writeKeyFile(join(first.directory, "data/keys.json"), generateKeys(now()));
  const told: string[] = [];
  const open: OpenInvitation[] = [];

  async function ask(code: string, options: Partial<JoinOptions> & Partial<PlanOptions> = {}) {
    const node = options.node ?? "bell-b";
    const joining = await askToJoin({
      invitation: readCode(code),
      node,
      version: "1.0.0",
      address: "bell-b:7443",
      certificates: true,
      timeoutMs: 5_000,
      ...options,
    });
    try {
      const plan = planJoin({
        parcel: joining.parcel,
        node,
        key: joining.key,
        listen: { address: "0.0.0.0", port: 7443 },
        configFile: second.config,
        withCertificates: options.certificates ?? true,
        env,
        ...options,
      });
      return { joining, plan };
    } catch (error) {
      joining.leave();
      throw error;
    }
  }

  return {
    first,
    second,
    told,
    async invite(options = {}) {
      const text = first.read("inboxbell.yaml");
      const config = first.loaded();
      const files = linkFiles(config, env);
      const authority = readAuthority(files) ?? (await makePairAuthority(now()));
      const part = await prepareFirstPart(authority, config.node, files, now());
      const invitation = await openInvitation({
        node: config.node,
        version: "1.0.0",
        listen: { address: "127.0.0.1", port: 0 },
        host: "127.0.0.1",
        linkAddress: "bell-a:7443",
        peer: null,
        validMs: 30_000,
        forgotten: null,
        shared: readShared(readConfigText(text, first.config, env), text, env),
        authority,
        resolves: () => Promise.resolve(false),
        settle(peer) {
          const namesFiles = isCredential(config.keys.file, env);
          const place = { node: config.node, configFile: first.config, files, namesFiles };
          writeFirstPart(part, { ...place, listen: { address: "0.0.0.0", port: 7443 } }, peer);
        },
        tell: (sentence) => told.push(sentence),
        now,
        ...options,
      });
      open.push(invitation);
      return invitation;
    },
    ask,
    async join(code, options) {
      const { joining, plan } = await ask(code, options);
      const written = writePlan(plan, env, null);
      await joining.written();
      return written.map(({ aside }) => aside);
    },
    close() {
      for (const invitation of open) invitation.withdraw();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
