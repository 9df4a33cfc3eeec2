// The link's authority, certificate and key are other ones after a reload, without a restart of the node.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, nodeCertificate } from "../../pair/certificates.ts";
import { until } from "../helpers.ts";
import { type PairScene, setPairScene } from "../pair-scene.ts";

let scene: PairScene;
beforeAll(async () => {
  scene = await setPairScene("pair-tls");
  await scene.begin();
}, 60_000);
afterAll(() => scene.stop());

test("a node that was only reloaded meets one that was started with the new authority, and not one with the old", async () => {
  const authority = await createAuthority("Inboxbell pair, the second");
  for (const { name, directory, configFile } of [scene.a, scene.b]) {
    const link = await nodeCertificate(authority, name);
    mkdirSync(join(directory, "next"), { mode: 0o700 });
    const write = (file: string, text: string) =>
      writeFileSync(join(directory, "next", file), text, { mode: 0o600 });
    write("ca.pem", link.ca);
    write("node.pem", link.certificate);
    write("node.key", link.key);
    appendFileSync(
      configFile,
      "  tls: { ca: next/ca.pem, certificate: next/node.pem, key: next/node.key }\n",
    );
  }
  const answer = (await scene.a.ask("reload")) as { readonly ok: boolean; readonly changes: unknown };
  expect(answer).toMatchObject({
    ok: true,
    changes: ["ca", "certificate", "key"].map((name) => ({ key: `pair.tls.${name}`, takes: "live" })),
  });
  const isUp = async () => (await scene.a.status()).link?.up === true;
  // The connection that there is stays.
  expect(await isUp()).toBe(true);
  await scene.b.kill();
  await scene.b.up();
  await until(isUp, "the link is up with the new certificates", 20_000);
  expect((await scene.b.status()).link?.up).toBe(true);
}, 60_000);
