// Every setting of the schema that is marked `live` has its effect on the running binary after a reload, without a
// restart, and every one that is marked `restart` is announced as needing one.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { parse, stringify } from "yaml";
import { ConfigSchema } from "../../../src/config/schema.ts";
import { askNode } from "../../../src/ops/control.ts";
import { createAuthority, issue } from "../../../src/rehearsal/certificates.ts";
import {
  createApnsKey,
  createApnsToken,
  createServiceAccount,
  seededRandom,
} from "../../../src/rehearsal/credentials.ts";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import { APP, PROJECT } from "../../../src/rehearsal/stage/props.ts";
import { notedKeys } from "../../config/noted-keys.ts";
import { askRaw, type Running, type Scene, setScene, until } from "../helpers.ts";

// biome-ignore lint/suspicious/noExplicitAny: a configuration as an administrator edits it, with or without mistakes
type Plain = any;

const SECOND = "com.example.second";
const CERTIFIED = "com.example.certified";
const QUIET_MS = 600;

let scene: Scene;
let node: Running;
/** What the node runs with before each test. */
let base: Plain;
let proxy: Server;
/** Whom the proxy was asked for; it leads nowhere. */
const asked: string[] = [];

const file = (name: string) => join(scene.directory, name);
const put = (name: string, content: string) => writeFileSync(file(name), content, { mode: 0o600 });

/** Reloads the file with a change; gives the keys that are said to have changed, or to need a restart. */
async function reload(edit: (config: Plain) => void): Promise<readonly { key: string; takes: string }[]> {
  const config = structuredClone(base);
  edit(config);
  writeFileSync(scene.props.configFile, stringify(config, { aliasDuplicateObjects: false }));
  const { ok, changes, problems } = (await askNode(file("control.sock"), "reload")) as Plain;
  if (!ok) throw new Error(JSON.stringify(problems));
  return changes;
}
/** The same with changes that the running node takes over, all of them. */
async function live(edit: (config: Plain) => void): Promise<void> {
  const changes = await reload(edit);
  expect(changes.length).toBeGreaterThan(0);
  expect(changes.filter(({ takes }) => takes !== "live")).toEqual([]);
}
const restored = () => reload(() => {});
const app = (config: Plain) => config.apps[0];

const get = async (path: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${scene.props.urls.registration}${path}`, {
    tls: { ca: scene.props.ca },
    headers,
    keepalive: false,
  });
const discovery = async (): Promise<Plain> => (await get("/v1/discovery")).json();
const metrics = async () => (await fetch(`${scene.props.urls.admin}/metrics`)).text();

let phones = 0;
async function enrolled(platform: "apns" | "fcm", folders: readonly ("inbox" | "calendar")[] = ["inbox"]) {
  phones += 1;
  const phone = scene.addPhone({ platform, mailbox: `box-${phones}`, folders, tellsInbox: true });
  await phone.enrol();
  return phone;
}
const box = (phone: Phone) => scene.exchange.mailbox(phone.mailbox);
const arrives = (phone: Phone, count = 1) =>
  until(
    () => phone.pushes.length >= count,
    () =>
      `${count} rings arrive; ${phone.pushes.length} did, and the node says ${node.lines.slice(-8).join("\n")}`,
  );

/** The certificate that a new connection is shown. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "none");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

beforeAll(async () => {
  proxy = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes: Buffer) => {
      asked.push(bytes.toString("latin1").split(" ")[1] ?? "");
      socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as { readonly port: number };
  scene = await setScene("reload-live");
  base = parse(readFileSync(scene.props.configFile, "utf8"));
  base.egress.proxy = `http://127.0.0.1:${port}`;
  base.egress.no_proxy = ["127.0.0.1"];
  base.log.level = "info";
  writeFileSync(scene.props.configFile, stringify(base));
  node = await scene.up();
}, 60_000);
afterAll(async () => {
  await scene.stop();
  proxy.close();
});

/** The ring fails with the one, is owed, and arrives with the other. */
function mends(platform: "apns" | "fcm", spoil: (config: Plain) => void): () => Promise<void> {
  return async () => {
    const phone = await enrolled(platform);
    await live(spoil);
    box(phone).deliver();
    await until(
      async () => (await metrics()).includes(`inboxbell_provider_paused{app="${APP}",provider="${platform}"`),
      "the app is paused",
    );
    expect(phone.pushes).toHaveLength(0);
    await restored();
    await arrives(phone);
    expect(phone.badge).toBe(1);
  };
}

/** Another certificate at another place is served. */
function serves(listener: "registration" | "exchange"): () => Promise<void> {
  return async () => {
    const renewed = await issue(await createAuthority("Another"), { names: ["localhost", "127.0.0.1"] });
    put(`tls/${listener}-2.pem`, renewed.certificate);
    put(`tls/${listener}-2.key`, renewed.key);
    await live((config) => {
      config.listen[listener].tls = { certificate: `tls/${listener}-2.pem`, key: `tls/${listener}-2.key` };
    });
    const { fingerprint256 } = new X509Certificate(renewed.certificate);
    expect(await shown(scene.props.ports[listener])).toBe(fingerprint256);
  };
}

const LISTED = "192.0.2.0/24";
/** The status line of a request that a proxy passes on for a client; empty where it was turned away. */
async function passedOn(listener: "registration" | "exchange"): Promise<string> {
  const answer = await askRaw(
    scene.props.ports[listener],
    scene.props.ca,
    "GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n",
  );
  return answer.split("\r\n")[0] ?? "";
}
function allows(listener: "registration" | "exchange"): () => Promise<void> {
  return async () => {
    expect(await passedOn(listener)).toContain(" 404 ");
    await live((config) => {
      config.listen[listener].allow = [LISTED];
    });
    expect(await passedOn(listener)).not.toContain(" 404 ");
  };
}
function trusts(listener: "registration" | "exchange"): () => Promise<void> {
  return async () => {
    await reload((config) => {
      config.listen[listener].allow = [LISTED];
    });
    expect(await passedOn(listener)).not.toContain(" 404 ");
    await live((config) => {
      config.listen[listener].allow = [LISTED];
      config.listen[listener].trusted_proxies = ["127.0.0.1"];
    });
    expect(await passedOn(listener)).toContain(" 404 ");
  };
}

const apnsPayload = (phone: Phone): Plain => scene.apns.history(phone.token).at(-1)?.payload;
const lastShown = (phone: Phone): Plain => scene.fcm.history(phone.token).at(-1)?.shown;

/** A second app with its own way to Apple, through the proxy that leads nowhere. */
const second = (apns: Plain): Plain => ({
  id: SECOND,
  apns: { key: { ...app(base).apns.key }, ...apns },
});
async function ringSecond(): Promise<void> {
  const id = crypto.randomUUID();
  const secret = createApnsToken(seededRandom(id)).slice(0, 32);
  const url = `${scene.props.urls.registration}/v1/registrations/${id}`;
  const put = await fetch(url, {
    method: "PUT",
    headers: {
      authorization: `Bearer ${scene.props.enrolmentSecret}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({
      app: SECOND,
      platform: "apns",
      token: createApnsToken(seededRandom(id)),
      secret,
      revision: 1,
      folders: [{ kind: "inbox" }],
    }),
    tls: { ca: scene.props.ca },
  });
  expect(put.status).toBe(201);
  const rung = await fetch(`${url}/ring`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}` },
    tls: { ca: scene.props.ca },
  });
  expect(rung.status).toBe(202);
}

const expiryOf = async () =>
  Number(
    new RegExp(`credential_expiry_seconds\\{name="apns ${CERTIFIED}"\\} (\\S+)`).exec(await metrics())?.[1] ??
      0,
  );

/** By the keys that are shown to be live. */
const CASES: readonly (readonly [keys: readonly string[], shows: () => Promise<void>])[] = [
  [["listen.registration.tls.certificate", "listen.registration.tls.key"], serves("registration")],
  [["listen.exchange.tls.certificate", "listen.exchange.tls.key"], serves("exchange")],
  [["listen.registration.allow"], allows("registration")],
  [["listen.exchange.allow"], allows("exchange")],
  [["listen.registration.trusted_proxies"], trusts("registration")],
  [["listen.exchange.trusted_proxies"], trusts("exchange")],
  [
    ["listen.exchange.shared_route", "subscriptions.unknown_grace"],
    async () => {
      const mailbox = scene.exchange.addMailbox("nobody");
      const subscribe = () =>
        scene.exchange.subscribe({
          mailbox: "nobody",
          folders: ["inbox"],
          eventTypes: ["NewMail"],
          statusFrequencyMinutes: 5,
          url: `${scene.props.urls.exchange}/ews`,
        });
      const ours = () => scene.exchange.subscriptions().filter((each) => each.mailbox === "nobody").length;
      await live((config) => {
        config.listen.exchange.shared_route = "on";
      });
      subscribe();
      mailbox.deliver();
      await scene.exchange.idle();
      await Bun.sleep(1_100);
      mailbox.deliver();
      await scene.exchange.idle();
      expect(ours()).toBe(1);
      await live((config) => {
        config.listen.exchange.shared_route = "on";
        config.subscriptions = { unknown_grace: "1s" };
      });
      mailbox.deliver();
      await scene.exchange.idle();
      await Bun.sleep(1_100);
      mailbox.deliver();
      await until(() => ours() === 0, "the unknown subscription is ended after its grace");
    },
  ],
  [
    ["apps[].id"],
    async () => {
      const ids = async () => (await discovery()).apps.map(({ id }: { readonly id: string }) => id);
      expect(await ids()).toEqual([APP]);
      await live((config) => config.apps.push(second({ url: app(base).apns.url })));
      expect(await ids()).toEqual([APP, SECOND]);
    },
  ],
  [["apps[].apns.key.file"], mends("apns", (config) => (app(config).apns.key.file = "Other.p8"))],
  [["apps[].apns.key.key_id"], mends("apns", (config) => (app(config).apns.key.key_id = "ZZZ123DEFG"))],
  [["apps[].apns.key.team_id"], mends("apns", (config) => (app(config).apns.key.team_id = "ZZZ123DEFG"))],
  [["apps[].apns.topic"], mends("apns", (config) => (app(config).apns.topic = "com.example.other"))],
  [["apps[].apns.url"], mends("apns", (config) => (app(config).apns.url = "https://127.0.0.1:9"))],
  [
    ["apps[].fcm.service_account"],
    mends("fcm", (config) => (app(config).fcm.service_account = "other.json")),
  ],
  [["apps[].fcm.url"], mends("fcm", (config) => (app(config).fcm.url = "https://127.0.0.1:9"))],
  [
    ["apps[].fcm.token_url"],
    mends("fcm", (config) => (app(config).fcm.token_url = "https://127.0.0.1:9/token")),
  ],
  [
    ["apps[].apns.environment", "apps[].apns.port"],
    async () => {
      await live((config) => config.apps.push(second({ environment: "production" })));
      await ringSecond();
      await until(
        () => asked.includes("api.push.apple.com:443"),
        () => `production is asked for; ${asked}`,
      );
      await live((config) => config.apps.push(second({ environment: "sandbox" })));
      await until(
        () => asked.includes("api.sandbox.push.apple.com:443"),
        () => `the sandbox is; ${asked}`,
      );
      await live((config) => config.apps.push(second({ environment: "sandbox", port: 2197 })));
      await until(
        () => asked.includes("api.sandbox.push.apple.com:2197"),
        () => `the other port is; ${asked}`,
      );
    },
  ],
  [
    ["apps[].apns.certificate.file", "apps[].apns.certificate.password_file"],
    async () => {
      const authority = await createAuthority("Apple");
      const days = [100, 200];
      for (const [at, each] of days.entries()) {
        const made = await issue(authority, { names: [CERTIFIED], days: each });
        put(`push-${at}.pem`, `${made.certificate}\n${made.key}`);
        const locked = Bun.spawnSync([
          ...["openssl", "pkcs12", "-export", "-in", file(`push-${at}.pem`), "-out", file(`push-${at}.p12`)],
          ...["-passout", `pass:password ${at}`],
        ]);
        expect(locked.exitCode).toBe(0);
        put(`push-${at}.password`, `password ${at}\n`);
        Bun.spawnSync(["chmod", "0600", file(`push-${at}.p12`)]);
      }
      for (const [at, each] of days.entries()) {
        const certificate = { file: `push-${at}.p12`, password_file: `push-${at}.password` };
        await live((config) => config.apps.push({ id: CERTIFIED, apns: { certificate } }));
        await until(
          async () => Math.abs((await expiryOf()) / 86_400 - each) < 2,
          () => `the certificate of ${each} days is in use`,
        );
      }
    },
  ],
  [
    ["apps[].fcm.data_only"],
    async () => {
      const phone = await enrolled("fcm");
      box(phone).deliver();
      await arrives(phone);
      await live((config) => {
        app(config).fcm.data_only = "on";
      });
      box(phone).deliver();
      await arrives(phone, 2);
      expect(phone.pushes.map(({ visible }) => visible)).toEqual([true, false]);
    },
  ],
  [
    ["apps[].ring"],
    async () => {
      const phone = await enrolled("apns");
      box(phone).deliver();
      await arrives(phone);
      expect(apnsPayload(phone).aps.alert).toBeUndefined();
      await live((config) => {
        app(config).ring = "rich";
      });
      box(phone).deliver();
      await arrives(phone, 2);
      expect(apnsPayload(phone).aps.alert).toBeDefined();
    },
  ],
  [
    ["apps[].ring_folders"],
    async () => {
      const phone = await enrolled("apns");
      await live((config) => {
        app(config).ring_folders = ["calendar"];
      });
      box(phone).deliver();
      await scene.exchange.idle();
      await Bun.sleep(QUIET_MS);
      expect(phone.pushes).toHaveLength(0);
      await restored();
      box(phone).deliver();
      await arrives(phone);
      expect(phone.badge).toBe(2);
    },
  ],
  [
    ["new_messages", "sound", "fcm_title", "fcm_body", "test_ring"].map((name) => `apps[].texts.${name}`),
    async () => {
      const [iphone, android] = [await enrolled("apns"), await enrolled("fcm")];
      await live((config) => {
        app(config).ring = "rich";
        app(config).texts = {
          new_messages: "NEUE_POST",
          sound: "bell.caf",
          fcm_title: "neue_post",
          fcm_body: "neue_post_text",
          test_ring: "PROBE",
        };
      });
      for (const phone of [iphone, android]) {
        box(phone).deliver();
        await arrives(phone);
      }
      expect(apnsPayload(iphone).aps).toMatchObject({ alert: { "loc-key": "NEUE_POST" }, sound: "bell.caf" });
      expect(lastShown(android)).toMatchObject({
        title_loc_key: "neue_post",
        body_loc_key: "neue_post_text",
      });
      await iphone.askForTestRing();
      await arrives(iphone, 2);
      expect(apnsPayload(iphone).aps.alert).toMatchObject({ "loc-key": "PROBE" });
    },
  ],
  [
    ["registration_auth"],
    async () => {
      await live((config) => {
        config.registration_auth[0].file = "next.secret";
      });
      await expect(enrolled("apns")).rejects.toThrow("401");
      await restored();
      await enrolled("apns");
    },
  ],
  [
    ["subscriptions.status_frequency"],
    async () => {
      expect((await discovery()).ews.status_frequency_minutes).toBe(15);
      await live((config) => {
        config.subscriptions = { status_frequency: "5m" };
      });
      expect((await discovery()).ews.status_frequency_minutes).toBe(5);
    },
  ],
  [
    ["retention.idle_registration"],
    async () => {
      const phone = await enrolled("apns");
      const before = (await phone.look()) as Plain;
      await live((config) => {
        config.retention = { idle_registration: "10d" };
      });
      const after = (await phone.look()) as Plain;
      expect(Date.parse(after.renew_before)).toBeLessThan(Date.parse(before.renew_before));
    },
  ],
  [
    ["log.level"],
    async () => {
      const debugLines = () => node.lines.filter((line) => line.includes('"level":"debug"')).length;
      const before = debugLines();
      await live((config) => {
        config.log.level = "debug";
      });
      const phone = await enrolled("apns");
      box(phone).deliver();
      await until(() => debugLines() > before, "lines of the level debug are written");
    },
  ],
];

// Shown with two nodes, in pair-tls-reload.test.ts.
const OF_A_PAIR = ["pair.tls.ca", "pair.tls.certificate", "pair.tls.key"];
// An entry changes as a whole.
const WITHIN = {
  "registration_auth[].type": "registration_auth",
  "registration_auth[].file": "registration_auth",
};

function keysThat(takes: "live" | "restart"): string[] {
  const noted = notedKeys(ConfigSchema, "", takes);
  return [...new Set(noted.map((key) => (WITHIN as Record<string, string>)[key] ?? key))].sort();
}

describe("a running node takes over", () => {
  beforeAll(async () => {
    put("Other.p8", (await createApnsKey(seededRandom("other"))).privateKey);
    put("other.json", JSON.stringify((await createServiceAccount(seededRandom("other"), PROJECT)).file));
    put("next.secret", "the-next-enrolment-secret\n");
  });
  for (const [keys, shows] of CASES) {
    test(keys.join(", "), async () => {
      await restored();
      await shows();
      await restored();
      expect(node.ended()).toBeNull();
    }, 30_000);
  }

  test("nothing besides, of what is marked so", () => {
    expect([...CASES.flatMap(([keys]) => keys), ...OF_A_PAIR].sort()).toEqual(keysThat("live"));
  });
});

describe("a restart is said to be needed for", () => {
  /** Another value of each, that is good. */
  const CHANGES: Readonly<Record<string, (config: Plain) => void>> = {
    node: (config) => (config.node = "another"),
    "public.registration_url": (config) => (config.public.registration_url = "https://other.example"),
    "public.exchange_url": (config) => (config.public.exchange_url = "https://other.example:9443"),
    "listen.registration.address": (config) => (config.listen.registration.address = "127.0.0.2"),
    "listen.registration.port": (config) => (config.listen.registration.port = 20_001),
    "listen.registration.tls": (config) => (config.listen.registration.tls = "off"),
    "listen.registration.proxy_protocol": (config) => {
      config.listen.registration.trusted_proxies = ["127.0.0.1"];
      config.listen.registration.proxy_protocol = "on";
    },
    "listen.exchange.address": (config) => (config.listen.exchange.address = "127.0.0.2"),
    "listen.exchange.port": (config) => (config.listen.exchange.port = 20_002),
    "listen.exchange.tls": (config) => (config.listen.exchange.tls = "off"),
    "listen.exchange.proxy_protocol": (config) => {
      config.listen.exchange.trusted_proxies = ["127.0.0.1"];
      config.listen.exchange.proxy_protocol = "on";
    },
    "listen.admin.address": (config) => (config.listen.admin.address = "127.0.0.2"),
    "listen.admin.port": (config) => (config.listen.admin.port = 20_003),
    "store.path": (config) => (config.store.path = "other.db"),
    "keys.file": (config) => {
      copyFileSync(file("keys.json"), file("other-keys.json"));
      config.keys.file = "other-keys.json";
    },
    "egress.proxy": (config) => (config.egress.proxy = "http://127.0.0.1:9"),
    "egress.proxy_user.name": (config) =>
      (config.egress.proxy_user = { name: "bell", password_file: "next.secret" }),
    "egress.proxy_user.password_file": (config) =>
      (config.egress.proxy_user = { name: "bell", password_file: "next.secret" }),
    "egress.no_proxy": (config) => (config.egress.no_proxy = ["127.0.0.1", ".example"]),
    "egress.ca_file": (config) => (config.egress.ca_file = "tls/reg.pem"),
    "ringing.merge_changes": (config) => (config.ringing = { merge_changes: "5s" }),
    "ringing.stalled_after": (config) => (config.ringing = { stalled_after: "5m" }),
    "control.socket": (config) => (config.control.socket = "other.sock"),
    "log.format": (config) => (config.log.format = "text"),
  };
  // Said of the section as a whole where there was none.
  const SAID: Readonly<Record<string, string>> = {
    "egress.proxy_user.name": "egress.proxy_user",
    "egress.proxy_user.password_file": "egress.proxy_user",
  };
  const PAIR = ["listen.address", "listen.port", "peer", "peer_name", "takeover_after", "alone_after"];

  for (const [key, edit] of Object.entries(CHANGES)) {
    test(key, async () => {
      await restored();
      const said = (await reload(edit)).filter(({ takes }) => takes === "restart");
      expect(said.map((each) => each.key)).toEqual([SAID[key] ?? key]);
      const needed = async () => ((await askNode(file("control.sock"), "status")) as Plain).needsRestart;
      expect(await needed()).toEqual([SAID[key] ?? key]);
      await restored();
      expect(await needed()).toEqual([]);
    }, 30_000);
  }

  test("nothing besides, of what is marked so", () => {
    const all = [...Object.keys(CHANGES), ...PAIR.map((name) => `pair.${name}`)];
    expect(all.sort()).toEqual(keysThat("restart"));
  });
});
