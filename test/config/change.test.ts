// What a new configuration changes in a running node, and which keys a node has to be started again for.
import { describe, expect, test } from "bun:test";
import { type Change, compareSettings, type Settings, withRenewal } from "../../src/config/change.ts";
import { takesOf } from "../../src/config/reload-notes.ts";
import { ConfigSchema } from "../../src/config/schema.ts";
import type { Secrets } from "../../src/config/types.ts";
import { changed, GOOD, read } from "./helpers.ts";
import { notedKeys } from "./noted-keys.ts";

const SECRETS: Secrets = {
  apps: new Map([
    [
      "com.example.mail",
      {
        apns: { type: "key", privateKey: "key one", keyId: "ABC123DEFG", teamId: "DEF123GHIJ" },
        fcm: { projectId: "p", clientEmail: "e", privateKey: "k", privateKeyId: "i" },
      },
    ],
  ]),
  enrolmentSecrets: ["enrolment-secret-one"],
  egressCa: null,
  egressProxyPassword: null,
};

function settings(text: string, secrets: Partial<Secrets> = {}): Settings {
  const { config, problems } = read(text);
  if (config === null) throw new Error(JSON.stringify(problems));
  return { config, secrets: { ...SECRETS, ...secrets } };
}

const compare = (from: Settings, to: Settings) => {
  const compared = compareSettings(from, to);
  return { ...compared, told: compared.changes.map(({ key, what, takes }) => `${takes}: ${key} ${what}`) };
};

describe("a new configuration", () => {
  test("that says the same changes nothing", () => {
    const running = settings(GOOD);
    const { changes, settings: after } = compareSettings(running, settings(`# a comment\n${GOOD}`));
    expect(changes).toEqual([]);
    expect(after).toEqual(running);
  });

  test("is taken over where a running node can", () => {
    const cases: readonly (readonly [from: string, to: string, told: string])[] = [
      ["level: info", "level: debug", "log.level changed"],
      ["shared_route: off", "shared_route: on", "listen.exchange.shared_route changed"],
      ["unknown_grace: 60m", "unknown_grace: 5m", "subscriptions.unknown_grace changed"],
      ["status_frequency: 15m", "status_frequency: 5m", "subscriptions.status_frequency changed"],
      ["idle_registration: 60d", "idle_registration: 90d", "retention.idle_registration changed"],
      ["tls/ews.pem", "tls/new.pem", "listen.exchange.tls.certificate changed"],
      ["allow: [10.1.0.0/16]", "allow: []", "listen.exchange.allow removed"],
      [
        "trusted_proxies: [], shared_route",
        "trusted_proxies: [10.0.0.10], shared_route",
        "listen.exchange.trusted_proxies added",
      ],
      ["ring: badge", "ring: rich", "apps[com.example.mail].ring changed"],
      ["key_id: ABC123DEFG", "key_id: ZZZ123DEFG", "apps[com.example.mail].apns.key.key_id changed"],
      ["fcm.json", "other.json", "apps[com.example.mail].fcm.service_account changed"],
      ["    ring: badge", "    ring_folders: [inbox]", "apps[com.example.mail].ring_folders changed"],
      ["    ring: badge", "    texts: { sound: bell.caf }", "apps[com.example.mail].texts.sound changed"],
      ["file: enrolment.secret", "file: other.secret", "registration_auth changed"],
    ];
    for (const [from, to, told] of cases) {
      const next = settings(changed(from, to));
      const compared = compare(settings(GOOD), next);
      expect(compared.told).toEqual([`live: ${told}`]);
      expect(compared.settings.config).toEqual(next.config);
    }
  });

  test("waits for a restart where a running node cannot, and is told again until then", () => {
    const cases: readonly (readonly [from: string, to: string, told: string])[] = [
      ["data/inboxbell.db", "data/other.db", "store.path changed"],
      ["data/keys.json", "data/other.json", "keys.file changed"],
      ["port: 9443,", "port: 9444,", "listen.exchange.port changed"],
      ["node: bell-a", "node: bell-b", "node changed"],
      ["control.sock", "other.sock", "control.socket changed"],
      ["push.corp.example", "phones.corp.example", "public.registration_url changed"],
      ["format: auto", "format: json", "log.format changed"],
      ["node: bell-a\n", "node: bell-a\negress: { ca_file: ca.pem }\n", "egress.ca_file added"],
    ];
    for (const [from, to, told] of cases) {
      const running = settings(GOOD);
      const first = compare(running, settings(changed(from, to)));
      expect(first.told).toEqual([`restart: ${told}`]);
      expect(first.settings).toEqual(running);
      expect(compare(first.settings, settings(changed(from, to))).told).toEqual(first.told);
    }
  });

  test("is taken over in part where only a part can be", () => {
    const running = settings(GOOD);
    const next = settings(changed("level: info, format: auto", "level: warn, format: text"));
    const compared = compare(running, next);
    expect(compared.told).toEqual(["live: log.level changed", "restart: log.format changed"]);
    expect(compared.settings.config.log).toEqual({ level: "warn", format: "auto" });
  });

  test("cannot switch the TLS of a running listener on or off", () => {
    const loopback = changed("address: 0.0.0.0, port: 9443", "address: 127.0.0.1, port: 9443");
    const off = loopback.replace("tls: { certificate: tls/ews.pem, key: tls/ews.key }", "tls: off");
    expect(off).not.toBe(loopback);
    const compared = compare(settings(loopback), settings(off));
    expect(compared.told).toEqual(["restart: listen.exchange.tls removed"]);
    expect(compared.settings.config.listen.exchange.tls).not.toBeNull();
  });
});

describe("apps", () => {
  const second = `  - id: com.example.second\n    apns: { key: { file: B.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ } }\n`;
  const two = GOOD.replace("registration_auth:", `${second}registration_auth:`);

  test("are added and removed without a restart", () => {
    expect(compare(settings(GOOD), settings(two)).told).toEqual(["live: apps[com.example.second] added"]);
    const removed = compare(settings(two), settings(GOOD));
    expect(removed.told).toEqual(["live: apps[com.example.second] removed"]);
    expect(removed.settings.config.apps.map(({ id }) => id)).toEqual(["com.example.mail"]);
  });

  test("are told apart by their ids, not by their order", () => {
    const swapped = GOOD.replace("apps:\n", `apps:\n${second}`);
    expect(compare(settings(two), settings(swapped)).told).toEqual([]);
  });

  test("may change the kind of their APNs credential", () => {
    const certificate = changed(
      "key: { file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ }",
      "certificate: { file: push.p12 }",
    );
    expect(compare(settings(GOOD), settings(certificate)).told).toEqual([
      "live: apps[com.example.mail].apns.certificate changed",
    ]);
  });
});

describe("a file with new content", () => {
  const withApns = (privateKey: string): Partial<Secrets> => {
    const own = SECRETS.apps.get("com.example.mail")!;
    return {
      apps: new Map([
        ["com.example.mail", { ...own, apns: { ...own.apns!, privateKey } as typeof own.apns }],
      ]),
    };
  };

  test("is taken over though the configuration is the same", () => {
    const compared = compare(settings(GOOD), settings(GOOD, withApns("key two")));
    expect(compared.told).toEqual(["live: apps[com.example.mail].apns.key.file renewed"]);
    expect(compared.settings.secrets.apps.get("com.example.mail")?.apns).toMatchObject({
      privateKey: "key two",
    });
    const enrolment = compare(settings(GOOD), settings(GOOD, { enrolmentSecrets: ["enrolment-secret-two"] }));
    expect(enrolment.told).toEqual(["live: registration_auth renewed"]);
    expect(enrolment.settings.secrets.enrolmentSecrets).toEqual(["enrolment-secret-two"]);
  });

  test("is not told twice when another file is named", () => {
    const next = settings(changed("AuthKey.p8", "Other.p8"), withApns("key two"));
    expect(compare(settings(GOOD), next).told).toEqual([
      "live: apps[com.example.mail].apns.key.file changed",
    ]);
  });

  test("waits where its key does", () => {
    const text = changed("node: bell-a\n", "node: bell-a\negress: { ca_file: ca.pem }\n");
    const running = settings(text, { egressCa: "one" });
    const compared = compare(running, settings(text, { egressCa: "two" }));
    expect(compared.told).toEqual(["restart: egress.ca_file renewed"]);
    expect(compared.settings.secrets.egressCa).toBe("one");
  });

  test("is told beside changes of other keys that begin alike", () => {
    const known: Change[] = [{ key: "listen.exchange.tls", what: "added", takes: "restart" }];
    expect(withRenewal(known, "listen.exchange.tls.certificate")).toEqual(known);
    expect(withRenewal([{ ...known[0]!, key: "listen.exchange.t" }], "listen.exchange.tls")).toHaveLength(2);
  });

  test("appears in no change by its content", () => {
    const compared = compareSettings(settings(GOOD), settings(GOOD, withApns("very secret")));
    expect(JSON.stringify(compared.changes)).not.toContain("secret");
  });
});

const FULL = `node: a
public: { registration_url: "https://a.example", exchange_url: "https://b.example" }
listen:
  registration: { address: 127.0.0.1, port: 1, tls: { certificate: a, key: a }, allow: [10.0.0.1] }
  exchange: { address: 127.0.0.1, port: 2, tls: { certificate: a, key: a }, allow: [10.0.0.1], shared_route: off }
  admin: { address: 127.0.0.1, port: 3 }
store: { path: a }
keys: { file: a }
apps:
  - id: a
    apns: { environment: production, topic: a, port: 443, key: { file: a, key_id: ABC123DEFG, team_id: ABC123DEFG } }
    fcm: { service_account: a, data_only: off, url: "https://a.example", token_url: "https://a.example/a" }
    ring: badge
    ring_folders: [inbox]
    texts: { new_messages: a, sound: a, fcm_title: a, fcm_body: a, test_ring: a }
  - id: b
    apns: { url: "https://a.example", certificate: { file: a, password_file: a } }
registration_auth: [{ type: enrolment_secret, file: a }]
egress: { proxy: "http://a.example:1", proxy_user: { name: a, password_file: a }, no_proxy: [a.example], ca_file: a }
ringing: { merge_changes: 1s, stalled_after: 1m }
subscriptions: { status_frequency: 1m, unknown_grace: 1m }
retention: { idle_registration: 1d }
pair:
  listen: { address: 127.0.0.1, port: 4 }
  peer: a.example:1
  peer_name: b
  tls: { ca: a, certificate: a, key: a }
  takeover_after: 5s
  alone_after: 1s
control: { socket: a }
log: { level: info, format: auto }
`;

/** The same shape with every leaf changed. */
function altered(value: unknown, path: readonly string[] = []): unknown {
  if (Array.isArray(value)) {
    const isApps = path.join() === "apps";
    return isApps ? value.map((each) => altered(each, path)) : [...value, "more"];
  }
  if (value === null) return null;
  if (typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value).map(([name, part]) => [name, altered(part, [...path, name])]),
    );
  }
  // The file itself is no key of it; an app's id and a credential's type make it what it is.
  return ["file", "apps,id", "apps,apns,credential,type"].includes(path.join()) ? value : `${value} changed`;
}

test("every key that the schema speaks of is compared under its own name, and every part of the configuration is", () => {
  const running = settings(FULL);
  const next: Settings = { ...running, config: altered(running.config) as Settings["config"] };
  const { changes } = compareSettings(running, next);
  const compared = new Set(changes.map(({ key }) => key.replace(/\[[^\]]*\]/g, "[]")));
  const noted = new Set(notedKeys(ConfigSchema, ""));
  // Leaves only: a section's own note is for when it comes or goes. Lists are compared as a whole.
  for (const part of ["listen.registration.tls", "listen.exchange.tls", "apps[].id"]) noted.delete(part);
  for (const part of ["registration_auth[].type", "registration_auth[].file"]) noted.delete(part);
  noted.add("registration_auth");
  expect([...compared].sort()).toEqual([...noted].sort());
});

test("a key that the schema does not know is not taken over", () => {
  expect(takesOf("listen.exchange.color")).toBe("restart");
  expect(takesOf("apps[com.example.mail].apns.topic")).toBe("live");
});
