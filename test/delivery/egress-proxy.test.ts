import { afterEach, describe, expect, test } from "bun:test";
import { hintFor } from "../../src/delivery/hints.ts";
import { exemptHosts } from "../../src/delivery/no-proxy.ts";
import type { Sender } from "../../src/delivery/sender.ts";
import { createTransport } from "../../src/delivery/transport.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import type { Ring } from "../../src/store/types.ts";
import {
  answeringProxy,
  freePort,
  hasSquid,
  hasTinyproxy,
  inspectingProxy,
  type RealProxy,
  squid,
  tcpServer,
  tinyproxy,
} from "./egress-proxies.ts";
import { APP, certificates, poolTo, post, ring, until } from "./helpers.ts";
import { apns, FCM_TOKEN, fcm, type SetupOptions, sendersFor, TOKEN } from "./providers.ts";

const USER = { name: "inboxbell", password: "correct-horse-battery" };
const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const toGoogle = (more: Partial<Ring> = {}) => ring({ platform: "fcm", token: FCM_TOKEN, ...more });
const hostOf = (url: string) => new URL(url).host;
const unreachable = (reason: string) => ({ kind: "unreachable", reason });

async function simulated() {
  const apple = await apns();
  const google = await fcm();
  endings.push(
    () => apple.simulator.stop(),
    () => google.simulator.stop(),
  );
  return { apple, google };
}

/** Senders to both providers by the way that the options say. */
async function senders(urls: { apnsUrl: string; fcmUrl: string; tokenUrl: string }, options: SetupOptions) {
  const made = (await sendersFor([urls], options)).map(({ sender }) => sender);
  for (const sender of made) endings.push(() => sender.stop());
  const [apple, google] = made as [Sender, Sender];
  return { apple, google };
}

async function running(proxy: Promise<RealProxy>): Promise<RealProxy> {
  const started = await proxy;
  endings.push(started.stop);
  return started;
}

const urlsOf = ({ apple, google }: Awaited<ReturnType<typeof simulated>>) => ({
  apnsUrl: apple.url,
  fcmUrl: google.url,
  tokenUrl: google.tokenUrl,
});

for (const [name, start, missing] of [
  ["squid", squid, !hasSquid],
  ["tinyproxy", tinyproxy, !hasTinyproxy],
] as const) {
  describe(`through ${name}`, () => {
    for (const user of [undefined, USER]) {
      const how = user === undefined ? "without an account" : "with an account";
      test.skipIf(missing)(`rings reach Apple, Google and Google's token endpoint ${how}`, async () => {
        const providers = await simulated();
        const { apple, google } = providers;
        const proxy = await running(start(user === undefined ? {} : { user }));
        const account = user === undefined ? {} : { user: user.name, password: user.password };
        const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url, ...account } });
        expect(await sender.apple.send(ring({ badge: 7 }))).toEqual({ kind: "accepted" });
        expect(await sender.google.send(toGoogle({ badge: 8 }))).toEqual({ kind: "accepted" });
        expect(apple.simulator.lastBadge(TOKEN)).toBe(7);
        expect(google.simulator.lastUnread(FCM_TOKEN)).toBe(8);
        expect([...apple.simulator.violations(), ...google.simulator.violations()]).toEqual([]);
        sender.apple.stop();
        sender.google.stop();
        const expected = [apple.url, google.url, google.tokenUrl].map(hostOf).sort();
        await until(() => proxy.asked().length >= expected.length, "the proxy's log");
        expect(proxy.asked().sort()).toEqual(expected);
      });
    }

    test.skipIf(missing)("a wrong password is a matter of configuration, for every provider", async () => {
      const providers = await simulated();
      const proxy = await running(start({ user: USER }));
      const way = { url: proxy.url, user: USER.name, password: "wrong" };
      const sender = await senders(urlsOf(providers), { proxy: way });
      const refused = { kind: "configuration", reason: "proxy_authentication", personal: false } as const;
      expect(await sender.apple.send(ring())).toEqual(refused);
      expect(await sender.google.send(toGoogle())).toEqual(refused);
      expect(providers.apple.simulator.totals().connections).toBe(0);
    });

    test.skipIf(missing)("no account where one is wanted is a matter of configuration", async () => {
      const providers = await simulated();
      const proxy = await running(start({ user: USER }));
      const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url } });
      expect(await sender.apple.send(ring())).toMatchObject({ reason: "proxy_authentication" });
    });

    test.skipIf(missing)(
      "a provider that the proxy does not reach is unreachable, with the reason",
      async () => {
        const proxy = await running(start());
        const closed = `https://localhost:${await freePort()}`;
        const urls = { apnsUrl: closed, fcmUrl: closed, tokenUrl: `${closed}/token` };
        const sender = await senders(urls, { proxy: { url: proxy.url } });
        expect(await sender.apple.send(ring())).toMatchObject(unreachable("proxy_cannot_reach"));
        expect(await sender.google.send(toGoogle())).toMatchObject(unreachable("proxy_cannot_reach"));
      },
    );

    test.skipIf(missing)("500 rings at once lose none and keep to Apple's stream limits", async () => {
      const providers = await simulated();
      const { simulator } = providers.apple;
      const proxy = await running(start());
      const tokens = Array.from({ length: 500 }, (_, at) => at.toString(16).padStart(64, "0"));
      for (const token of tokens) simulator.devices.register(token, APP);
      const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url } });
      const verdicts = await Promise.all(
        tokens.map((token, at) => sender.apple.send(ring({ token, badge: at }))),
      );
      expect(verdicts.filter((verdict) => verdict.kind !== "accepted")).toEqual([]);
      expect(simulator.violations()).toEqual([]);
    });
  });
}

describe("a proxy's rules", () => {
  test.skipIf(!hasSquid)("that forbid the way are a matter of configuration", async () => {
    const providers = await simulated();
    const proxy = await running(squid({ ports: [443] }));
    const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url } });
    const refused = { kind: "configuration", reason: "proxy_refused", personal: false } as const;
    expect(await sender.apple.send(ring())).toEqual(refused);
    expect(await sender.google.send(toGoogle())).toEqual(refused);
  });

  test("are not tried twice for one ring: a directory locks an account after a few wrong passwords", async () => {
    const providers = await simulated();
    const proxy = await answeringProxy(
      "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    );
    endings.push(proxy.stop);
    const way = { url: proxy.url, user: USER.name, password: "wrong" };
    const sender = await senders(urlsOf(providers), { proxy: way });
    await Promise.all(Array.from({ length: 20 }, () => sender.google.send(toGoogle())));
    expect(proxy.heads.length).toBe(1);
    expect(proxy.heads[0]).toContain(`: Basic ${Buffer.from(`${USER.name}:wrong`).toString("base64")}\r\n`);
  });
});

describe("a proxy that speaks TLS", () => {
  test.skipIf(!hasSquid)("carries rings to both providers", async () => {
    const providers = await simulated();
    const { server } = await certificates();
    const proxy = await running(squid({ tls: server, user: USER }));
    const way = { url: proxy.url, user: USER.name, password: USER.password };
    const sender = await senders(urlsOf(providers), { proxy: way });
    expect(await sender.apple.send(ring({ badge: 7 }))).toEqual({ kind: "accepted" });
    expect(await sender.google.send(toGoogle({ badge: 8 }))).toEqual({ kind: "accepted" });
  });

  test.skipIf(!hasSquid)("is not used when its own certificate is not trusted", async () => {
    const providers = await simulated();
    const { server } = await certificates();
    const proxy = await running(squid({ tls: server }));
    const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url }, ca: null });
    expect(await sender.apple.send(ring())).toMatchObject(unreachable("proxy_certificate"));
    expect(await sender.google.send(toGoogle())).toMatchObject(unreachable("proxy_certificate"));
  });
});

describe("a proxy that does not work", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["speaks another protocol", "220 mail.example ESMTP\r\n", "proxy_unreachable"],
    ["ends the connection", "", "proxy_unreachable"],
    ["has a fault of its own", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "proxy_cannot_reach"],
  ];
  for (const [what, answer, reason] of cases) {
    test(`because it ${what} makes the providers unreachable: ${reason}`, async () => {
      const providers = await simulated();
      const proxy = await answeringProxy(answer);
      endings.push(proxy.stop);
      const sender = await senders(urlsOf(providers), { proxy: { url: proxy.url } });
      expect(await sender.apple.send(ring())).toMatchObject(unreachable(reason));
      expect(await sender.google.send(toGoogle())).toMatchObject(unreachable(reason));
    });
  }

  test("because nothing listens there makes the providers unreachable, with the reason", async () => {
    const providers = await simulated();
    const sender = await senders(urlsOf(providers), {
      proxy: { url: `http://localhost:${await freePort()}` },
    });
    expect(await sender.apple.send(ring())).toMatchObject(unreachable("proxy_unreachable"));
    expect(await sender.google.send(toGoogle())).toMatchObject(unreachable("proxy_unreachable"));
  });

  test("because its name is unknown makes the providers unreachable, with the reason", async () => {
    const providers = await simulated();
    const transport = { proxy: { url: "http://proxy.invalid:3128" } };
    const sender = await senders(urlsOf(providers), transport);
    expect(await sender.apple.send(ring())).toMatchObject(unreachable("proxy_unreachable"));
  });

  test("because it stays silent is given up after the connect limit", async () => {
    const silent = await tcpServer((socket) => void socket.resume());
    endings.push(silent.stop);
    const proxy = { url: `http://localhost:${silent.port}`, user: null, exempt: [] };
    const pool = await poolTo("https://apple.test", {
      transport: createTransport({ proxy }),
      times: { connectMs: 300 },
    });
    endings.push(pool.stop);
    expect(await pool.request(post("ring"))).toMatchObject({ kind: "unreachable", code: "proxy_silent" });
    await until(() => silent.sockets.size === 0, "the connection to the proxy to end");
  });
});

describe("hosts that are exempt", () => {
  test("are reached directly, whatever the proxy is", async () => {
    const providers = await simulated();
    const proxy = { url: `http://localhost:${await freePort()}` };
    const sender = await senders(urlsOf(providers), { proxy, noProxy: ["localhost", "127.0.0.0/8"] });
    expect(await sender.apple.send(ring())).toEqual({ kind: "accepted" });
    expect(await sender.google.send(toGoogle())).toEqual({ kind: "accepted" });
  });

  test("are hosts by name, suffixes, addresses and blocks", () => {
    const isExempt = exemptHosts([
      "relay.example",
      ".Corp.Example",
      "10.1.0.0/16",
      "2001:db8::/32",
      "192.0.2.7",
    ]);
    const exempt = ["relay.example", "RELAY.example.", "a.corp.example", "a.b.corp.example", "10.1.255.1"];
    const others = [
      "x.relay.example",
      "corp.example",
      "notcorp.example",
      "10.2.0.1",
      "192.0.2.8",
      "api.push.apple.com",
    ];
    expect([...exempt, "192.0.2.7", "[2001:db8::1]"].filter((host) => !isExempt(host))).toEqual([]);
    expect([...others, "[2001:db9::1]"].filter(isExempt)).toEqual([]);
  });

  test("are none unless listed", () => {
    expect(["localhost", "127.0.0.1", "api.push.apple.com"].filter(exemptHosts([]))).toEqual([]);
  });
});

describe("a proxy that inspects TLS", () => {
  async function inspected(protocols: readonly string[] = ["h2", "http/1.1"]) {
    const providers = await simulated();
    const inspector = await createAuthority("Inspector");
    const own = await issue(inspector, { names: ["localhost"] });
    const proxy = await inspectingProxy(own, (await certificates()).authority, protocols);
    endings.push(proxy.stop);
    return { urls: urlsOf(providers), proxy, inspector };
  }

  test("carries rings to both providers once its authority is named", async () => {
    const { urls, proxy, inspector } = await inspected();
    const sender = await senders(urls, { proxy: { url: proxy.url }, ca: inspector.certificate });
    expect(await sender.apple.send(ring())).toEqual({ kind: "accepted" });
    expect(await sender.google.send(toGoogle())).toEqual({ kind: "accepted" });
    expect(proxy.inspected).toBe(3);
  });

  test("is not trusted until then", async () => {
    const { urls, proxy } = await inspected();
    const sender = await senders(urls, { proxy: { url: proxy.url } });
    for (const verdict of [await sender.apple.send(ring()), await sender.google.send(toGoogle())]) {
      expect(verdict).toMatchObject({ kind: "unreachable" });
      const reason = "reason" in verdict ? verdict.reason : "";
      expect(hintFor({ why: "unreachable", reason })).toContain("egress.ca_file");
    }
  });

  for (const protocols of [["http/1.1"], []]) {
    test(`and does not speak HTTP/2 (it offers ${protocols[0] ?? "nothing"}) makes Apple unreachable, with the reason`, async () => {
      const { urls, proxy, inspector } = await inspected(protocols);
      const sender = await senders(urls, { proxy: { url: proxy.url }, ca: inspector.certificate });
      expect(await sender.apple.send(ring())).toMatchObject(unreachable("no_http2"));
    });
  }
});
