// What the listener speaks on the wire, seen by openssl and by a raw socket.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  eventually,
  makeIdentity,
  request,
  startListener,
  statuses,
  type TestListener,
  watch,
} from "./helpers.ts";

const bells: Partial<Record<"rsa" | "ec", TestListener>> = {};
beforeAll(async () => {
  for (const kind of ["rsa", "ec"] as const) {
    bells[kind] = await startListener("tls", { tls: await makeIdentity(kind) });
  }
});
afterAll(async () => {
  for (const bell of Object.values(bells)) await bell.stop();
});

/** Runs `openssl s_client`, with what it is to send, and returns all it says. */
async function openssl(port: number, args: readonly string[], input = "Q\n"): Promise<string> {
  const child = Bun.spawn(["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...args], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return out + err;
}

function chosen(output: string): string {
  const [, version, cipher] = /New, (\S+), Cipher is (\S+)/.exec(output) ?? [];
  return cipher === undefined ? "nothing" : `${version} ${cipher}`;
}

const hasOpenssl = Bun.which("openssl") !== null;

describe.skipIf(!hasOpenssl)("TLS", () => {
  test("1.3 and 1.2 are spoken, 1.1 and 1.0 are not", async () => {
    for (const kind of ["rsa", "ec"] as const) {
      const { port } = bells[kind]!;
      expect(chosen(await openssl(port, ["-tls1_3"]))).toStartWith("TLSv1.3 ");
      expect(await openssl(port, ["-tls1_2"])).toContain("Protocol  : TLSv1.2");
      for (const version of ["-tls1_1", "-tls1"]) {
        const output = await openssl(port, [version, "-cipher", "ALL:@SECLEVEL=0"]);
        expect(output).toContain("alert protocol version");
      }
    }
  });

  test("1.2 prefers modern suites, whatever the client puts first", async () => {
    const cases = {
      rsa: "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256",
      ec: "ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
    } as const;
    for (const kind of ["rsa", "ec"] as const) {
      const output = await openssl(bells[kind]!.port, ["-tls1_2", "-cipher", cases[kind]]);
      expect(chosen(output)).toEndWith("AES128-GCM-SHA256");
    }
  });

  test("1.2 serves what Windows Server 2012 R2 offers", async () => {
    for (const suite of ["ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA"]) {
      expect(chosen(await openssl(bells.rsa!.port, ["-tls1_2", "-cipher", suite]))).toEndWith(suite);
    }
    for (const suite of ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"]) {
      expect(chosen(await openssl(bells.ec!.port, ["-tls1_2", "-cipher", suite]))).toEndWith(suite);
    }
  });

  test("1.2 refuses suites without forward secrecy or with broken ciphers", async () => {
    const suites = [
      "AES128-SHA",
      "AES256-SHA",
      "AES128-GCM-SHA256",
      "DHE-RSA-AES128-GCM-SHA256",
      "NULL-SHA256",
    ];
    for (const suite of suites) {
      const output = await openssl(bells.rsa!.port, ["-tls1_2", "-cipher", `${suite}:@SECLEVEL=0`]);
      expect(output).toContain("alert handshake failure");
    }
  });

  test("an answered connection ends with a close_notify", async () => {
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const output = await openssl(
        bells.rsa!.port,
        [version, "-msg", "-ign_eof"],
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
      );
      expect(statuses(output)).toEqual([200]);
      const alert = /<<< TLS 1\.\d, Alert \[length 0002\], warning close_notify/;
      expect(output).toMatch(alert);
      expect(output).not.toContain("unexpected eof");
    }
  });
});

describe.skipIf(!hasOpenssl)("every suite of TLS 1.2 that is served", () => {
  test.each<readonly ["rsa" | "ec", string]>([
    ["ec", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ["rsa", "ECDHE-RSA-AES128-GCM-SHA256"],
    ["ec", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    ["rsa", "ECDHE-RSA-AES256-GCM-SHA384"],
    ["ec", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ["rsa", "ECDHE-RSA-CHACHA20-POLY1305"],
    ["rsa", "ECDHE-RSA-AES128-SHA256"],
    ["ec", "ECDHE-ECDSA-AES128-SHA"],
    ["rsa", "ECDHE-RSA-AES128-SHA"],
    ["ec", "ECDHE-ECDSA-AES256-SHA"],
    ["rsa", "ECDHE-RSA-AES256-SHA"],
  ])("%s: %s", async (kind, suite) => {
    const { port } = bells[kind]!;
    expect(chosen(await openssl(port, ["-tls1_2", "-cipher", `${suite}:@SECLEVEL=0`]))).toEndWith(suite);
  });

  test("is asked for no renegotiation: the connection ends", async () => {
    const output = await openssl(bells.rsa!.port, ["-tls1_2"], "R\n");
    expect(output).toContain("RENEGOTIATING");
    expect(output).toMatch(/no.renegotiation|unexpected eof|handshake failure|alert/i);
    const bell = bells.rsa!;
    await eventually("the connection is forgotten", () => bell.listener.connections === 0);
  });
});

describe("a client that offers one suite of TLS 1.2", () => {
  /** A ClientHello by hand, since openssl itself has given up some of these suites. */
  function clientHello(suite: number): Buffer {
    const extension = (type: number, body: readonly number[]) => [0, type, 0, body.length, ...body];
    const extensions = [
      // P-256 and X25519; uncompressed points; RSA and ECDSA with SHA-256, RSA with SHA-1.
      ...extension(10, [0, 4, 0, 23, 0, 29]),
      ...extension(11, [1, 0]),
      ...extension(13, [0, 6, 4, 1, 4, 3, 2, 1]),
    ];
    const random = Array.from({ length: 32 }, (_, n) => n);
    const body = [
      3,
      3,
      ...random,
      0,
      0,
      2,
      suite >> 8,
      suite & 0xff,
      1,
      0,
      0,
      extensions.length,
      ...extensions,
    ];
    const message = [1, 0, 0, body.length, ...body];
    return Buffer.from([0x16, 3, 1, 0, message.length, ...message]);
  }

  async function reply(suite: number): Promise<string> {
    const client = await watch(connectPlain(bells.rsa!.port, "127.0.0.1"), "connect");
    client.send(clientHello(suite));
    await eventually("an answer", () => client.received.length >= 6 || client.isEnded);
    const bytes = Buffer.from(client.received, "latin1");
    client.destroy();
    if (bytes[0] === 0x16) return "hello";
    return bytes[0] === 0x15 && bytes[5] === 2 && bytes[6] === 40
      ? "handshake failure"
      : bytes.toString("hex");
  }

  test("gets a ServerHello for one that is served", async () => {
    for (const suite of [0xc027, 0xc013, 0xc014, 0xc02f])
      expect([suite, await reply(suite)]).toEqual([suite, "hello"]);
  });

  test.each([
    ["RC4-MD5", 0x0004],
    ["RC4-SHA", 0x0005],
    ["3DES, static RSA", 0x000a],
    ["3DES, DHE", 0x0016],
    ["3DES, ECDHE", 0xc012],
    ["RC4, ECDHE", 0xc011],
    ["AES128-SHA, static RSA", 0x002f],
    ["AES256-SHA, static RSA", 0x0035],
    ["AES128-SHA256, static RSA", 0x003c],
    ["AES128-GCM, static RSA", 0x009c],
    ["AES256-GCM, static RSA", 0x009d],
    ["AES128-SHA, DHE", 0x0033],
    ["AES128-SHA, anonymous", 0xc018],
    ["no encryption", 0x003b],
  ])("is refused with %s", async (_, suite) => {
    expect(await reply(suite)).toBe("handshake failure");
  });
});

test("a session is resumed", async () => {
  const { port } = bells.rsa!;
  let session: Buffer | undefined;
  const results: boolean[] = [];
  for (let i = 0; i < 2; i += 1) {
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      maxVersion: "TLSv1.2",
      ...(session === undefined ? {} : { session }),
    });
    socket.on("session", (ticket) => {
      session = ticket;
    });
    const client = await watch(socket, "secureConnect");
    results.push(socket.isSessionReused());
    client.send(request("GET /"));
    await client.closed();
    client.destroy();
  }
  expect(results).toEqual([false, true]);
});

test("plain HTTP on the TLS port is closed and harms nobody", async () => {
  const bell = bells.ec!;
  for (const bytes of [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\x16\x03\x01",
    "\0".repeat(500),
    "SSH-2.0-x\r\n",
  ]) {
    const client = await watch(connectPlain(bell.port, "127.0.0.1"), "connect");
    client.socket.end(Buffer.from(bytes, "latin1"));
    expect(await client.closed()).not.toContain("HTTP");
    client.destroy();
  }
  await eventually("the connections are forgotten", () => bell.listener.connections === 0);
  expect(await bell.refused("handshake")).toBeGreaterThan(0);
  expect(statuses(await bell.ask(request("GET /")))).toEqual([200]);
});
