// The PROXY protocol's header, byte by byte: what is a header, what is not, and how far it goes.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalAddress } from "../../src/net/address.ts";
import { type ProxyHeader, readProxyHeader, startsProxyHeader } from "../../src/net/proxy-header.ts";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function version2(command: number, family: number, payload: Buffer, length = payload.length): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8(command, 0);
  fixed.writeUInt8(family, 1);
  fixed.writeUInt16BE(length, 2);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

const line = (text: string) => readProxyHeader(Buffer.from(`${text}\r\n`, "latin1"));
const kind = (bytes: Buffer) => readProxyHeader(bytes).kind;

describe("version 1", () => {
  test.each([
    ["PROXY TCP4 192.0.2.7 10.0.0.1 4711 443", "192.0.2.7"],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255"],
    ["PROXY TCP6 2001:db8::7 2001:db8::1 4711 443", "2001:db8::7"],
    ["PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 1 0", "2001:db8::7"],
    ["PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2", "192.0.2.7"],
    ["PROXY UNKNOWN", null],
    ["PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", null],
  ])("%s", (text, address) => {
    expect(line(text)).toEqual({ kind: "complete", bytes: text.length + 2, address });
  });

  test.each([
    "PROXY",
    "PROXY TCP4",
    "PROXY TCP4 192.0.2.7 10.0.0.1 4711",
    "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 1",
    "PROXY  TCP4 192.0.2.7 10.0.0.1 4711 443",
    "PROXY TCP4 192.0.2.7 10.0.0.1 4711 65536",
    "PROXY TCP4 192.0.2.7 10.0.0.1 -1 443",
    "PROXY TCP4 192.0.2.256 10.0.0.1 4711 443",
    "PROXY TCP4 192.0.2.7 host 4711 443",
    "PROXY TCP4 ::7 ::1 4711 443",
    "PROXY TCP6 192.0.2.7 10.0.0.1 4711 443",
    "PROXY TCP6 fe80::1%1 ::1 4711 443",
    "PROXY UDP4 192.0.2.7 10.0.0.1 4711 443",
    "PROXY UNKNOWNS",
    "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n",
    "proxy TCP4 192.0.2.7 10.0.0.1 4711 443",
    "GET / HTTP/1.1",
  ])("is not: %s", (text) => {
    expect(line(text).kind).toBe("invalid");
  });

  test("is at most 107 bytes long", () => {
    const longest = `PROXY UNKNOWN ${"x".repeat(91)}`;
    expect(line(longest)).toMatchObject({ kind: "complete", bytes: 107 });
    expect(line(`${longest}x`).kind).toBe("invalid");
    expect(kind(Buffer.from(longest))).toBe("incomplete");
    expect(kind(Buffer.from(`${longest}xx`))).toBe("invalid");
  });
});

describe("version 2", () => {
  const four = Buffer.from([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 187]);
  const six = Buffer.concat([Buffer.from(`20010db8${"0".repeat(22)}07`, "hex"), Buffer.alloc(20)]);

  test.each<readonly [string, Buffer, string | null]>([
    ["TCP over IPv4", version2(0x21, 0x11, four), "192.0.2.7"],
    ["TCP over IPv6", version2(0x21, 0x21, six), "2001:db8::7"],
    [
      "further fields after the addresses",
      version2(0x21, 0x11, Buffer.concat([four, Buffer.alloc(300)])),
      "192.0.2.7",
    ],
    ["the proxy's own connection", version2(0x20, 0x00, Buffer.alloc(0)), null],
    ["the proxy's own connection, with addresses", version2(0x20, 0x11, four), null],
    ["the proxy's own connection, of an unknown family", version2(0x20, 0x77, four), null],
    ["no family", version2(0x21, 0x00, Buffer.alloc(7)), null],
    ["a Unix socket", version2(0x21, 0x31, Buffer.alloc(216)), null],
  ])("%s", (_, bytes, address) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: "complete", bytes: bytes.length, address });
  });

  test.each<readonly [string, Buffer]>([
    ["version 1", version2(0x11, 0x11, four)],
    ["version 3", version2(0x31, 0x11, four)],
    ["an unknown command", version2(0x22, 0x11, four)],
    ["a datagram", version2(0x21, 0x12, four)],
    ["an unknown family", version2(0x21, 0x41, four)],
    ["too few bytes for its addresses", version2(0x21, 0x11, four.subarray(0, 11))],
    ["too few bytes for IPv6", version2(0x21, 0x21, four)],
    ["more bytes than any header has", version2(0x21, 0x11, four, 5000)],
  ])("is not: %s", (_, bytes) => {
    expect(kind(bytes)).toBe("invalid");
  });
});

const address4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((each) => each.join("."));
const headers: fc.Arbitrary<{ bytes: Buffer; address: string | null }> = fc.oneof(
  fc.tuple(address4, address4, fc.nat(65_535), fc.nat(65_535)).map(([source, target, from, to]) => ({
    bytes: Buffer.from(`PROXY TCP4 ${source} ${target} ${from} ${to}\r\n`),
    address: source,
  })),
  fc.uint8Array({ minLength: 36, maxLength: 600 }).map((payload) => ({
    bytes: version2(0x21, 0x21, Buffer.from(payload)),
    address: canonicalAddress((Buffer.from(payload).toString("hex", 0, 16).match(/.{4}/g) ?? []).join(":")),
  })),
);

test("every header is read to its own end, whatever follows, and never before it is whole", () => {
  fc.assert(
    fc.property(headers, fc.uint8Array({ maxLength: 50 }), ({ bytes, address }, rest) => {
      const expected: ProxyHeader = { kind: "complete", bytes: bytes.length, address };
      expect(readProxyHeader(Buffer.concat([bytes, rest]))).toEqual(expected);
      for (let end = 0; end < bytes.length; end += 1) expect(kind(bytes.subarray(0, end))).toBe("incomplete");
    }),
  );
});

test("no bytes break the reader, and what it once refused it refuses with more bytes too", () => {
  const nearly = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.concat([SIGNATURE, each])),
    fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.concat([Buffer.from("PROXY "), each])),
    fc.tuple(headers, fc.nat(), fc.nat(255)).map(([{ bytes }, at, value]) => {
      const changed = Buffer.from(bytes);
      changed[at % changed.length] = value;
      return changed;
    }),
  );
  fc.assert(
    fc.property(nearly, (given) => {
      const bytes = Buffer.from(given);
      let isRefused = false;
      let isComplete = false;
      for (let end = 0; end <= bytes.length; end += 1) {
        const header = readProxyHeader(bytes.subarray(0, end));
        if (isRefused) expect(header.kind).toBe("invalid");
        if (isComplete) expect(header.kind).toBe("complete");
        isRefused = header.kind === "invalid";
        isComplete = header.kind === "complete";
        if (header.kind === "complete") expect(header.bytes).toBeLessThanOrEqual(end);
        if (startsProxyHeader(bytes.subarray(0, end)) === "no") expect(isRefused).toBe(true);
      }
    }),
  );
});
