// Certificates of the running binary that are renewed in their files, without anybody telling it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { createAuthority, issue } from "../../../src/rehearsal/certificates.ts";
import { type Running, type Scene, setScene, until } from "../helpers.ts";

let scene: Scene;
let node: Running;
beforeAll(async () => {
  scene = await setScene("renewed");
  node = await scene.up();
});
afterAll(() => scene.stop());

const file = (name: string) => join(scene.directory, "tls", name);
const says = (text: string) => node.lines.some((line) => line.includes(text));
const firstOf = (pem: string) => new X509Certificate(pem).fingerprint256;

/** The certificate that a new connection is served, or what went wrong. */
function served(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port: scene.props.ports.exchange,
      rejectUnauthorized: false,
    });
    socket.on("secureConnect", () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "none");
      socket.destroy();
    });
    socket.on("error", (error) => resolve(error.message));
  });
}

test("both files changed: the new certificate is served, no client fails meanwhile, and open connections live on", async () => {
  const before = firstOf(readFileSync(file("ews.pem"), "utf8"));
  const open = connect({ host: "127.0.0.1", port: scene.props.ports.exchange, rejectUnauthorized: false });
  await new Promise((resolve) => open.once("secureConnect", resolve));
  open.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  let answers = "";
  open.on("data", (bytes: Buffer) => {
    answers += bytes.toString("latin1");
  });
  const renewed = await issue(await createAuthority("Renewal"), {
    names: ["localhost", "127.0.0.1"],
    days: 20,
  });
  writeFileSync(file("ews.pem"), renewed.certificate);
  await Bun.sleep(1500);
  writeFileSync(file("ews.key"), renewed.key);
  const seen = new Set<string>();
  await until(async () => {
    seen.add(await served());
    return seen.has(firstOf(renewed.certificate));
  }, "the renewed certificate is served");
  expect(seen).toEqual(new Set([before, firstOf(renewed.certificate)]));
  expect(says("The listener's certificate was renewed from its files.")).toBe(true);
  expect(says("expires soon")).toBe(true);
  expect(node.lines.join("\n")).not.toContain("are not taken");
  open.write("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await until(() => answers.split("HTTP/1.1 200 ").length === 3, "the open connection is answered");
  open.destroy();
}, 60_000);

test("a chain without its intermediate authority is told at the start, by check and at a reload, with the issuer's name", async () => {
  const authority = await createAuthority("Issuing Authority 7");
  const issued = await issue(authority, { names: ["localhost", "127.0.0.1"] });
  const alone = `${issued.certificate.split("-----END CERTIFICATE-----")[0]}-----END CERTIFICATE-----\n`;
  writeFileSync(file("ews.pem"), alone);
  writeFileSync(file("ews.key"), issued.key);
  const expected = 'issuer "CN=Issuing Authority 7" is neither in the file';
  const plain = (text: string) => text.replaceAll('\\"', '"');
  const reload = await scene.verb("reload", "--socket", join(scene.directory, "control.sock"));
  expect([reload.code, plain(reload.out + reload.err)]).toEqual([0, expect.stringContaining(expected)]);
  await until(() => node.lines.some((line) => plain(line).includes(expected)), "the log tells it");
  expect(await served()).toBe(firstOf(alone));
  const check = await scene.verb("check", "--config", scene.props.configFile);
  expect([check.code, check.out]).toEqual([0, expect.stringContaining(expected)]);
  await node.stop();
  node = await scene.up();
  await until(
    () => node.lines.some((line) => plain(line).includes(expected)),
    "the log tells it at the start",
  );
}, 60_000);
