// Rules that concern more than one option, and rules of addresses, blocks and URLs.
import { describe, expect, test } from "bun:test";
import { addressesOverlap, isAddressOrBlock, isLoopbackAddress } from "../../src/config/addresses.ts";
import { changed, GOOD, problemsOf, read } from "./helpers.ts";

const APNS_KEY = "key: { file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ }";

describe("an app", () => {
  test("has a key or a certificate for Apple, not both and not neither", () => {
    expect(problemsOf(changed(APNS_KEY, `${APNS_KEY}, certificate: { file: push.p12 }`)).join()).toContain(
      "apps[0].apns.certificate: expected either key or certificate, found both",
    );
    expect(problemsOf(changed(`, ${APNS_KEY}`, "")).join()).toContain(
      "apps[0].apns: expected key or certificate, found neither",
    );
  });

  test("rings at least one platform", () => {
    const text = GOOD.replace(/ {4}apns: .*\n {4}fcm: .*\n/, "");
    expect(problemsOf(text)).toEqual(["12:5: apps[0]: expected apns, fcm or both, found neither"]);
  });

  test("is listed once", () => {
    const twice = changed(
      "registration_auth:",
      "  - { id: com.example.mail, fcm: { service_account: other.json } }\nregistration_auth:",
    );
    expect(problemsOf(twice).join()).toContain("apps[1].id: the same id as apps[0]");
  });

  test("must be there, and so must a way to register", () => {
    expect(
      problemsOf(GOOD.replace(/apps:[\s\S]+registration_auth/, "apps: []\nregistration_auth")).join(),
    ).toContain("apps: expected at least one entry, found none");
    expect(problemsOf(GOOD.replace(/registration_auth:\n.*\n/, "registration_auth: []\n")).join()).toContain(
      "registration_auth: expected at least one entry, found none",
    );
  });
});

describe("a listener", () => {
  test("is without TLS on a loopback address only", () => {
    const off = GOOD.replace(/tls: \{ certificate: tls\/ews[^}]+\}/, "tls: off");
    expect(problemsOf(off).join()).toContain(
      "listen.exchange.tls: off is allowed on a loopback address only",
    );
    expect(problemsOf(off.replace("address: 0.0.0.0, port: 9443", "address: 127.0.0.1, port: 9443"))).toEqual(
      [],
    );
  });

  test("for administrators is on a loopback address", () => {
    for (const address of ["0.0.0.0", "10.0.0.1", '"::"']) {
      expect(problemsOf(changed("address: 127.0.0.1", `address: ${address}`)).join()).toContain(
        "listen.admin.address: expected a loopback address: off loopback this listener needs TLS and an admin token, which are not available in this version",
      );
    }
    expect(problemsOf(changed("address: 127.0.0.1", 'address: "::1"'))).toEqual([]);
  });

  test("shares its address and port with no other", () => {
    expect(problemsOf(changed("port: 9443", "port: 8443")).join()).toContain(
      "listen.exchange.port: the address and port are those of listen.registration",
    );
    // 0.0.0.0 includes 127.0.0.1.
    expect(problemsOf(changed("port: 9090", "port: 9443")).join()).toContain("those of listen.exchange");
    // Port 0 takes a free one each time.
    expect(problemsOf(GOOD.replace("port: 9443", "port: 0").replace("port: 8443", "port: 0"))).toEqual([]);
  });

  test("that lets every address in is warned about, unless only this machine can reach it", () => {
    const open = changed("allow: [10.1.0.0/16]", "allow: []");
    expect(read(open).warnings.map((one) => `${one.keyPath}: ${one.message}`)).toEqual([
      "listen.exchange.allow: empty: every address may connect",
    ]);
    const local = open.replace("address: 0.0.0.0, port: 9443", "address: 127.0.0.1, port: 9443");
    expect(read(local).warnings).toEqual([]);
  });

  test("takes the PROXY protocol from trusted proxies only, and knows none unless told", () => {
    const on = "trusted_proxies: [], proxy_protocol: on, shared_route: off";
    expect(problemsOf(changed("trusted_proxies: [], shared_route: off", on)).join()).toContain(
      "listen.exchange.proxy_protocol: on needs trusted_proxies beside it",
    );
    const named = on.replace("[]", "[10.0.0.10, 2001:db8::/64]");
    const { config, problems } = read(changed("trusted_proxies: [], shared_route: off", named));
    expect(problems).toEqual([]);
    expect(config?.listen.exchange).toMatchObject({
      trustedProxies: ["10.0.0.10", "2001:db8::/64"],
      proxyProtocol: true,
    });
    const wrong = changed(
      "trusted_proxies: [], shared_route: off",
      "trusted_proxies: [proxy], proxy_protocol: on",
    );
    expect(problemsOf(wrong).join()).toContain("expected an address or a block");
    expect(problemsOf(wrong)).toHaveLength(1);
  });

  test("with the shared route is warned about", () => {
    expect(read(changed("shared_route: off", "shared_route: on")).warnings).toHaveLength(1);
  });
});

describe("a public address", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["http://push.corp.example", "expected https; http is for loopback addresses only"],
    ["https://push.corp.example/path", "a URL here has no path"],
    ["https://push.corp.example/?a=1", "a URL here ends before ? and #"],
    ["https://push.corp.example/#a", "a URL here ends before ? and #"],
    ["https://0.0.0.0:8443", "expected a host that others can reach"],
    ["https://user@push.corp.example", "cannot have a user name or password"],
    ["ftp://push.corp.example", "expected a URL such as https://push.corp.example:8443"],
    ["push.corp.example", "expected a URL such as https://push.corp.example:8443"],
    ["https:push.corp.example", "expected a URL such as https://push.corp.example:8443"],
    ["https://", "expected a URL such as https://push.corp.example:8443"],
  ];
  for (const [url, expected] of refused) {
    test(`${url} is refused`, () => {
      expect(problemsOf(changed("https://push.corp.example", `"${url}"`)).join()).toContain(expected);
    });
  }
  for (const url of [
    "http://127.0.0.1:8443",
    "http://[::1]:8443",
    "http://localhost",
    "https://push.corp.example/",
  ]) {
    test(`${url} is accepted`, () => {
      expect(problemsOf(changed("https://push.corp.example", `"${url}"`))).toEqual([]);
    });
  }
});

test("Apple's address is reached by https only, Google's also by http on loopback", () => {
  const apple = (url: string) =>
    problemsOf(changed("environment: production", `environment: production, url: "${url}"`));
  const google = (url: string) => problemsOf(changed("fcm.json }", `fcm.json, url: "${url}" }`));
  expect(apple("http://127.0.0.1:2197").join()).toContain("apps[0].apns.url: expected https");
  expect(apple("https://127.0.0.1:2197")).toEqual([]);
  expect(google("http://127.0.0.1:2198")).toEqual([]);
  expect(google("http://10.0.0.1:2198").join()).toContain("http is for loopback addresses only");
});

test("the heartbeat asked of Exchange is whole minutes, up to a day", () => {
  const asked = (text: string) => problemsOf(changed("status_frequency: 15m", `status_frequency: ${text}`));
  for (const good of ["1m", "60s", "24h", "1440m", "1d"]) expect(asked(good)).toEqual([]);
  for (const bad of ["90s", "0m", "1441m", "500ms"])
    expect(asked(bad).join()).toContain("expected whole minutes");
});

test("a registration is kept for a day at least", () => {
  expect(problemsOf(changed("60d", "23h")).join()).toContain(
    "retention.idle_registration: expected a duration from 1d",
  );
  expect(problemsOf(changed("60d", "24h"))).toEqual([]);
});

test("a control socket's path fits into a socket address", () => {
  expect(problemsOf(changed("socket: control.sock", `socket: /run/${"x".repeat(120)}`)).join()).toContain(
    "control.socket: the whole path of a socket can have 107 bytes, this one has 125",
  );
});

test("addresses and blocks are told from other texts", () => {
  for (const good of ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8", "::/0", "2001:db8::1/128"]) {
    expect([good, isAddressOrBlock(good)]).toEqual([good, true]);
  }
  for (const bad of [
    "",
    "10.0.0",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/08",
    "10.0.0.0/8/8",
    "::/129",
    "fe80::1%eth0",
    "host",
    "1.2.3.4/-1",
  ]) {
    expect([bad, isAddressOrBlock(bad)]).toEqual([bad, false]);
  }
});

test("loopback is recognised in every notation", () => {
  for (const loopback of ["127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]) {
    expect([loopback, isLoopbackAddress(loopback)]).toEqual([loopback, true]);
  }
  for (const other of ["128.0.0.1", "0.0.0.0", "::", "::2", "::ffff:10.0.0.1", "localhost", ""]) {
    expect([other, isLoopbackAddress(other)]).toEqual([other, false]);
  }
});

test("an address that stands for all overlaps with those it includes", () => {
  expect(addressesOverlap("0.0.0.0", "10.0.0.1")).toBe(true);
  expect(addressesOverlap("::", "10.0.0.1")).toBe(true);
  expect(addressesOverlap("0.0.0.0", "::1")).toBe(false);
  expect(addressesOverlap("10.0.0.1", "10.0.0.2")).toBe(false);
});
