// The files of a pair: an authority, certificates, keys and credentials, and a configuration for each node.
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeys, writeKeyFile } from "../../../../src/keys/key-file.ts";
import { createAuthority, type IssuedCertificate, issue } from "../../../../src/rehearsal/certificates.ts";
import {
  type ApnsKey,
  createApnsKey,
  createEnrolmentSecret,
  createServiceAccount,
  type ServiceAccount,
} from "../../../../src/rehearsal/credentials.ts";
import { APP, PROJECT, type ProviderUrls } from "../../../../src/rehearsal/stage/props.ts";
import { nodeCertificate } from "../../../pair/certificates.ts";
import { NODES, type NodeName, otherNode } from "./evidence.ts";
import { ADDRESS, LINK_ADDRESS } from "./network.ts";

export const PORTS = { registration: 8443, exchange: 9443, admin: 9090, link: 7443 } as const;

export interface NodeFiles {
  readonly directory: string;
  readonly configFile: string;
  /** Directory of the database. */
  readonly store: string;
  readonly database: string;
  readonly socket: string;
  /** Read by libfaketime. */
  readonly clockFile: string;
}

export interface PairProps {
  readonly directory: string;
  readonly ca: string;
  readonly providerTls: IssuedCertificate;
  readonly apnsKey: ApnsKey;
  readonly serviceAccount: ServiceAccount;
  readonly enrolmentSecret: string;
  readonly nodes: Readonly<Record<NodeName, NodeFiles>>;
}

/** Makes everything but the configurations. `directory` exists, and is short: sockets lie in it. */
export async function makePairProps(directory: string): Promise<PairProps> {
  const authority = await createAuthority("Inboxbell pair test authority");
  const linkAuthority = await createAuthority("Inboxbell pair test link authority");
  const names = ["localhost", "127.0.0.1", ...Object.values(ADDRESS)];
  const [providerTls, listenerTls, apnsKey, serviceAccount] = await Promise.all([
    issue(authority, { names }),
    issue(authority, { names }),
    createApnsKey(randomBytes),
    createServiceAccount(randomBytes, PROJECT),
  ]);
  const enrolmentSecret = createEnrolmentSecret(randomBytes);
  const keys = generateKeys(Date.now());
  const files = await Promise.all(
    NODES.map(async (node) => {
      const own = filesOf(directory, node);
      for (const each of ["tls", "tmp", "store"]) {
        mkdirSync(join(own.directory, each), { mode: 0o700, recursive: true });
      }
      chmodSync(own.directory, 0o700);
      const write = (name: string, text: string) =>
        writeFileSync(join(own.directory, name), text, { mode: 0o600 });
      const link = await nodeCertificate(linkAuthority, node);
      write("tls/listener.pem", listenerTls.certificate);
      write("tls/listener.key", listenerTls.key);
      write("tls/link-ca.pem", link.ca);
      write("tls/link.pem", link.certificate);
      write("tls/link.key", link.key);
      write("ca.pem", authority.certificate);
      write("AuthKey.p8", apnsKey.privateKey);
      write("fcm.json", JSON.stringify(serviceAccount.file));
      write("enrolment.secret", `${enrolmentSecret}\n`);
      writeFileSync(own.clockFile, "+0\n");
      writeKeyFile(join(own.directory, "keys.json"), keys);
      return [node, own] as const;
    }),
  );
  return {
    directory,
    ca: authority.certificate,
    providerTls,
    apnsKey,
    serviceAccount,
    enrolmentSecret,
    nodes: Object.fromEntries(files) as Record<NodeName, NodeFiles>,
  };
}

function filesOf(parent: string, node: NodeName): NodeFiles {
  const directory = join(parent, node);
  return {
    directory,
    configFile: join(directory, "inboxbell.yaml"),
    store: join(directory, "store"),
    database: join(directory, "store", "inboxbell.db"),
    socket: join(directory, "control.sock"),
    clockFile: join(directory, "clock"),
  };
}

/**
 * Writes a node's configuration.
 * @param providers its own push services, so that it is known who rang
 * @param isPaired false for a node alone, as a figure to compare with
 */
export function writePairConfig(
  props: PairProps,
  node: NodeName,
  providers: ProviderUrls,
  isPaired = true,
): void {
  const { apnsKey } = props;
  const tls = "tls: { certificate: tls/listener.pem, key: tls/listener.key }";
  const pair = `pair:
  listen: { address: ${LINK_ADDRESS[node]}, port: ${PORTS.link} }
  peer: ${otherNode(node)}:${PORTS.link}
  tls: { ca: tls/link-ca.pem, certificate: tls/link.pem, key: tls/link.key }
`;
  const text = `node: ${node}
public:
  registration_url: https://${ADDRESS.clients}:${PORTS.registration}
  exchange_url: https://${ADDRESS.clients}:${PORTS.exchange}
listen:
  registration: { address: ${ADDRESS[node]}, port: ${PORTS.registration}, ${tls}, allow: [10.77.0.0/24] }
  exchange:     { address: ${ADDRESS[node]}, port: ${PORTS.exchange}, ${tls}, allow: [10.77.0.0/24] }
  admin:        { address: 127.0.0.1, port: ${PORTS.admin} }
store: { path: store/inboxbell.db }
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
${isPaired ? pair : ""}control: { socket: control.sock }
log: { level: info, format: json }
`;
  writeFileSync(props.nodes[node].configFile, text, { mode: 0o600 });
}
