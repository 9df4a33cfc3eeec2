// What stands in front of a pair, with the delivered configurations: HAProxy before two real nodes, keepalived's own
// check of its file, and NetScaler's monitors, emulated, against what the nodes answer.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PAIR_VERBS } from "../../../src/pair/status.ts";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { askRaw, freshDirectory, type Running, run, start, until } from "../helpers.ts";
import { type PairNode, type PairScene, setPairScene } from "../pair-scene.ts";
import { substituted } from "./delivered-front.ts";

const delivered = (name: string) =>
  readFileSync(join(import.meta.dir, "..", "..", "..", "config", "front", name), "utf8");
const lacksHaproxy = Bun.which("haproxy") === null;
const lacksKeepalived = Bun.which("keepalived") === null;

let scene: PairScene;
let haproxy: Running | null = null;
let phone: Phone;

beforeAll(async () => {
  scene = await setPairScene("front");
  await scene.begin();
}, 60_000);
afterAll(async () => {
  await haproxy?.stop();
  await scene.stop();
});

async function frontPorts(): Promise<readonly [number, number]> {
  const servers = [0, 1].map(() => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }));
  const [one = 0, other = 0] = servers.map((server) => server.port);
  for (const server of servers) server.stop(true);
  return [one, other];
}

async function discovery(): Promise<boolean> {
  const { registration } = scene.fronts;
  const request = "GET /v1/discovery HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const answer = await askRaw(registration.port, scene.props.ca, request, 5_000).catch(() => "");
  return answer.startsWith("HTTP/1.1 200 ");
}

describe.skipIf(lacksHaproxy)("HAProxy with the delivered file (needs haproxy)", () => {
  test("brings phones and Exchange to the active node", async () => {
    const [registration, exchange] = await frontPorts();
    const file = join(scene.directory, "haproxy.cfg");
    const { a, b } = scene;
    writeFileSync(
      file,
      substituted(delivered("haproxy.cfg"), {
        "10.2.0.10:8443": `127.0.0.1:${registration}`,
        "10.2.0.10:9443": `127.0.0.1:${exchange}`,
        "10.2.0.11:8443": `127.0.0.1:${a.ports.registration}`,
        "10.2.0.11:9443": `127.0.0.1:${a.ports.exchange}`,
        "10.2.0.12:8443": `127.0.0.1:${b.ports.registration}`,
        "10.2.0.12:9443": `127.0.0.1:${b.ports.exchange}`,
      }),
    );
    haproxy = start(["haproxy", "-db", "-f", file]);
    scene.fronts.registration.target = registration;
    scene.fronts.exchange.target = exchange;
    const said = () => `haproxy said ${haproxy?.lines.join("\n")}`;
    await until(discovery, () => `discovery answers; ${said()}`);
    // HAProxy takes both nodes for fit to serve until its checks have failed twice.
    const { active, passive } = await scene.roles();
    for (const proxy of ["inboxbell-registration", "inboxbell-exchange"]) {
      const down = `Server ${proxy}/${passive.name} is DOWN`;
      await until(
        () => haproxy?.lines.some((line) => line.includes(down)) === true,
        () => `${down}; ${said()}`,
      );
    }
    phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    scene.exchange.mailbox("anna").deliver();
    await until(() => phone.badge === 1, "the phone shows the first mail");
    await untilHeard(active, 1);
  }, 60_000);

  test("follows a switch by hand without a failed request", async () => {
    const { active, passive } = await scene.roles();
    let asked = 0;
    let failed = 0;
    let goesOn = true;
    const asking = (async () => {
      while (goesOn) {
        asked += 1;
        if (!(await discovery())) failed += 1;
        await Bun.sleep(20);
      }
    })();
    expect(await active.ask(PAIR_VERBS.switch)).toMatchObject({ result: "done" });
    await until(async () => (await scene.roles().catch(() => null))?.active === passive, "the roles changed");
    // HAProxy's check needs two failures on one node and one success on the other.
    await Bun.sleep(2_500);
    goesOn = false;
    await asking;
    expect(asked).toBeGreaterThan(20);
    expect(failed).toBe(0);
    scene.exchange.mailbox("anna").deliver();
    await until(() => showed(2), "the phone shows the second mail");
  }, 60_000);

  test("finds the other node when the active one dies", async () => {
    const { active, passive } = await scene.roles();
    await active.kill();
    const died = performance.now();
    await until(async () => (await passive.get("/primary")).status === 200, "the other node takes over");
    await until(discovery, "HAProxy answers again", 10_000);
    expect(performance.now() - died).toBeLessThan(5_000);
    scene.exchange.mailbox("anna").deliver();
    await until(() => showed(3), "the phone shows the third mail");
    await active.up();
    await until(async () => (await active.status()).link?.up === true, "the first node is back");
  }, 60_000);
});

const showed = (badge: number) => phone.pushes.some((push) => push.badge === badge);

/** Notifications counted by a node's own metrics. */
async function untilHeard(node: PairNode, least: number): Promise<void> {
  await until(async () => {
    const { body } = await node.get("/metrics");
    const count = /inboxbell_notifications_total\{result="accepted"\} (\d+)/.exec(body)?.[1];
    return Number(count ?? 0) >= least;
  }, `${node.name} was posted to`);
}

describe.skipIf(lacksKeepalived)("keepalived (needs keepalived)", () => {
  test("finds nothing wrong with the delivered file", async () => {
    const directory = freshDirectory("keepalived");
    const file = join(directory.path, "keepalived.conf");
    const places = { "script_user inboxbell inboxbell": "script_user root root" };
    // Programs that are not installed here are not what is looked at.
    const programs = { "/usr/bin/curl": "/bin/true", "/usr/bin/inboxbell": "/bin/true" };
    const text = substituted(delivered("keepalived.conf"), { ...places, ...programs });
    writeFileSync(file, text, { mode: 0o600 });
    // In a network of its own that has the interface of the file.
    const script = 'ip link add eth0 type veth peer name eth1 && exec keepalived -t -f "$0"';
    const examine = () => run(["unshare", "--net", "sh", "-c", script, file]);
    const ended = await examine();
    expect([ended.code, ended.err.trim()]).toEqual([0, ""]);
    writeFileSync(file, text.replace("virtual_router_id 51", "virtual_router_id 5100"), { mode: 0o600 });
    expect((await examine()).code).not.toBe(0);
    directory.remove();
  });
});

describe("NetScaler's monitors, as its documentation has them", () => {
  // HTTP-ECV looks for its words in the first 24 kB of the body and at nothing else; HTTP looks at the status alone.
  const ECV_BYTES = 24 * 1024;
  const ecv = (answer: string) => {
    const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    return body.slice(0, ECV_BYTES).includes(received);
  };
  const http = (answer: string) => /^HTTP\/1\.[01] 200 /.test(answer);
  const text = delivered("netscaler.txt");
  const sent = /HTTP-ECV -send "([^"]+)"/.exec(text)?.[1] ?? "";
  const received = /-recv "([^"]+)"/.exec(text)?.[1] ?? "";
  const headed = / HTTP -httpRequest "([^"]+)" -respCode 200 /.exec(text)?.[1] ?? "";

  test("both see the active node up and the passive one down, on both listeners", async () => {
    expect([sent, received, headed]).toEqual(["GET /primary", "ROLE=ACTIVE", "HEAD /primary"]);
    const { active, passive } = await scene.roles();
    const ask = (node: PairNode, port: "registration" | "exchange", request: string) =>
      askRaw(
        node.ports[port],
        scene.props.ca,
        `${request} HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n`,
      );
    for (const port of ["registration", "exchange"] as const) {
      expect(ecv(await ask(active, port, sent))).toBe(true);
      expect(ecv(await ask(passive, port, sent))).toBe(false);
      expect(http(await ask(active, port, headed))).toBe(true);
      expect(http(await ask(passive, port, headed))).toBe(false);
    }
  });
});
