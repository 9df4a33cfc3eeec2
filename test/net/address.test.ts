// One spelling for each address, and the key under which a client is counted.
import { expect, test } from "bun:test";
import { isIPv6 } from "node:net";
import fc from "fast-check";
import { addressKey, canonicalAddress } from "../../src/net/address.ts";

test("an address has one spelling, however it was written", () => {
  for (const [text, spelled] of [
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
    ["::", "::"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:255.255.255.255", "255.255.255.255"],
  ] as const) {
    expect([text, canonicalAddress(text)]).toEqual([text, spelled]);
  }
});

test("what is no address has none: names, ports, zones, numbers", () => {
  for (const text of [
    "",
    "unknown",
    "host",
    "192.0.2",
    "192.0.2.1:80",
    "[::1]",
    "fe80::1%eth0",
    "::1::",
    "3221225985",
  ]) {
    expect([text, canonicalAddress(text)]).toEqual([text, null]);
  }
});

test("an IPv6 client is counted by its network, an IPv4 client by its address", () => {
  expect(addressKey("192.0.2.1")).toBe("192.0.2.1");
  expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(addressKey("2001:db8:1:2::6")).toBe("2001:db8:1:2::/64");
  expect(addressKey("2001:db8::6")).toBe("2001:db8:0:0::/64");
  expect(addressKey("::1")).toBe("0:0:0:0::/64");
  expect(addressKey("::")).toBe("0:0:0:0::/64");
  expect(addressKey("1::2:3:4:5:6:7")).toBe("1:0:2:3::/64");
});

test("any IPv6 address has the key of its first 64 bits", () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  });
  fc.assert(
    fc.property(groups, (numbers) => {
      const text = numbers.map((each) => each.toString(16)).join(":");
      const spelled = canonicalAddress(text);
      // IPv4 in disguise.
      fc.pre(spelled?.includes(":") === true);
      expect(isIPv6(spelled ?? "")).toBe(true);
      expect(addressKey(spelled ?? "")).toBe(
        `${numbers
          .slice(0, 4)
          .map((each) => each.toString(16))
          .join(":")}::/64`,
      );
    }),
  );
});
