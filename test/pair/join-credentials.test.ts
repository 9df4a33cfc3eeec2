// Joining where the key file and an APNs key are systemd's credentials: they are not handed over, and each node has its own.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPairFiles } from "../../src/config/pair-files.ts";
import { generateKeys, writeKeyFile } from "../../src/keys/key-file.ts";
import { createScene, FIRST_CONFIG, type Scene } from "./join-scene.ts";

// biome-ignore lint/suspicious/noTemplateCurlyInString: the text as it stands in the configuration
const DIRECTORY = "${CREDENTIALS_DIRECTORY}";
const CONFIG = FIRST_CONFIG.replace("data/keys.json", `"${DIRECTORY}/keys"`).replace(
  "file: AuthKey.p8",
  `file: "${DIRECTORY}/apns.p8"`,
);

let credentials: string;
let scene: Scene;
beforeEach(() => {
  credentials = mkdtempSync(join(tmpdir(), "inboxbell-credentials-"));
  writeKeyFile(join(credentials, "keys"), generateKeys(0));
  scene = createScene(Date.now, { CREDENTIALS_DIRECTORY: credentials });
  scene.first.put("inboxbell.yaml", CONFIG);
  cpSync(join(scene.first.directory, "AuthKey.p8"), join(credentials, "apns.p8"));
});
afterEach(() => {
  scene.close();
  rmSync(credentials, { recursive: true });
});

test("no credential leaves the first node, the plan says to give the second one the same, and nothing is written there", async () => {
  const before = readdirSync(credentials);
  const invitation = await scene.invite();
  const { joining, plan } = await scene.ask(invitation.code);
  expect([joining.parcel.keys, JSON.stringify(joining.parcel).includes("apns.p8")]).toEqual([null, true]);
  expect(joining.parcel.files.map(({ keyPath }) => keyPath)).not.toContain("apps[0].apns.key.file");
  expect(plan.notes.join("\n")).toContain("give this node the first one's keys, apns.p8");
  expect(plan.files.filter(({ path }) => path.startsWith(credentials))).toEqual([]);
  joining.leave();
  expect(readdirSync(credentials)).toEqual(before);
});

test("the link's files are beside the database on both nodes, where the service may write, and are a pair's", async () => {
  const invitation = await scene.invite();
  await scene.join(invitation.code);
  expect((await invitation.ended).kind).toBe("joined");
  for (const machine of [scene.first, scene.second]) {
    const { pair, node, keys } = machine.loaded();
    expect(keys.file).toBe(join(credentials, "keys"));
    expect(pair?.tls.certificate).toBe(join(machine.directory, "data/pair/node.pem"));
    const env = { CREDENTIALS_DIRECTORY: credentials };
    expect(readPairFiles(pair!.tls, node, env, Date.now()).outOfDate).toBeNull();
    expect(existsSync(join(machine.directory, "data/pair/ca.key"))).toBe(true);
  }
  expect(readdirSync(credentials).sort()).toEqual(["apns.p8", "keys"]);
});

test("where this shell knows no credentials directory nothing is written, and the answer says what is to be set", async () => {
  const invitation = await scene.invite();
  const refused = scene.ask(invitation.code, { env: {} });
  await expect(refused).rejects.toThrow(`${DIRECTORY} is not set`);
  await expect(refused).rejects.toThrow("Nothing was written");
  expect(readdirSync(scene.second.directory).sort()).toEqual(["data", "tls"]);
});
