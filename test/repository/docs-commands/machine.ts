// A machine as the documents assume it: Inboxbell is installed and configured with the names and paths that they use.
// In mount and network namespaces of this process, with which everything ends; only `sudo` and `systemctl` are stand-ins.
import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createAuthority, issue } from "../../../src/rehearsal/certificates.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { binary, type Scene, setScene } from "../../system/helpers.ts";

const NAMES = ["push.corp.example", "bell.corp.example"] as const;
// The id that the documents use for a phone. The other phone's token is in `token.txt`.
const PHONE = "3c9f5d60-8a1b-4f1e-9d55-0a1b2c3d4e5f";
const OTHER_PHONE = "7d0e2f1a-5b6c-4d7e-8f90-1a2b3c4d5e6f";
const COVERED = ["/root", "/var/lib", "/var/backups", "/run"];
const repository = join(import.meta.dir, "..", "..", "..");

export interface Machine {
  /** What a shell on it has. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where somebody types. */
  readonly directory: string;
  /** The node's log. */
  log(): string;
  /** Starts the service, with two phones registered. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** @param scratch an empty directory, and this machine's own */
export async function makeMachine(scratch: string): Promise<Machine> {
  cover(scratch);
  const scene = await setScene("docs", { config: withDocumentedNames });
  await furnish(scene, scratch);
  const { directory } = scene;
  const environment = {
    ...(process.env as Record<string, string>),
    PATH: `${join(scratch, "bin")}:${process.env.PATH ?? ""}`,
    BUN_TMPDIR: join(directory, "tmp"),
    CURL_CA_BUNDLE: join(directory, "ca.pem"),
    CURL_HOME: scratch,
  };
  const logFile = join(scratch, "log");
  return {
    environment,
    directory: "/etc/inboxbell",
    log: () => (existsSync(logFile) ? readFileSync(logFile, "utf8") : ""),
    async start() {
      command("systemctl start inboxbell", environment);
      await register(scene, PHONE, scene.newToken("apns"));
      const token = scene.newToken("apns");
      await register(scene, OTHER_PHONE, token);
      writeFileSync(join(directory, "token.txt"), `${token}\n`);
    },
    async stop() {
      command("systemctl stop inboxbell || true", environment);
      await scene.stop();
    },
  };
}

function command(line: string, env: Readonly<Record<string, string>> | null = null): void {
  const ended = Bun.spawnSync(["sh", "-c", line], env === null ? {} : { env });
  if (ended.exitCode !== 0) throw new Error(`${line}: ${ended.stderr.toString()}`);
}

/** What the documents write to is this machine's own: empty, or a copy. */
function cover(scratch: string): void {
  command("ip link set lo up");
  const etc = join(scratch, "etc");
  command(`cp -a /etc ${etc}`);
  writeFileSync(join(etc, "hosts"), `127.0.0.1 localhost ${NAMES.join(" ")}\n`);
  for (const [file, line] of [
    ["passwd", "inboxbell:x:64123:64123::/nonexistent:/usr/sbin/nologin"],
    ["group", "inboxbell:x:64123:"],
  ] as const) {
    writeFileSync(join(etc, file), `${readFileSync(join(etc, file), "utf8")}${line}\n`);
  }
  // What runs here may itself lie in a place that is covered.
  const needed = [repository, dirname(realpathSync(process.execPath)), dirname(realpathSync(binary))];
  const held = needed.filter((path) => COVERED.some((place) => path.startsWith(`${place}/`)));
  const holder = (at: number) => join(scratch, `held-${at}`);
  held.forEach((path, at) => {
    mkdirSync(holder(at));
    command(`mount --bind '${path}' ${holder(at)}`);
  });
  for (const place of COVERED) command(`mount -t tmpfs -o mode=0755 documents ${place}`);
  held.forEach((path, at) => {
    mkdirSync(path, { recursive: true });
    command(`mount --bind ${holder(at)} '${path}'`);
  });
  command(`mount --bind ${etc} /etc`);
}

/** The scene's configuration, with the names and ports that the documents use. */
function withDocumentedNames(text: string): string {
  return text
    .replace(/registration_url: .*/, "registration_url: https://push.corp.example")
    .replace(/exchange_url: .*/, "exchange_url: https://bell.corp.example:9443")
    .replace(/(registration: \{ address: [^,]*, port: )\d+/, "$1443")
    .replace(/(exchange: +\{ address: [^,]*, port: )\d+/, "$19443");
}

/** Certificates for the documents' names, `/etc/inboxbell`, and what is typed. */
async function furnish(scene: Scene, scratch: string): Promise<void> {
  const { directory } = scene;
  const authority = await createAuthority("Documents' authority");
  const tls = await issue(authority, { names: [...NAMES, "127.0.0.1"] });
  for (const name of ["reg", "ews"]) {
    writeFileSync(join(directory, "tls", `${name}.pem`), tls.certificate);
    writeFileSync(join(directory, "tls", `${name}.key`), tls.key);
  }
  writeFileSync(join(directory, "ca.pem"), `${scene.props.ca}${authority.certificate}`);
  symlinkSync(directory, "/etc/inboxbell");
  mkdirSync(join(directory, "dist"));
  symlinkSync(binary, join(directory, "dist", "inboxbell"));
  writeFileSync("/root/bell.passphrase", "a passphrase of the documents\n", { mode: 0o600 });
  const bin = join(scratch, "bin");
  mkdirSync(bin);
  symlinkSync(binary, join(bin, "inboxbell"));
  const write = (name: string, text: string) => writeFileSync(join(bin, name), text, { mode: 0o755 });
  // They are root here already.
  write("sudo", '#!/bin/sh\nexec env "$@"\n');
  write("systemctl", SYSTEMCTL.replaceAll("SCRATCH", scratch));
  // Makes an answer that is a refusal a command that fails.
  writeFileSync(join(scratch, ".curlrc"), "fail\nsilent\nshow-error\n");
}

const SYSTEMCTL = `#!/bin/sh
# The service manager, as far as documents ask it for this one service.
case "$1 $2" in
"start inboxbell")
  inboxbell serve >>SCRATCH/log 2>&1 &
  echo $! >SCRATCH/pid
  until inboxbell healthcheck >/dev/null 2>&1; do
    kill -0 "$(cat SCRATCH/pid)" 2>/dev/null || exit 1
    sleep 0.1
  done ;;
"stop inboxbell")
  kill "$(cat SCRATCH/pid)" || exit 1
  while kill -0 "$(cat SCRATCH/pid)" 2>/dev/null; do sleep 0.1; done ;;
"restart inboxbell") "$0" stop inboxbell && "$0" start inboxbell ;;
"reload inboxbell") inboxbell reload ;;
*) echo "systemctl $*: not here" >&2; exit 64 ;;
esac
`;

async function register(scene: Scene, id: string, token: string): Promise<void> {
  const answer = await fetch(`https://${NAMES[0]}/v1/registrations/${id}`, {
    method: "PUT",
    headers: {
      authorization: `Bearer ${scene.props.enrolmentSecret}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({
      app: APP,
      platform: "apns",
      token,
      secret: "c2VjcmV0LW9mLWEtZG9jdW1lbnRz",
      revision: Date.now(),
      folders: [{ kind: "inbox" }],
    }),
    tls: { ca: readFileSync(join(scene.directory, "ca.pem"), "utf8") },
  });
  if (!answer.ok) throw new Error(`PUT: ${answer.status} ${await answer.text()}`);
}
