// The compiled binary behind load balancers, and Exchange behind its own outbound proxy: the ring goes through, and
// the allow list and the log mean the real client wherever the load balancer tells it.
import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { freePorts } from "../../../src/rehearsal/stage/props.ts";
import { hasSquid, squid } from "../../delivery/egress-proxies.ts";
import { type Running, type Scene, setScene, until } from "../helpers.ts";
import { FRONT_PROXIES, listenerLine, PROXY_ADDRESS } from "./front-proxies.ts";

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

// Exchange and the phones are 127.0.0.1, and so is a second Exchange server without Microsoft's patch.
const UNPATCHED = "127.0.0.10";
const STRANGER = "127.0.0.9";

/** A scene whose appliance listens on other ports than its public ones, with this added to its listeners' lines. */
async function sceneBehind(title: string, line: string, allow: readonly string[]) {
  const backends = await freePorts();
  const scene = await setScene(title, {
    config: (text) =>
      text
        .replace(/(registration: .*port: )\d+/, `$1${backends.registration}`)
        .replace(/(exchange: .*port: )\d+/, `$1${backends.exchange}`)
        .replaceAll("allow: [127.0.0.0/8]", `allow: [${allow.join(", ")}]${line}`),
  });
  endings.push(() => scene.stop());
  const { registration, exchange } = scene.props.ports;
  const routes = [
    { port: registration, backend: backends.registration, certificate: "reg" },
    { port: exchange, backend: backends.exchange, certificate: "ews" },
  ];
  return { scene, routes };
}

async function rings(scene: Scene, phone: Phone, badge: number): Promise<void> {
  scene.exchange.mailbox(phone.mailbox).deliver();
  await until(() => phone.badge === badge, `the phone shows ${badge}`);
}

/** What a client at this address gets on a connection of its own. */
function ask(port: number, from: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connectTls({
      socket: connect({ host: "127.0.0.1", port, localAddress: from }),
      rejectUnauthorized: false,
    });
    socket.on("secureConnect", () => void socket.write(bytes));
    socket.on("data", (text: Buffer) => {
      answer += text.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

const post = (path: string, header = "") =>
  `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nConnection: close\r\n${header}\r\n<a/>`;

const logged = (appliance: Running, text: string) => appliance.lines.filter((line) => line.includes(text));

describe.each(FRONT_PROXIES)("behind $name", (proxy) => {
  const isTold = proxy.listener !== "";

  test.skipIf(!proxy.isInstalled)(
    "a phone registers, is rung, and the allow list means the real client",
    async () => {
      const allow = isTold ? ["127.0.0.1", UNPATCHED] : [PROXY_ADDRESS];
      const { scene, routes } = await sceneBehind("front", listenerLine(proxy), allow);
      const appliance = await scene.up();
      const running = await proxy.start({ directory: scene.directory, routes });
      endings.push(() => running.stop());

      const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
      await phone.enrol();
      await rings(scene, phone, 1);
      await rings(scene, phone, 2);
      expect(scene.exchange.statistics()).toMatchObject({ failures: {}, retries: 0, violations: [] });

      const { exchange } = scene.props.ports;
      const path = new URL(scene.callbackUrl(phone)).pathname;
      const basic = "Authorization: Basic YTpi\r\n";
      expect(await ask(exchange, UNPATCHED, post(path, basic))).toStartWith("HTTP/1.1 200 ");
      const seen = isTold ? UNPATCHED : PROXY_ADDRESS;
      await until(
        () => logged(appliance, `"remoteAddress":"${seen}"`).length === 1,
        "the unpatched server is told",
      );

      const pretended = post(path, "X-Forwarded-For: 127.0.0.1\r\n");
      const answer = await ask(exchange, STRANGER, pretended);
      if (isTold) {
        expect(answer).not.toContain("SubscriptionStatus");
        await until(() => logged(appliance, `"address":"${STRANGER}"`).length === 1, "the refusal is told");
      } else {
        // The load balancer is all that this node sees.
        expect(answer).toStartWith("HTTP/1.1 200 ");
      }
      const health = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
      expect(await ask(exchange, STRANGER, health)).toStartWith("HTTP/1.1 200 ");
      expect(scene.violations()).toEqual([]);
      // Phones come from 127.0.0.1 as Exchange does; only the two clients above were worth a line.
      expect(logged(appliance, '"127.0.0.1"')).toEqual([]);
      expect(logged(appliance, "reached nobody")).toEqual([]);
    },
    60_000,
  );
});

describe.each(FRONT_PROXIES.filter(({ listener }) => listener === "proxy_protocol"))(
  "behind $name",
  (proxy) => {
    test.skipIf(!proxy.isInstalled)(
      "is the only one that may claim to speak for others",
      async () => {
        const { scene, routes } = await sceneBehind("claim", listenerLine(proxy), ["127.0.0.1"]);
        const appliance = await scene.up();
        const backend = routes[1]?.backend ?? 0;
        const plain = (from: string, bytes: string) =>
          new Promise<string>((resolve) => {
            let answer = "";
            const socket = connect({ host: "127.0.0.1", port: backend, localAddress: from }, () =>
              socket.write(bytes),
            );
            socket.on("data", (text) => {
              answer += String(text);
            });
            socket.on("error", () => {});
            socket.on("close", () => resolve(answer));
          });
        expect(await plain(STRANGER, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n")).toBe("");
        expect(await plain(PROXY_ADDRESS, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")).toBe("");
        await until(() => logged(appliance, '"why":"proxy_protocol"').length > 0, "it is told");
      },
      60_000,
    );
  },
);

describe("with Exchange behind its own outbound proxy", () => {
  test.skipIf(!hasSquid)(
    "squid tunnels every notification, and a tunnel that breaks costs nothing",
    async () => {
      const { scene, routes } = await sceneBehind("outbound", "", ["127.0.0.0/8"]);
      await scene.up();
      let proxy = await squid();
      endings.push(() => proxy.stop());
      // Exchange's HTTP client asks its proxy for a tunnel first: the same here, between the simulator and squid.
      const [registration, exchange] = routes;
      if (registration === undefined || exchange === undefined) throw new Error("there are two routes");
      let tunnels = 0;
      for (const { port, backend } of routes) {
        const server = createServer({ pauseOnConnect: true }, (client) => {
          client.on("error", () => client.destroy());
          if (backend === registration.backend) {
            pipe(client, connect({ host: "127.0.0.1", port: backend }));
            return;
          }
          const tunnel = connect({ host: "127.0.0.1", port: Number(new URL(proxy.url).port) });
          tunnel.on("error", () => client.destroy());
          tunnel.write(`CONNECT 127.0.0.1:${backend} HTTP/1.1\r\nHost: 127.0.0.1:${backend}\r\n\r\n`);
          tunnel.once("data", (answer) => {
            if (!String(answer).startsWith("HTTP/1.1 200")) client.destroy();
            tunnels += 1;
            pipe(client, tunnel);
          });
        });
        await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
        endings.push(() => new Promise((resolve) => server.close(resolve)));
      }

      const phone = scene.addPhone({ platform: "fcm", mailbox: "anna", tellsInbox: true });
      await phone.enrol();
      for (const badge of [1, 2, 3]) await rings(scene, phone, badge);
      expect(tunnels).toBeGreaterThanOrEqual(3);
      expect(scene.exchange.statistics()).toMatchObject({ failures: {}, violations: [] });

      // The proxy goes away and comes back: Exchange repeats what got no answer.
      const gone = proxy;
      await gone.stop();
      scene.exchange.mailbox("anna").deliver();
      await until(() => Object.keys(scene.exchange.statistics().failures).length > 0, "a post fails");
      proxy = await squid();
      await until(() => phone.badge === 4, "the phone shows what waited", 90_000);
      expect(scene.exchange.statistics()).toMatchObject({ violations: [] });
      expect(scene.violations()).toEqual([]);
    },
    150_000,
  );
});

function pipe(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one);
  for (const [each, peer] of [
    [one, other],
    [other, one],
  ] as const) {
    each.on("error", () => peer.destroy());
    each.on("close", () => peer.destroy());
  }
}
