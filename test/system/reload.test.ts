// Reloading the configuration of the running binary, by verb and by signal.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { createApnsKey, seededRandom } from "../../src/rehearsal/credentials.ts";
import type { ReloadAnswer } from "../../src/reload.ts";
import { type Ended, type Running, type Scene, setScene, until } from "./helpers.ts";

let scene: Scene;
let node: Running;
const originals = new Map<string, string>();

const file = (name: string) => join(scene.directory, name);
/** Changes one of the configuration's files; it is put back after the test. */
function rewrite(name: string, change: (text: string) => string): void {
  const text = readFileSync(file(name), "utf8");
  if (!originals.has(name)) originals.set(name, text);
  const changed = change(text);
  if (changed === text) throw new Error(`${name} is as it was`);
  writeFileSync(file(name), changed);
}
const reload = (...args: readonly string[]): Promise<Ended> =>
  scene.verb("reload", "--socket", file("control.sock"), ...args);
const says = (...texts: readonly string[]) =>
  until(
    () => texts.every((text) => node.lines.some((line) => line.includes(text))),
    () => `the log says ${texts.join(" and ")}; it says ${node.lines.slice(-20).join("\n")}`,
  );

const anotherKey = (await createApnsKey(seededRandom("another key"))).privateKey;

beforeAll(async () => {
  scene = await setScene("reload");
  rewrite("AuthKey.p8", () => anotherKey);
  node = await scene.up();
});
afterEach(async () => {
  for (const [name, text] of originals) writeFileSync(file(name), text);
  originals.clear();
  if (node.ended() === null) expect((await reload()).code).toBe(0);
});
afterAll(() => scene.stop());

test("a wrong APNs key is replaced by the right one, and what was owed is rung without a restart", async () => {
  const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
  await phone.enrol();
  scene.exchange.mailbox("anna").deliver();
  const paused = async () => JSON.parse((await status()).out).paused as readonly { reason: string }[];
  const status = () => scene.verb("status", "--json", "--socket", file("control.sock"));
  await until(async () => (await paused()).length > 0, "the app is paused");
  expect(phone.badge).toBeNull();
  writeFileSync(file("AuthKey.p8"), scene.props.apnsKey.privateKey);
  originals.clear();
  const { code, out } = await reload();
  expect(code).toBe(0);
  expect(out).toBe("Reloaded.\n  renewed: apps[com.example.mail].apns.key.file (its file has new content)\n");
  await until(() => phone.badge === 1, "the phone was rung");
  await until(async () => (await paused()).length === 0, "no app is paused");
  expect(node.ended()).toBeNull();
});

describe("a renewed certificate", () => {
  /** A connection of its own with a request; the certificate that was served, or what went wrong. */
  const visit = (): Promise<string> =>
    new Promise((resolve) => {
      let answer = "";
      let result = "no handshake";
      const { registration: port } = scene.props.ports;
      const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        result = socket.getPeerX509Certificate()?.fingerprint256 ?? "no certificate";
        socket.write("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      });
      socket.on("data", (bytes: Buffer) => {
        answer += bytes.toString("latin1");
      });
      socket.on("error", (error) => {
        result = error.message;
      });
      socket.on("close", () => resolve(answer.startsWith("HTTP/1.1 200 ") ? result : `failed: ${result}`));
    });

  test("is served after SIGHUP, and of the clients that connect meanwhile none fails", async () => {
    const before = new X509Certificate(readFileSync(file("tls/reg.pem"))).fingerprint256;
    const authority = await createAuthority("Renewal");
    const seen = new Map<string, number>();
    let isOver = false;
    const clients = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        const result = await visit();
        seen.set(result, (seen.get(result) ?? 0) + 1);
      }
    });
    const expected = new Set([before]);
    for (let n = 0; n < 5; n += 1) {
      const renewed = await issue(authority, { names: ["localhost", "127.0.0.1"] });
      rewrite("tls/reg.pem", () => renewed.certificate);
      rewrite("tls/reg.key", () => renewed.key);
      const { fingerprint256 } = new X509Certificate(renewed.certificate);
      expected.add(fingerprint256);
      node.kill("SIGHUP");
      await until(() => seen.has(fingerprint256), "the renewed certificate is served");
    }
    isOver = true;
    await Promise.all(clients);
    expect(new Set(seen.keys())).toEqual(expected);
    await says('"cause":"SIGHUP","changed":"listen.registration.tls.certificate"');
  }, 60_000);

  test("that expires within a month is taken and warned about", async () => {
    const short = await issue(await createAuthority("Short"), { names: ["localhost"], days: 20 });
    rewrite("tls/reg.pem", () => short.certificate);
    rewrite("tls/reg.key", () => short.key);
    const { code, out } = await reload();
    expect(code).toBe(0);
    expect(out).toContain("renewed: listen.registration.tls.certificate");
    expect(out).toMatch(/tls\/reg\.pem: the certificate expires on \d{4}-\d\d-\d\d \(warning\)/);
    await says("the certificate expires on");
  });

  test("without its key is refused, and the former one goes on", async () => {
    const before = await visit();
    const other = await issue(await createAuthority("Half"), { names: ["localhost"] });
    rewrite("tls/reg.pem", () => other.certificate);
    const { code, out } = await reload();
    expect(code).toBe(1);
    expect(out).toContain("listen.registration.tls.certificate: ");
    expect(out).toContain("is not the key of the first certificate");
    expect(await visit()).toBe(before);
  });
});

test("a bad configuration is refused with every problem, and the node goes on with the former one", async () => {
  rewrite("inboxbell.yaml", (text) =>
    text
      .replace("level: info", "level: loud")
      .replace("ring: badge", "ring: rich")
      .replace("service_account: fcm.json", "service_account: none.json"),
  );
  rewrite("enrolment.secret", () => "short\n");
  const { code, out } = await reload();
  expect(code).toBe(1);
  expect(out).toContain("log.level: expected one of debug, info, warn, error");
  expect(out).toContain("none.json cannot be read: there is no such file");
  expect(out).toContain("enrolment.secret: expected a secret of at least 16 characters");
  expect(out).toEndWith(
    "3 problems. Nothing was reloaded; the node goes on with the configuration that it has.\n",
  );
  await says("log.level", "none.json cannot be read", "The configuration was not reloaded");
  const json = JSON.parse((await reload("--json")).out) as ReloadAnswer;
  expect(json.ok).toBe(false);
  expect(json.problems.map(({ keyPath }) => keyPath)).toEqual([
    "apps[0].fcm.service_account",
    "registration_auth[0].file",
    "log.level",
  ]);
  const phone = scene.addPhone({ platform: "fcm", mailbox: "ben", tellsInbox: true });
  await phone.enrol();
  scene.exchange.mailbox("ben").deliver();
  await until(() => phone.badge === 1, "a phone is still enrolled and rung");
});

test("an empty configuration file is refused", async () => {
  rewrite("inboxbell.yaml", () => "");
  expect((await reload()).out).toContain("the file is empty");
  node.kill("SIGHUP");
  await says('"cause":"SIGHUP","problems":1');
  expect(node.ended()).toBeNull();
});

test("another log level is in force at once", async () => {
  const debugLines = () => node.lines.filter((line) => line.includes('"level":"debug"')).length;
  const phone = scene.addPhone({ platform: "fcm", mailbox: "carl", tellsInbox: true });
  await phone.enrol();
  expect(debugLines()).toBe(0);
  rewrite("inboxbell.yaml", (text) => text.replace("level: info", "level: debug"));
  expect((await reload()).out).toBe("Reloaded.\n  changed: log.level\n");
  scene.exchange.mailbox("carl").deliver();
  await until(() => debugLines() > 0, "lines of the level debug are written");
});

test("changes that need a restart are named, again each time, and nothing of them is in force", async () => {
  rewrite("inboxbell.yaml", (text) =>
    text.replace("inboxbell.db", "other.db").replace("level: info", "level: warn"),
  );
  expect((await reload()).out).toBe("Reloaded.\n  needs a restart: store.path\n  changed: log.level\n");
  expect((await reload()).out).toBe("Reloaded.\n  needs a restart: store.path\n");
  const { ok, changes } = JSON.parse((await reload("--json")).out) as ReloadAnswer;
  expect(ok).toBe(true);
  expect(changes).toEqual([{ key: "store.path", what: "changed", takes: "restart" }]);
  await says("These changes need a restart");
  expect(await Bun.file(file("other.db")).exists()).toBe(false);
});

test("files that say the same change nothing", async () => {
  expect((await reload()).out).toBe(
    "Reloaded: nothing has changed, in the configuration or in the files that it names.\n",
  );
});

test("who may register and what Exchange may post changes without a restart", async () => {
  const get = async (path: string) => {
    const url = `${scene.props.urls.registration}${path}`;
    return (await fetch(url, { tls: { ca: scene.props.ca } })).json() as Promise<Record<string, unknown>>;
  };
  const post = async () => {
    const url = `${scene.props.urls.exchange}/ews`;
    return (await fetch(url, { method: "POST", body: "x", tls: { ca: scene.props.ca } })).status;
  };
  expect(await post()).toBe(404);
  rewrite("inboxbell.yaml", (text) =>
    text.replace(/(exchange: .*allow: \[127\.0\.0\.0\/8\])/, "$1, shared_route: on"),
  );
  rewrite("enrolment.secret", () => "another-enrolment-secret\n");
  const { out } = await reload();
  expect(out).toContain("changed: listen.exchange.shared_route");
  expect(out).toContain("renewed: registration_auth (its file has new content)");
  expect(out).not.toContain("another-enrolment-secret");
  expect(await post()).toBe(400);
  expect(await get("/v1/discovery")).toMatchObject({
    ews: { shared_callback_url: `${scene.props.urls.exchange}/ews` },
  });
  const phone = scene.addPhone({ platform: "apns", mailbox: "dora" });
  await expect(phone.enrol()).rejects.toThrow("401");
});

test("an address that is no longer allowed is turned away", async () => {
  rewrite("inboxbell.yaml", (text) => text.replaceAll("allow: [127.0.0.0/8]", "allow: [192.0.2.0/24]"));
  expect((await reload()).out).toBe(
    "Reloaded.\n  changed: listen.registration.allow\n  changed: listen.exchange.allow\n",
  );
  const url = `${scene.props.urls.registration}/v1/discovery`;
  await expect(fetch(url, { tls: { ca: scene.props.ca }, keepalive: false })).rejects.toThrow();
});

test("reloads at one time follow each other", async () => {
  rewrite("inboxbell.yaml", (text) => text.replace("level: info", "level: warn"));
  const answers = await Promise.all([reload(), reload(), reload()]);
  expect(answers.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(answers.filter(({ out }) => out.includes("changed: log.level"))).toHaveLength(1);
});

test("a node that stops refuses to reload", async () => {
  const { exchange: port } = scene.props.ports;
  // A request that is not complete holds up the stop.
  const socket = connect({ host: "127.0.0.1", port, ca: scene.props.ca, servername: "localhost" });
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  socket.write("POST /ews HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  await Bun.sleep(100);
  node.kill("SIGTERM");
  await says("Stopping");
  const { code, err } = await reload();
  expect(code).toBe(1);
  expect(err).toContain("The node is stopping.");
  expect(err).toContain("(stopping)");
  socket.destroy();
  expect((await node.exited).code).toBe(0);
});
