// Who may connect, and that health is told to everyone.
import { describe, expect, test } from "bun:test";
import { BellError } from "../../src/errors.ts";
import { plainAddress } from "../../src/net/address.ts";
import { createAllowList } from "../../src/net/allow-list.ts";
import { request, startListener, statuses } from "./helpers.ts";

describe("an allow list", () => {
  test("that is empty allows every address", () => {
    const isAllowed = createAllowList([]);
    expect(isAllowed("192.0.2.1") && isAllowed("2001:db8::1")).toBe(true);
  });

  test("has blocks and addresses of both families", () => {
    const isAllowed = createAllowList([
      "10.1.0.0/16",
      "192.0.2.7",
      "2001:db8::/32",
      "fd00::5",
      "::ffff:10.9.0.0/112",
    ]);
    for (const address of [
      "10.1.0.0",
      "10.1.255.255",
      "192.0.2.7",
      "2001:db8:ffff::1",
      "fd00::5",
      "10.9.3.4",
    ]) {
      expect([address, isAllowed(address)]).toEqual([address, true]);
    }
    for (const address of [
      "10.2.0.0",
      "10.0.255.255",
      "192.0.2.8",
      "2001:db9::1",
      "fd00::6",
      "10.10.0.1",
      "::1",
    ]) {
      expect([address, isAllowed(address)]).toEqual([address, false]);
    }
  });

  test("sees an IPv4 client of a dual-stack socket as IPv4", () => {
    const isAllowed = createAllowList(["10.1.0.0/16"]);
    expect(plainAddress("::ffff:10.1.2.3")).toBe("10.1.2.3");
    expect(plainAddress("::FFFF:10.1.2.3")).toBe("10.1.2.3");
    expect(plainAddress("2001:db8::1")).toBe("2001:db8::1");
    expect(isAllowed(plainAddress("::ffff:10.1.2.3"))).toBe(true);
    expect(isAllowed(plainAddress("::ffff:10.2.2.3"))).toBe(false);
  });

  test("takes the widest and the narrowest block", () => {
    expect(createAllowList(["0.0.0.0/0"])("203.0.113.9")).toBe(true);
    expect(createAllowList(["0.0.0.0/0"])("2001:db8::1")).toBe(false);
    expect(createAllowList(["::/0"])("2001:db8::1")).toBe(true);
    expect(createAllowList(["10.0.0.1/32"])("10.0.0.2")).toBe(false);
  });

  test("refuses what is neither an address nor a block", () => {
    for (const entry of [
      "",
      "10.1",
      "10.1.0.0/33",
      "10.1.0.0/",
      "10.1.0.0/a",
      "1::/129",
      "host",
      "10.0.0.0/8/8",
      "::ffff:1.2.3.4/90",
    ]) {
      let thrown: unknown;
      try {
        createAllowList([entry]);
      } catch (error) {
        thrown = error;
      }
      expect([entry, thrown instanceof BellError && thrown.code]).toEqual([entry, "config_invalid"]);
    }
  });
});

for (const transport of ["tls", "plain"] as const) {
  describe(`a client over ${transport} whose address is not allowed`, () => {
    test("is closed after the request line, without an answer", async () => {
      const bell = await startListener(transport, { name: "exchange", allow: ["10.0.0.0/8"] });
      const client = await bell.connect();
      client.send("POST /ews/x HTTP/1.1\r\n");
      expect(await client.closed()).toBe("");
      client.destroy();
      expect(await bell.ask("nonsense\r\n")).toBe("");
      expect(bell.requests).toEqual([]);
      expect(await bell.refused("allow")).toBe(1);
      expect(bell.lines.join("")).toContain("127.0.0.1");
      await bell.stop();
    });

    test("is told the health, and nothing else on the same connection", async () => {
      const bell = await startListener(transport, { allow: ["10.0.0.0/8"] });
      const client = await bell.connect();
      for (const line of ["GET /livez", "HEAD /readyz?verbose", "OPTIONS /primary"]) {
        const before = statuses(client.received).length;
        client.send(request(line, { Connection: "keep-alive" }));
        await client.until("ROLE=ACTIVE");
        while (statuses(client.received).length === before) await Bun.sleep(5);
      }
      client.send(request("GET /v1/discovery"));
      expect(statuses(await client.closed())).toEqual([200, 200, 200]);
      client.destroy();
      expect(bell.requests).toEqual([]);
      await bell.stop();
    });

    test("gets no answer to nonsense after it was told the health", async () => {
      const bell = await startListener(transport, { allow: ["10.0.0.0/8"] });
      const client = await bell.connect();
      client.send(request("GET /livez", { Connection: "keep-alive" }));
      await client.until("ROLE=ACTIVE");
      client.send("nonsense\r\n");
      expect(statuses(await client.closed())).toEqual([200]);
      client.destroy();
      await bell.stop();
    });

    test("gets no body read and no near-miss path served", async () => {
      const bell = await startListener(transport, { allow: ["10.0.0.0/8"] });
      expect(await bell.ask(request("POST /livez", {}, "a"))).toBe("");
      for (const path of ["/livez/", "//livez", "/livez%20", "/LIVEZ", "/livez/../v1/discovery"]) {
        expect(await bell.ask(request(`GET ${path}`))).toBe("");
      }
      expect(bell.requests).toEqual([]);
      await bell.stop();
    });
  });
}

test("an allowed client gets both its answer and the health", async () => {
  const bell = await startListener("tls", { allow: ["127.0.0.0/8"] });
  expect(await bell.ask(request("GET /"))).toEndWith("OK");
  expect(await bell.ask(request("GET /primary"))).toEndWith("ROLE=ACTIVE\n");
  expect(bell.requests.length).toBe(1);
  await bell.stop();
});
