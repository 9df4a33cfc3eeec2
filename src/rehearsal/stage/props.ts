// The files of a rehearsal: certificates, keys, secrets and a configuration, in a private directory.
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createAuthority, type IssuedCertificate, issue } from "../certificates.ts";
import {
  type ApnsKey,
  createApnsKey,
  createEnrolmentSecret,
  createServiceAccount,
  type RandomBytes,
  type ServiceAccount,
} from "../credentials.ts";

export const APP = "com.example.mail";
export const PROJECT = "inboxbell-rehearsal";
const HOST = "127.0.0.1";

export interface Ports {
  readonly registration: number;
  readonly exchange: number;
  readonly admin: number;
}

export interface Props {
  readonly directory: string;
  readonly configFile: string;
  /** PEM of the authority that everything here is signed by. */
  readonly ca: string;
  readonly providerTls: IssuedCertificate;
  readonly apnsKey: ApnsKey;
  readonly serviceAccount: ServiceAccount;
  readonly enrolmentSecret: string;
  readonly ports: Ports;
  readonly urls: { readonly registration: string; readonly exchange: string; readonly admin: string };
}

/** Ports that are free now, all different. */
export async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const [registration = 0, exchange = 0, admin = 0] = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { registration, exchange, admin };
}

/** Makes credentials and certificates, and writes all but the configuration. `directory` exists, mode 0700. */
export async function makeProps(directory: string, ports: Ports, random: RandomBytes): Promise<Props> {
  const authority = await createAuthority("Inboxbell rehearsal authority");
  const names = ["localhost", HOST];
  const [providerTls, registrationTls, exchangeTls, apnsKey, serviceAccount] = await Promise.all([
    issue(authority, { names }),
    issue(authority, { names }),
    // Exchange servers of a company mostly meet RSA certificates.
    issue(authority, { names, kind: "rsa-2048" }),
    createApnsKey(random),
    createServiceAccount(random, PROJECT),
  ]);
  const enrolmentSecret = createEnrolmentSecret(random);
  mkdirSync(join(directory, "tls"), { mode: 0o700, recursive: true });
  // Where the binary unpacks its SQLite addon: private, because it trusts what it finds there.
  mkdirSync(join(directory, "tmp"), { mode: 0o700, recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text, { mode: 0o600 });
  write("tls/reg.pem", registrationTls.certificate);
  write("tls/reg.key", registrationTls.key);
  write("tls/ews.pem", exchangeTls.certificate);
  write("tls/ews.key", exchangeTls.key);
  write("ca.pem", authority.certificate);
  write("AuthKey.p8", apnsKey.privateKey);
  write("fcm.json", JSON.stringify(serviceAccount.file, null, 2));
  write("enrolment.secret", `${enrolmentSecret}\n`);
  return {
    directory,
    configFile: join(directory, "inboxbell.yaml"),
    ca: authority.certificate,
    providerTls,
    apnsKey,
    serviceAccount,
    enrolmentSecret,
    ports,
    urls: {
      registration: `https://${HOST}:${ports.registration}`,
      exchange: `https://${HOST}:${ports.exchange}`,
      admin: `http://${HOST}:${ports.admin}`,
    },
  };
}

/** Addresses of the simulated providers. */
export interface ProviderUrls {
  readonly apns: string;
  readonly fcm: string;
  readonly fcmToken: string;
}

/** Writes the configuration, once the providers' addresses are known. */
export function writeConfig(props: Props, providers: ProviderUrls): void {
  const { ports, urls, apnsKey } = props;
  const text = `# Written by \`inboxbell rehearse\`: an appliance among simulators, all on this machine.
node: rehearsal
public:
  registration_url: ${urls.registration}
  exchange_url: ${urls.exchange}
listen:
  registration: { address: ${HOST}, port: ${ports.registration}, tls: { certificate: tls/reg.pem, key: tls/reg.key }, allow: [127.0.0.0/8] }
  exchange:     { address: ${HOST}, port: ${ports.exchange}, tls: { certificate: tls/ews.pem, key: tls/ews.key }, allow: [127.0.0.0/8] }
  admin:        { address: ${HOST}, port: ${ports.admin} }
store: { path: inboxbell.db }
keys: { file: keys.json }
apps:
  - id: ${APP}
    apns:
      environment: production
      url: ${providers.apns}
      key: { file: AuthKey.p8, key_id: ${apnsKey.keyId}, team_id: ${apnsKey.teamId} }
    fcm:
      service_account: fcm.json
      url: ${providers.fcm}
      token_url: ${providers.fcmToken}
    ring: badge
registration_auth:
  - { type: enrolment_secret, file: enrolment.secret }
egress: { ca_file: ca.pem }
control: { socket: control.sock }
log: { level: info, format: json }
`;
  writeFileSync(props.configFile, text, { mode: 0o600 });
}
