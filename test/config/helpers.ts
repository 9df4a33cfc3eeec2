// Helpers of the configuration's tests: a directory with every file that a good configuration names.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ConfigReading, readConfigText } from "../../src/config/load.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { isBellError } from "../../src/errors.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createApnsKey, createServiceAccount, seededRandom } from "../../src/rehearsal/credentials.ts";

/** A good configuration; its lines are changed one at a time by the tests. */
export const GOOD = `node: bell-a
public:
  registration_url: https://push.corp.example
  exchange_url: https://bell.corp.example:9443
listen:
  registration: { address: 0.0.0.0, port: 8443, tls: { certificate: tls/reg.pem, key: tls/reg.key }, allow: [10.2.0.0/16], trusted_proxies: [] }
  exchange: { address: 0.0.0.0, port: 9443, tls: { certificate: tls/ews.pem, key: tls/ews.key }, allow: [10.1.0.0/16], trusted_proxies: [], shared_route: off }
  admin: { address: 127.0.0.1, port: 9090 }
store: { path: data/inboxbell.db }
keys: { file: data/keys.json }
apps:
  - id: com.example.mail
    apns: { environment: production, key: { file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ } }
    fcm: { service_account: fcm.json }
    ring: badge
registration_auth:
  - { type: enrolment_secret, file: enrolment.secret }
subscriptions: { status_frequency: 15m, unknown_grace: 60m }
retention: { idle_registration: 60d }
control: { socket: control.sock }
log: { level: info, format: auto }
`;

/** The good configuration with one text put for another, which must be in it. */
export function changed(from: string, to: string): string {
  if (!GOOD.includes(from)) throw new Error(`not in the good configuration: ${from}`);
  return GOOD.replace(from, to);
}

/** Reads a text as if it stood in /etc/inboxbell/i.yaml. */
export function read(text: string, env: Record<string, string> = {}): ConfigReading {
  return readConfigText(text, "/etc/inboxbell/i.yaml", env);
}

/** The problems as `check` prints them, without the file's name. */
export function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  return read(text, env).problems.map((one) => formatProblem(one).replace(`${one.file}:`, ""));
}

/** The code of the catalogue's error that `action` throws, and its message. */
export function refusal(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    if (isBellError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: "none", message: "" };
}

export interface Workshop {
  readonly directory: string;
  path(name: string): string;
  write(name: string, content: string | Buffer, mode?: number): string;
  remove(): void;
}

/** An empty directory of its own for a test. @param parent the directory in which it is made */
export function createWorkshop(parent: string = tmpdir()): Workshop {
  const directory = mkdtempSync(join(parent, "inboxbell-config-"));
  const path = (name: string) => join(directory, name);
  return {
    directory,
    path,
    write(name, content, mode = 0o600) {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), content);
      // Apart from the umask of whoever runs the tests.
      chmodSync(path(name), mode);
      return path(name);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

const random = seededRandom("configuration");
const authority = await createAuthority("Configuration tests");

/** Contents that every file of the good configuration may have. */
export const MATERIAL = {
  ca: authority.certificate,
  registration: await issue(authority, { names: ["push.corp.example"] }),
  exchange: await issue(authority, { names: ["bell.corp.example"], kind: "rsa-2048" }),
  expired: await issue(authority, { names: ["old.example"], now: Date.now() - 800 * 86_400_000, days: 30 }),
  expiring: await issue(authority, { names: ["soon.example"], days: 9 }),
  apnsKey: (await createApnsKey(random)).privateKey,
  serviceAccount: (await createServiceAccount(random, "inboxbell-test")).file,
  enrolmentSecret: "correct-horse-battery-staple",
} as const;

/** Writes every file that the good configuration (and the delivered one) names. */
export function furnish(workshop: Workshop): void {
  workshop.write("tls/reg.pem", MATERIAL.registration.certificate, 0o644);
  workshop.write("tls/reg.key", MATERIAL.registration.key);
  workshop.write("tls/ews.pem", MATERIAL.exchange.certificate, 0o644);
  workshop.write("tls/ews.key", MATERIAL.exchange.key, 0o640);
  workshop.write("AuthKey.p8", MATERIAL.apnsKey);
  workshop.write("fcm.json", JSON.stringify(MATERIAL.serviceAccount));
  workshop.write("enrolment.secret", `${MATERIAL.enrolmentSecret}\n`);
  mkdirSync(workshop.path("data"));
}
