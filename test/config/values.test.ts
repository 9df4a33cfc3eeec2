// What a good configuration means to the program: defaults, paths, durations, switches.
import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { changed, GOOD, problemsOf, read } from "./helpers.ts";

/** Only what is required. */
const SHORTEST = `
public: { registration_url: "https://push.corp.example/", exchange_url: "https://BELL.corp.example:443" }
listen:
  registration: { tls: { certificate: /t/a.pem, key: ../k/a.key } }
  exchange: { tls: { certificate: /t/b.pem, key: /t/b.key } }
apps:
  - { id: com.example.mail, fcm: { service_account: fcm.json } }
registration_auth:
  - { type: enrolment_secret, file: secret }
`;

test("the contract's example means what it says", () => {
  const { config, problems, warnings } = read(GOOD);
  expect(problems).toEqual([]);
  expect(warnings).toEqual([]);
  expect(config).toMatchObject({
    file: "/etc/inboxbell/i.yaml",
    node: "bell-a",
    listen: {
      registration: { port: 8443, allow: ["10.2.0.0/16"] },
      exchange: { port: 9443, sharedRoute: false, tls: { key: "/etc/inboxbell/tls/ews.key" } },
      admin: { address: "127.0.0.1", port: 9090 },
    },
    apps: [
      {
        id: "com.example.mail",
        apns: {
          environment: "production",
          topic: "com.example.mail",
          url: null,
          credential: {
            type: "key",
            file: "/etc/inboxbell/AuthKey.p8",
            keyId: "ABC123DEFG",
            teamId: "DEF123GHIJ",
          },
        },
        ring: "badge",
      },
    ],
  });
});

test("what is left out gets the documented defaults", () => {
  const { config, problems } = read(SHORTEST);
  expect(problems).toEqual([]);
  expect(config).toEqual({
    file: "/etc/inboxbell/i.yaml",
    node: hostname(),
    public: { registrationUrl: "https://push.corp.example", exchangeUrl: "https://bell.corp.example" },
    listen: {
      registration: {
        address: "0.0.0.0",
        port: 8443,
        tls: { certificate: "/t/a.pem", key: "/etc/k/a.key" },
        allow: [],
        trustedProxies: [],
        proxyProtocol: false,
      },
      exchange: {
        address: "0.0.0.0",
        port: 9443,
        tls: { certificate: "/t/b.pem", key: "/t/b.key" },
        allow: [],
        trustedProxies: [],
        proxyProtocol: false,
        sharedRoute: false,
      },
      admin: { address: "127.0.0.1", port: 9090 },
    },
    store: { path: "/var/lib/inboxbell/inboxbell.db" },
    keys: { file: "/var/lib/inboxbell/keys.json" },
    ringing: { mergeChangesMs: 2_000, stalledAfterMs: 120_000 },
    apps: [
      {
        id: "com.example.mail",
        apns: null,
        fcm: { serviceAccount: "/etc/inboxbell/fcm.json", url: null, tokenUrl: null, dataOnly: false },
        ring: "badge",
        ringFolders: ["inbox", "calendar", "other"],
        texts: {
          newMessages: "NEW_MESSAGES",
          sound: "default",
          fcmTitle: "new_messages",
          fcmBody: "new_messages",
          testRing: "TEST_RING",
        },
      },
    ],
    registrationAuth: [{ type: "enrolment_secret", file: "/etc/inboxbell/secret" }],
    egress: { proxy: null, noProxy: [], caFile: null },
    subscriptions: { statusFrequencyMinutes: 15, unknownGraceMs: 3_600_000 },
    retention: { idleRegistrationMs: 5_184_000_000 },
    pair: null,
    control: { socket: "/run/inboxbell/control.sock" },
    log: { level: "info", format: "auto" },
  });
});

test("a section whose options are all commented out counts as left out", () => {
  expect(problemsOf(`${SHORTEST}store:\n  # path: x\nlog:\n`)).toEqual([]);
});

describe("a switch", () => {
  for (const [written, meant] of [
    ["on", true],
    ["off", false],
    ["true", true],
    ["false", false],
  ] as const) {
    test(`written ${written} is ${meant}`, () => {
      const { config } = read(changed("shared_route: off", `shared_route: ${written}`));
      expect(config?.listen.exchange.sharedRoute).toBe(meant);
    });
  }
});

test("tls: off on a loopback address is plain HTTP, whichever YAML version reads it", () => {
  for (const off of ["off", "false"]) {
    const text = GOOD.replace(
      /address: 0\.0\.0\.0, port: 9443, tls: \{[^}]+\}/,
      `address: "::1", port: 9443, tls: ${off}`,
    );
    const { config, problems, warnings } = read(text);
    expect(problems).toEqual([]);
    expect(config?.listen.exchange.tls).toBeNull();
    expect(warnings.map((one) => one.keyPath)).toEqual(["listen.exchange.tls"]);
  }
});

test("overrides of a provider's address and of text keys arrive", () => {
  const { config, problems } = read(
    changed(
      "    ring: badge",
      "    ring: rich\n    ring_folders: [inbox, calendar]\n    texts: { new_messages: N, sound: bell.caf, fcm_title: t, fcm_body: b, test_ring: T }",
    )
      .replace(
        "environment: production",
        "environment: sandbox, topic: com.example.other, url: https://127.0.0.1:2197/",
      )
      .replace(
        "fcm.json }",
        "fcm.json, data_only: on, url: http://127.0.0.1:99, token_url: http://localhost:99/token }",
      ),
  );
  expect(problems).toEqual([]);
  expect(config?.apps[0]).toMatchObject({
    ring: "rich",
    ringFolders: ["inbox", "calendar"],
    apns: { environment: "sandbox", topic: "com.example.other", url: "https://127.0.0.1:2197" },
    fcm: { url: "http://127.0.0.1:99", tokenUrl: "http://localhost:99/token", dataOnly: true },
    texts: { newMessages: "N", sound: "bell.caf", fcmTitle: "t", fcmBody: "b", testRing: "T" },
  });
});

test("a push certificate arrives with its password file", () => {
  const { config } = read(
    GOOD.replace(
      /key: \{ file: AuthKey.p8[^}]+\}/,
      "certificate: { file: push.p12, password_file: push.password }",
    ),
  );
  expect(config?.apps[0]?.apns?.credential).toEqual({
    type: "certificate",
    file: "/etc/inboxbell/push.p12",
    passwordFile: "/etc/inboxbell/push.password",
  });
});

describe("a path", () => {
  // Assembled, because it is text of the configuration and no template of this file.
  const variable = (name: string) => `$\{${name}}`;
  const directory = variable("CREDENTIALS_DIRECTORY");
  const withKeys = (path: string) => changed("file: data/keys.json", `file: "${path}"`);

  test("may start with the credentials directory of systemd", () => {
    const env = { CREDENTIALS_DIRECTORY: "/run/credentials/inboxbell.service" };
    const { config } = read(withKeys(`${directory}/keys`), env);
    expect(config?.keys.file).toBe("/run/credentials/inboxbell.service/keys");
  });

  test("in the credentials directory is an error where systemd gives none", () => {
    expect(problemsOf(withKeys(`${directory}/keys`)).join()).toContain(
      `keys.file: ${directory} is not set; systemd sets it`,
    );
  });

  test("with a variable but without quotes inside of braces is told to have quotes", () => {
    expect(problemsOf(changed("data/keys.json", `${directory}/keys`))).toEqual([
      "10:16: something is here that YAML does not expect; check quotes, brackets and indentation; inside of braces, a path with a variable needs quotes",
    ]);
  });

  test("expands nothing else", () => {
    const only = `only ${directory}, at the start, is expanded`;
    expect(problemsOf(withKeys(`${variable("HOME")}/k`)).join()).toContain(only);
    expect(problemsOf(withKeys(`a/${directory}`)).join()).toContain(only);
    expect(problemsOf(withKeys("~/keys")).join()).toContain("~ is not expanded");
  });
});

describe("a duration", () => {
  for (const [text, ms] of [
    ["1500ms", 1500],
    ["30s", 30_000],
    ["15m", 900_000],
    ["12h", 43_200_000],
    ["2d", 172_800_000],
  ] as const) {
    test(`written ${text} is ${ms} milliseconds`, () => {
      const { config } = read(changed("unknown_grace: 60m", `unknown_grace: ${text}`));
      expect(config?.subscriptions.unknownGraceMs).toBe(ms);
    });
  }
  for (const text of ["60", '"60"', "1.5h", "-1m", "60 m", "1w", "0s", "31d", "60M"]) {
    test(`written ${text} is refused`, () => {
      expect(problemsOf(changed("unknown_grace: 60m", `unknown_grace: ${text}`)).join()).toContain(
        "subscriptions.unknown_grace: expected a duration from 1s to 30d, such as 60m",
      );
    });
  }
});
