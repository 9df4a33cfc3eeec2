// A booted Debian on which the package was installed and set up among simulators, as an administrator does it.
import { copyFileSync, cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { type Scene, setScene } from "../helpers.ts";
import { bootMachine, type Machine } from "./machine.ts";
import { allPackages, laterPackages, packageFile } from "./packages.ts";

export const CONFIG = "/etc/inboxbell/inboxbell.yaml";
export const TLS = "/etc/inboxbell/tls";

export interface Installed {
  readonly scene: Scene;
  readonly machine: Machine;
  /** Runs a script inside; throws if it fails. Gives what it printed. */
  shell(script: string): Promise<string>;
  /** A property of the unit. */
  unit(property: string): Promise<string>;
  /** What the unit's journal has. */
  journal(): Promise<string>;
  stop(): Promise<void>;
}

/** Both packages are at /root/1.deb and /root/2.deb; nothing is installed yet. */
export async function bootWithPackages(title: string): Promise<Installed> {
  const [first, later] = [await allPackages(), await laterPackages()];
  const scene = await setScene(title, { timeScale: 10 });
  const machine = await bootMachine();
  const home = join(machine.root, "root");
  copyFileSync(packageFile(first, "_amd64.deb"), join(home, "1.deb"));
  copyFileSync(packageFile(later, "_amd64.deb"), join(home, "2.deb"));
  cpSync(scene.directory, join(home, "props"), { recursive: true });
  const shell = (script: string) => machine.must("sh", "-ec", script);
  return {
    scene,
    machine,
    shell,
    unit: (property) => machine.must("systemctl", "show", "--property", property, "--value", "inboxbell"),
    journal: () => machine.must("journalctl", "--no-pager", "--output=cat", "--unit=inboxbell"),
    async stop() {
      await scene.stop();
      await machine.stop();
    },
  };
}

/** The flags of `setup` for a scene whose files are at /root/props: what an administrator would answer. */
export function setupAnswers({ props }: Scene): readonly string[] {
  const [app] = parse(readFileSync(props.configFile, "utf8")).apps;
  const at = (name: string) => `/root/props/${name}`;
  return [
    ...["--registration-url", props.urls.registration, "--exchange-url", props.urls.exchange],
    ...["--registration-address", "127.0.0.1", "--registration-port", String(props.ports.registration)],
    ...["--exchange-address", "127.0.0.1", "--exchange-port", String(props.ports.exchange)],
    ...["--admin-port", String(props.ports.admin)],
    ...["--registration-certificate", `${TLS}/reg.pem`, "--registration-key", `${TLS}/reg.key`],
    ...["--exchange-certificate", `${TLS}/ews.pem`, "--exchange-key", `${TLS}/ews.key`],
    ...["--phone-networks", "127.0.0.0/8", "--exchange-networks", "127.0.0.0/8"],
    ...["--app", APP, "--apns-key", at("AuthKey.p8"), "--apns-url", app.apns.url],
    ...["--apns-key-id", props.apnsKey.keyId, "--apns-team-id", props.apnsKey.teamId],
    ...["--fcm-account", at("fcm.json"), "--fcm-url", app.fcm.url, "--fcm-token-url", app.fcm.token_url],
    ...["--enrolment-secret-file", at("enrolment.secret"), "--egress-ca", at("ca.pem")],
  ];
}

/** Sets up the installed package with the scene's files. */
export async function setUp({ scene, machine, shell }: Installed): Promise<void> {
  await shell(
    `install -d -m 0750 -g inboxbell ${TLS}; install -m 0640 -g inboxbell /root/props/tls/* ${TLS}/`,
  );
  await machine.must("inboxbell", "setup", "--no-input", ...setupAnswers(scene));
}
