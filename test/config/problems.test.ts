// What an administrator reads about a configuration that is wrong.
import { describe, expect, test } from "bun:test";
import { loadConfig, readConfigText } from "../../src/config/load.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";
import { changed, createWorkshop, GOOD, problemsOf } from "./helpers.ts";

/** The one problem of a configuration. */
function only(text: string): string {
  const problems = problemsOf(text);
  expect(problems).toHaveLength(1);
  return problems[0]!;
}

describe("an unknown key", () => {
  test("is told with file, line, column, path and the nearest key", () => {
    const text = changed("allow: [10.1.0.0/16]", "alow: [10.1.0.0/16]");
    const { problems } = readConfigText(text, "/etc/inboxbell/inboxbell.yaml", {});
    expect(problems.map(formatProblem)).toEqual([
      '/etc/inboxbell/inboxbell.yaml:7:98: listen.exchange.alow: unknown key; did you mean "allow"?',
    ]);
  });

  test("with other case or hyphens finds its key", () => {
    expect(problemsOf(changed("exchange_url", "exchangeUrl")).join()).toContain(
      'did you mean "exchange_url"?',
    );
    expect(problemsOf(changed("exchange_url", "exchange-url")).join()).toContain(
      'did you mean "exchange_url"?',
    );
  });

  test("that is right elsewhere is told where", () => {
    expect(only(changed("node: bell-a", "topic: x"))).toBe(
      '1:1: topic: unknown key; "topic" belongs in apps[].apns',
    );
    expect(only(changed("admin: {", "admin: { retention: 1,"))).toContain(
      '"retention" belongs at the top level',
    );
  });

  test("that resembles nothing gets no guess", () => {
    expect(only(changed("node: bell-a", "console: on"))).toBe("1:1: console: unknown key");
  });

  test("may start with x- at the top level only", () => {
    expect(problemsOf(`x-note: { anything: [1] }\n${GOOD}`)).toEqual([]);
    expect(only(changed("admin: {", "admin: { x-note: 1,"))).toContain(
      "keys starting x- are free at the top level only",
    );
  });

  test("named like a property of every object is still unknown", () => {
    for (const key of ["__proto__", "constructor", "toString"]) {
      expect(only(changed("node: bell-a", `${key}: 1`))).toContain(`${key}: unknown key`);
    }
  });

  test("cannot bring control characters into the terminal", () => {
    expect(only(changed("node: bell-a", '"\\e[31mred": 1'))).not.toContain("\u001b");
  });
});

describe("a value of the wrong kind", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [
      "port: 9443",
      "port: 70000",
      "listen.exchange.port: expected a whole number from 0 to 65535, found 70000",
    ],
    ["port: 9443", "port: -1", "expected a whole number from 0 to 65535, found -1"],
    ["port: 9443", "port: 1.5", "expected a whole number from 0 to 65535, found 1.5"],
    ["port: 9443", 'port: "9443"', "expected a whole number from 0 to 65535, found text; remove the quotes"],
    [
      "allow: [10.1.0.0/16]",
      "allow: 10.1.0.0/16",
      "listen.exchange.allow: expected a list, found text; write it in brackets: [10.1.0.0/16]",
    ],
    [
      "allow: [10.1.0.0/16]",
      "allow: 10.1.0.0/33",
      "listen.exchange.allow: expected a list, found text; write it in brackets, and mind: a prefix of IPv4 is 32 at most",
    ],
    [
      "allow: [10.1.0.0/16]",
      "allow: [10.1.0.0/33]",
      "listen.exchange.allow[0]: expected an address or a block such as 10.1.0.0/16; a prefix of IPv4 is 32 at most",
    ],
    ["allow: [10.1.0.0/16]", 'allow: ["fd00::/129"]', "; a prefix of IPv6 is 128 at most"],
    [
      "allow: [10.1.0.0/16]",
      "allow: [10.1.0.0/255.255.0.0]",
      "write the prefix as a number of bits, such as /16",
    ],
    ["allow: [10.1.0.0/16]", "allow: [ex01.corp.example]", "names are not looked up: write the address"],
    ["{ level: info, format: auto }", "loud", "log: expected a mapping (indented keys), found text"],
    [
      "level: info",
      "level: inof",
      'log.level: expected one of debug, info, warn, error, found "inof"; did you mean "info"?',
    ],
    [
      "shared_route: off",
      "shared_route: maybe",
      'listen.exchange.shared_route: expected on or off, found "maybe"',
    ],
    [
      "key_id: ABC123DEFG",
      "key_id: 1234567890",
      "apps[0].apns.key.key_id: expected Apple's ten capital letters and digits, found a number; put it in quotes",
    ],
    ["unknown_grace: 60m", "unknown_grace: 60", "found 60; add the unit: ms, s, m, h or d"],
    ["unknown_grace: 60m", "unknown_grace: an hour", 'such as 60m, found "an hour"'],
    [
      "idle_registration: 60d",
      "idle_registration: 1h",
      'retention.idle_registration: expected a duration from 1d to 3650d, such as 60d, found "1h"',
    ],
    ["file: data/keys.json", "file: [a]", "keys.file: expected a path, found a list"],
    ["file: data/keys.json", "file: ~", "keys.file: expected a path, found nothing"],
    ["file: data/keys.json", 'file: ""', "keys.file: expected a path, found an empty text"],
    [
      "type: enrolment_secret",
      "type: enrollment_secret",
      'registration_auth[0].type: expected "enrolment_secret", found a different text',
    ],
    ["node: bell-a", "node: bell a", "node: expected 1 to 63 letters, digits, dots, hyphens and underscores"],
    ["address: 0.0.0.0, port: 9443", "address: localhost, port: 9443", 'write "127.0.0.1"'],
    [
      "tls: { certificate: tls/ews.pem, key: tls/ews.key }",
      "tls: on",
      "listen.exchange.tls: expected a mapping with certificate and key, or off",
    ],
  ];
  for (const [from, to, expected] of cases) {
    test(`${to} is told with what was expected`, () => {
      expect(only(changed(from, to))).toContain(expected);
    });
  }

  test("is never repeated: it may be a secret in the wrong place", () => {
    const secret = "hunter2-hunter2-hunter2";
    for (const from of [
      "ABC123DEFG",
      "enrolment_secret",
      "production",
      "https://push.corp.example",
      "10.1.0.0/16",
      "15m",
      "off",
      "port: 9090",
    ]) {
      const to = from.startsWith("port") ? `port: ${secret}` : secret;
      const report = problemsOf(changed(from, to)).join();
      expect(report).not.toBe("");
      expect(report).not.toContain("hunter2");
    }
    expect(problemsOf(changed("https://push", `https://user:${secret}@push`)).join()).not.toContain(
      "hunter2",
    );
  });
});

test("a required key that is missing is told at its section", () => {
  expect(only(changed("  exchange_url: https://bell.corp.example:9443\n", ""))).toBe(
    "3:3: public.exchange_url: missing (What Exchange reaches)",
  );
  expect(only(changed(", tls: { certificate: tls/reg.pem, key: tls/reg.key }", ""))).toContain(
    "listen.registration.tls: missing (TLS)",
  );
});

describe("what this version does not have", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [
      "{ type: enrolment_secret, file: enrolment.secret }",
      "{ type: oidc, issuer: https://idp.corp.example, audience: inboxbell }",
      'registration_auth[0].type: "oidc" is not available in this version',
    ],
    [
      "{ type: enrolment_secret, file: enrolment.secret }",
      "{ type: client_certificate, ca: device-ca.pem }",
      'registration_auth[0].type: "client_certificate" is not available in this version',
    ],
  ];
  for (const [from, to, expected] of cases) {
    test(`${to} is refused as such, and nothing else is said`, () => {
      const { problems } = readConfigText(changed(from, to), "i.yaml", {});
      expect(problems.map(formatProblem).join("\n")).toContain(expected);
      expect(problems.map((one) => one.code)).toEqual(["not_available"]);
    });
  }
});

test("every problem is told at once, from top to bottom", () => {
  const text = GOOD.replace("node: bell-a", "nod: 1")
    .replace("https://push", "http://push")
    .replace("port: 9443", "port: x")
    .replace("ring: badge", "ring: loud")
    .replace("10.1.0.0/16", "10.1.0.0/33")
    .replace("60d", "1h");
  expect(problemsOf(text).map((line) => line.split(": ")[1])).toEqual([
    "nod",
    "public.registration_url",
    "listen.exchange.port",
    "listen.exchange.allow[0]",
    "apps[0].ring",
    "retention.idle_registration",
  ]);
});

test("loading a wrong file throws one error that carries all problems", () => {
  const workshop = createWorkshop();
  try {
    const path = workshop.write("i.yaml", GOOD.replace("node: bell-a", "nod: 1").replace("60d", "1h"));
    loadConfig(path, {});
    throw new Error("it was accepted");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.code).toBe("config_invalid");
    expect(error.problems).toHaveLength(2);
    expect(error.message).toContain("i.yaml has 2 problems:\n");
    expect(error.message).toContain('nod: unknown key; did you mean "node"?');
  } finally {
    workshop.remove();
  }
});
