// The PROXY protocol before TLS, on real sockets: whose word counts, who is closed, and what stays as it is without.
import { afterEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ListenerOptions } from "../../src/net/listener.ts";
import {
  CLIENT,
  connect,
  connectProxied,
  eventually,
  makeIdentity,
  PROXY_LINE,
  QUICK,
  request,
  startListener,
  statuses,
  type TestListener,
  watch,
} from "./helpers.ts";

const open: TestListener[] = [];
afterEach(async () => {
  for (const bell of open.splice(0)) await bell.stop();
});

/** A listener for Exchange behind a proxy at 127.0.0.1; other loopback addresses are clients. */
async function start(options: Partial<ListenerOptions> = {}): Promise<TestListener> {
  const bell = await startListener("proxied", {
    name: "exchange",
    trustedProxies: ["127.0.0.1"],
    ...options,
  });
  open.push(bell);
  return bell;
}

const V2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const V2_TCP6 = Buffer.concat([
  V2,
  Buffer.from([0x21, 0x21, 0, 36]),
  Buffer.from(`20010db8${"0".repeat(22)}07`, "hex"),
  Buffer.alloc(20),
]);
const V2_LOCAL = Buffer.concat([V2, Buffer.from([0x20, 0, 0, 0])]);
const GET = request("GET /a");

async function ask(port: number, header: string | Buffer): Promise<number | undefined> {
  const client = await connectProxied(port, header);
  client.send(GET);
  const answer = await client.closed();
  client.destroy();
  return statuses(answer)[0];
}

/** Bytes on a plain connection from this address; what comes back until it is closed. */
async function raw(port: number, bytes: string | Buffer, localAddress = "127.0.0.1"): Promise<string> {
  const client = await watch(connectPlain({ port, host: "127.0.0.1", localAddress }), "connect");
  client.send(bytes);
  const answer = await client.closed();
  client.destroy();
  return answer;
}

describe("a trusted proxy", () => {
  test("tells the client by version 1 and 2, or speaks for itself", async () => {
    const bell = await start();
    for (const header of [PROXY_LINE, V2_TCP6, V2_LOCAL, "PROXY UNKNOWN\r\n"]) {
      expect(await ask(bell.port, header)).toBe(200);
    }
    expect(bell.requests.map(({ remoteAddress }) => remoteAddress)).toEqual([
      CLIENT,
      "2001:db8::7",
      "127.0.0.1",
      "127.0.0.1",
    ]);
  });

  test("may send the header in single bytes, or together with the client's first ones", async () => {
    const bell = await start();
    const client = connectPlain({ port: bell.port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    for (const byte of PROXY_LINE) {
      client.write(byte);
      await Bun.sleep(2);
    }
    const secured = await watch(connectTls({ socket: client, rejectUnauthorized: false }), "secureConnect");
    secured.send(GET);
    expect(statuses(await secured.closed())).toEqual([200]);
    secured.destroy();

    // The TLS client writes into a relay, which puts the header and the first record into one packet.
    const { port } = bell;
    const relay = Bun.listen<{ to: ReturnType<typeof connectPlain> | null }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.data = { to: null };
        },
        data(socket, bytes) {
          if (socket.data.to !== null) {
            socket.data.to.write(bytes);
            return;
          }
          const to = connectPlain({ port, host: "127.0.0.1" });
          socket.data.to = to;
          to.on("data", (answer) => void socket.write(answer));
          to.on("close", () => socket.end());
          to.write(Buffer.concat([V2_TCP6, bytes]));
        },
      },
    });
    const through = await connect("tls", relay.port);
    through.send(GET);
    expect(statuses(await through.closed())).toEqual([200]);
    through.destroy();
    relay.stop(true);
    expect(bell.requests.map(({ remoteAddress }) => remoteAddress)).toEqual([CLIENT, "2001:db8::7"]);
  });

  test("that does not send the header is closed without an answer, whatever it sends instead", async () => {
    const bell = await start();
    const instead = [GET, "PROXY TCP4 nonsense\r\n", Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])];
    for (const bytes of instead) expect(await raw(bell.port, bytes)).toBe("");
    const direct = await watch(
      connectTls({ port: bell.port, host: "127.0.0.1", rejectUnauthorized: false }),
      "secureConnect",
    );
    expect(direct.failure).not.toBeNull();
    expect(await bell.refused("proxy_protocol")).toBe(4);
    expect(bell.requests).toEqual([]);
    expect(bell.listener.connections).toBe(0);
  });

  test("that sends nothing, or half a header, or no TLS after it, is closed in the handshake's time", async () => {
    const bell = await start({ limits: QUICK });
    for (const bytes of ["", "PROXY TCP4 192.0.2.7", V2.subarray(0, 5), PROXY_LINE]) {
      const begun = performance.now();
      expect(await raw(bell.port, bytes)).toBe("");
      // One limit from the connection's arrival on: the header does not start it again.
      expect(performance.now() - begun).toBeLessThan(1000);
    }
    expect(await bell.refused("handshake_time")).toBe(4);
    expect(bell.listener.connections).toBe(0);
  });

  test("may come and go: aborted connections leave nothing behind", async () => {
    const bell = await start();
    for (const bytes of [
      "",
      "PROXY ",
      PROXY_LINE,
      `${PROXY_LINE}\x16\x03\x01`,
      `${PROXY_LINE}GET / HTTP/1.1`,
    ]) {
      for (const how of ["end", "reset"] as const) {
        const client = await watch(connectPlain({ port: bell.port, host: "127.0.0.1" }), "connect");
        client.socket.write(Buffer.from(bytes, "latin1"));
        await Bun.sleep(10);
        if (how === "end") client.socket.end();
        else client.socket.resetAndDestroy();
      }
    }
    await eventually("all are forgotten", () => bell.listener.connections === 0);
    expect(await ask(bell.port, PROXY_LINE)).toBe(200);
  });
});

describe("another client", () => {
  const dial = (port: number) =>
    connectTls({
      socket: connectPlain({ port, host: "127.0.0.1", localAddress: "127.0.0.2" }),
      rejectUnauthorized: false,
    });

  test("connects directly, as on any listener", async () => {
    const bell = await start();
    const client = await watch(dial(bell.port), "secureConnect");
    client.send(request("GET /a", { "X-Forwarded-For": CLIENT }));
    expect(statuses(await client.closed())).toEqual([200]);
    expect(bell.requests[0]?.remoteAddress).toBe("127.0.0.2");
    client.destroy();
  });

  test("that sends the header is closed: it cannot be somebody else", async () => {
    const bell = await start();
    for (const bytes of [PROXY_LINE, V2_TCP6, Buffer.concat([V2_LOCAL, GET])]) {
      expect(await raw(bell.port, bytes, "127.0.0.2")).toBe("");
    }
    expect(await bell.refused("proxy_protocol")).toBe(3);
    expect(bell.requests).toEqual([]);
  });
});

test("the allow list means the client behind the proxy", async () => {
  const bell = await start({ allow: ["192.0.2.0/24"] });
  expect(await ask(bell.port, PROXY_LINE)).toBe(200);
  expect(await ask(bell.port, V2_TCP6)).toBeUndefined();
  expect(await ask(bell.port, V2_LOCAL)).toBe(404);
  expect(await bell.refused("allow")).toBe(2);
  expect(bell.lines.join("")).toContain("2001:db8::7");
});

test("so do the limits: one client's connections, not the proxy's", async () => {
  const bell = await start({ limits: { connectionsPerAddress: 2 } });
  const clients = [];
  for (const header of [PROXY_LINE, PROXY_LINE, V2_TCP6, V2_TCP6]) {
    clients.push(await connectProxied(bell.port, header));
  }
  expect(bell.listener.connections).toBe(4);
  clients.push(await connectProxied(bell.port, PROXY_LINE));
  await clients[0]?.closed();
  expect(await bell.refused("address_connections")).toBe(1);
  expect(bell.listener.connections).toBe(4);
  for (const client of clients) client.destroy();
});

test("a header that names another trusted proxy makes its X-Forwarded-For count", async () => {
  const bell = await start({ trustedProxies: ["127.0.0.1", CLIENT] });
  const client = await connectProxied(bell.port, PROXY_LINE);
  client.send(request("GET /a", { "X-Forwarded-For": "198.51.100.9" }));
  await client.closed();
  expect(bell.requests[0]?.remoteAddress).toBe("198.51.100.9");
  client.destroy();
});

test("without TLS the header comes before plain HTTP", async () => {
  const bell = await start({ tls: null });
  expect(statuses(await raw(bell.port, Buffer.concat([Buffer.from(PROXY_LINE), GET])))).toEqual([200]);
  expect(bell.requests[0]?.remoteAddress).toBe(CLIENT);
  expect(statuses(await raw(bell.port, GET, "127.0.0.2"))).toEqual([200]);
  expect(await raw(bell.port, Buffer.concat([V2_LOCAL, GET]), "127.0.0.2")).toBe("");
  expect(await raw(bell.port, GET)).toBe("");
});

describe("TLS after the header", () => {
  test("is resumed, and a renewed certificate ends that and costs no connection", async () => {
    const [one, two] = [await makeIdentity("ec"), await makeIdentity("rsa")];
    const bell = await start({ tls: one });
    const options = { maxVersion: "TLSv1.2" } as const;
    let session: Buffer | undefined;
    const visit = async () => {
      const socket = connectPlain({ port: bell.port, host: "127.0.0.1" });
      socket.write(PROXY_LINE);
      const secured = connectTls({
        socket,
        rejectUnauthorized: false,
        ...options,
        ...(session === undefined ? {} : { session }),
      });
      secured.on("session", (ticket) => {
        session = ticket;
      });
      const client = await watch(secured, "secureConnect");
      const result = [secured.isSessionReused(), secured.getPeerX509Certificate()?.fingerprint256];
      client.send(GET);
      expect(statuses(await client.closed())).toEqual([200]);
      client.destroy();
      return result;
    };
    const print = ({ certificate }: { readonly certificate: string }) =>
      new X509Certificate(certificate).fingerprint256;
    expect(await visit()).toEqual([false, print(one)]);
    expect(await visit()).toEqual([true, print(one)]);
    const before = await connectProxied(bell.port, PROXY_LINE);
    bell.listener.setTls(two);
    expect(() => bell.listener.setTls({ certificate: one.certificate, key: two.key })).toThrow(
      "cannot be used",
    );
    expect(await visit()).toEqual([false, print(two)]);
    expect(await visit()).toEqual([true, print(two)]);
    before.send(GET);
    expect(statuses(await before.closed())).toEqual([200]);
    before.destroy();
  });

  test("keeps its versions", async () => {
    const bell = await start();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const client = await connectProxied(bell.port, PROXY_LINE, {
        minVersion: version,
        maxVersion: version,
      });
      client.send(GET);
      expect(statuses(await client.closed())).toEqual([200]);
      client.destroy();
    }
    const old = await connectProxied(bell.port, PROXY_LINE, { minVersion: "TLSv1", maxVersion: "TLSv1.1" });
    expect(old.failure).not.toBeNull();
    expect(await bell.refused("handshake")).toBe(1);
    old.destroy();
  });

  test("is refused at the start with a certificate that cannot be used", async () => {
    const [one, two] = [await makeIdentity("ec"), await makeIdentity("ec")];
    const wrong = { certificate: one.certificate, key: two.key };
    await expect(startListener("proxied", { tls: wrong })).rejects.toThrow("cannot be used");
  });

  test("serves many connections at once without keeping any", async () => {
    const bell = await start();
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(bell.port, PROXY_LINE)));
      expect(new Set(answers)).toEqual(new Set([200]));
    }
    await eventually("all are forgotten", () => bell.listener.connections === 0);
  });
});
