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
