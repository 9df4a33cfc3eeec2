// The verbs about single phones, and backup and restore, with the compiled binary among simulated Exchange, APNs, FCM
// and phones: what an administrator is told, and that a restored node harms nobody.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/migrations.ts";
import { binary, type Ended, type PhoneWish, type Running, type Scene, setScene, until } from "./helpers.ts";

let scene: Scene;
let appliance: Running;

beforeAll(async () => {
  scene = await setScene("phones");
  appliance = await scene.up();
});
afterAll(() => scene.stop());

const verb = (...args: string[]) => {
  const [name = "", ...rest] = args;
  return scene.verb(name, ...rest, "--config", scene.props.configFile);
};

/** Runs a verb with something on its standard input. */
async function piped(input: string, ...args: string[]): Promise<Ended> {
  const child = Bun.spawn([binary, ...args, "--config", scene.props.configFile], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, BUN_TMPDIR: join(scene.directory, "tmp") },
  });
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out, err };
}

async function enrolled(mailbox: string, wish: Partial<PhoneWish> = {}): Promise<Phone> {
  const phone = scene.addPhone({ platform: "apns", mailbox, tellsInbox: true, ...wish });
  await phone.enrol();
  return phone;
}

async function rung(mailbox: string, wish: Partial<PhoneWish> = {}): Promise<Phone> {
  const phone = await enrolled(mailbox, wish);
  scene.exchange.mailbox(mailbox).deliver();
  await shows(phone, 1);
  return phone;
}

const shows = (phone: Phone, badge: number) =>
  until(
    () => phone.badge === badge,
    () => `${phone.name} shows ${badge}; it shows ${phone.badge}`,
  );
const subscribed = (mailbox: string) =>
  scene.exchange.subscriptions().filter((each) => each.mailbox === mailbox).length;
const why = (phone: Phone) => verb("why", phone.registrationId);

describe("why", () => {
  test("tells of a phone that was never heard where to look, and exits with 0", async () => {
    const phone = await enrolled("anna");
    const { code, out, err } = await why(phone);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^The phone is registered, but Exchange has never been heard for it/);
    expect(out).toContain("docs/exchange.md");
  });

  test("tells of a phone that was rung that the cause lies behind Apple, whose word it has", async () => {
    const phone = await rung("berta");
    await until(async () => (await why(phone)).out.includes("Nothing is owed"), "the ring is noted");
    const { code, out } = await why(phone);
    expect(code).toBe(0);
    expect(out).toMatch(/^The phone was rung \(new mail, \d+ s ago\) and Apple took it\./);
    expect(out).toMatch(/^app +com\.example\.mail on apns \(Apple\)$/m);
    expect(out).toMatch(/^folder inbox +live, Exchange last heard \d+ s ago$/m);
    expect(out).toMatch(/^news +\d+ s ago, unread count 1$/m);
    expect(out).toMatch(/^owed +nothing$/m);
    expect(out).toContain("docs/phone.md");
    expect(out).not.toContain(phone.token);
  });

  test("--json gives facts and answer, without a token", async () => {
    const phone = await rung("carla", { platform: "fcm" });
    const { code, out } = await verb("why", phone.registrationId, "--json");
    expect(code).toBe(0);
    expect(out).not.toContain(phone.token);
    expect(JSON.parse(out)).toMatchObject({
      offline: false,
      phones: [
        {
          verdict: expect.any(String),
          next: expect.any(String),
          facts: {
            registrationId: phone.registrationId,
            standing: "present",
            phone: { app: "com.example.mail", platform: "fcm", state: "live" },
            newsAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          },
        },
      ],
    });
  });

  test("finds a phone by its device token or its SubscriptionId on standard input", async () => {
    const phone = await rung("dora");
    const [subscription] = scene.exchange.subscriptions().filter(({ mailbox }) => mailbox === "dora");
    // As Apple's tools print a token.
    const printed = `<${phone.token
      .toUpperCase()
      .replace(/(.{8})/g, "$1 ")
      .trim()}>\n`;
    for (const given of [`${phone.token}\n`, printed, subscription!.id, phone.registrationId]) {
      const { code, out } = await piped(given, "why", "-");
      expect([code, out]).toEqual([0, expect.stringContaining(phone.registrationId)]);
    }
    const unknown = await piped(`${"ab".repeat(32)}\n`, "why", "-");
    expect([unknown.code, unknown.out]).toEqual([1, expect.stringContaining("No registration holds")]);
    expect((await piped("", "why", "-")).code).toBe(2);
  });

  test("refuses a token as an argument without repeating it, and says how to give it", async () => {
    const phone = await enrolled("emil");
    const { code, out, err } = await verb("why", phone.token);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain("standard input");
    expect(err).not.toContain(phone.token);
  });

  test("tells of an id that nobody knows, and exits with 1", async () => {
    const { code, out } = await verb("why", "00000000-0000-4000-8000-000000000000");
    expect([code, out]).toEqual([1, expect.stringContaining("No registration has this id.")]);
  });

  test("tells of a phone whose token Apple does not know that its app has to be opened", async () => {
    const phone = await rung("fred");
    scene.apns.devices.forget(phone.token);
    scene.exchange.mailbox("fred").deliver();
    await until(
      async () => (await why(phone)).out.startsWith("This phone is not rung"),
      "the token is judged",
    );
    const { out } = await why(phone);
    expect(out).toContain("does not know the token");
    expect(out).toContain("Open the app");
    const ring = await verb("ring", phone.registrationId, "--wait", "5s");
    expect([ring.code, ring.out]).toEqual([1, expect.stringContaining("open the app")]);
  });

  test("tells of a paused app since when, why, and what to do; the ring stays owed", async () => {
    const phone = await rung("gina");
    const text = readFileSync(scene.props.configFile, "utf8");
    writeFileSync(scene.props.configFile, text.replace(/team_id: \w+/, "team_id: AAAAAAAAAA"));
    expect((await verb("reload")).code).toBe(0);
    scene.exchange.mailbox("gina").deliver();
    await until(async () => (await why(phone)).out.includes("is paused since"), "the app is paused");
    const { out } = await why(phone);
    expect(out).toMatch(/^A ring is owed since .* and waits: all of com\.example\.mail on apns is paused/);
    expect(out).toContain("key_id and team_id must belong together");
    expect(out).toMatch(/^owed +new mail for \d+ s, the unread count/m);
    const ring = await verb("ring", phone.registrationId, "--wait", "300ms");
    expect([ring.code, ring.out]).toEqual([1, expect.stringContaining("It waits: all of com.example.mail")]);
    const owed = await verb("registrations", "--owed", "--json");
    expect((JSON.parse(owed.out) as { registrations: unknown[] }).registrations).toEqual([
      expect.objectContaining({ registrationId: phone.registrationId }),
    ]);
    writeFileSync(scene.props.configFile, text);
    expect((await verb("reload")).code).toBe(0);
    await shows(phone, 2);
  });
});

describe("ring", () => {
  test("follows a test ring to Apple's and to Google's acceptance", async () => {
    for (const platform of ["apns", "fcm"] as const) {
      const phone = await enrolled(`ring-${platform}`, { platform });
      const { code, out } = await verb("ring", phone.registrationId);
      expect([code, out]).toEqual([0, expect.stringMatching(/^Accepted: (Apple|Google) accepted the ring/)]);
      expect(phone.pushes.map(({ reason }) => reason)).toEqual(["test"]);
    }
  });

  test("says that a phone rung too often waits for its allowance", async () => {
    const phone = await enrolled("hugo");
    const codes: (number | string)[] = [];
    for (let n = 0; n < 6; n++) codes.push((await verb("ring", phone.registrationId)).code);
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
    const { code, out } = await verb("ring", phone.registrationId, "--wait", "0ms");
    expect([code, out]).toEqual([1, expect.stringContaining("allowance")]);
  }, 60_000);

  test("of an unknown id ends with 1 and a code for scripts", async () => {
    const unknown = await verb("ring", "00000000-0000-4000-8000-000000000000", "--json");
    expect([unknown.code, JSON.parse(unknown.out)]).toEqual([
      1,
      expect.objectContaining({ code: "registration_unknown" }),
    ]);
  });
});

describe("registrations", () => {
  test("lists them in parts, and by app, platform and state", async () => {
    const all = await verb("registrations", "--json");
    const lines = (JSON.parse(all.out) as { registrations: { registrationId: string }[] }).registrations;
    expect(lines.length).toBeGreaterThan(5);
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await verb(
        "registrations",
        "--json",
        "--limit",
        "4",
        ...(after === null ? [] : ["--after", after]),
      );
      const part = JSON.parse(page.out) as {
        registrations: { registrationId: string }[];
        next: string | null;
      };
      seen.push(...part.registrations.map(({ registrationId }) => registrationId));
      after = part.next;
      if (after === null) break;
    }
    expect(seen).toEqual(lines.map(({ registrationId }) => registrationId));
    const fcm = await verb("registrations", "--platform", "fcm", "--state", "live");
    expect(fcm.out).toMatch(/^REGISTRATION +APP +PLATFORM/);
    expect(fcm.out).toMatch(/com\.example\.mail +fcm +live/);
    expect(fcm.out).not.toContain("apns");
    const dead = await verb("registrations", "--state", "dead");
    expect(dead.out.match(/BadDeviceToken/g)).toHaveLength(1);
    expect((await verb("registrations", "--app", "none")).out).toBe("No such registrations.\n");
    expect((await verb("registrations", "--state", "wild")).code).toBe(2);
  });
});

describe("forget", () => {
  test("ends a registration for good: Exchange is told Unsubscribe, and the app makes a new id", async () => {
    const phone = await rung("ines");
    const asked = await verb("forget", phone.registrationId);
    expect([asked.code, asked.err]).toEqual([2, expect.stringContaining("--yes")]);
    const { code, out } = await piped(phone.token, "forget", "-", "--yes");
    expect([code, out]).toEqual([0, expect.stringContaining(`Deleted ${phone.registrationId}`)]);
    scene.exchange.mailbox("ines").deliver();
    await until(() => subscribed("ines") === 0, "Exchange was told Unsubscribe");
    const told = await why(phone);
    expect([told.code, told.out]).toEqual([0, expect.stringContaining("Its id is spent for good")]);
    expect((await verb("forget", phone.registrationId, "--yes")).out).toContain("deleted before");
    const log = appliance.lines.join("\n");
    expect(log).toContain("A registration was deleted by an administrator.");
    expect(log).not.toContain(phone.registrationId);
    const spent = phone.registrationId;
    await phone.enrol();
    expect(phone.registrationId).not.toBe(spent);
  });
});

describe("backup and restore", () => {
  const file = (name: string) => join(scene.directory, name);
  const secret = () => ["--passphrase-file", file("passphrase")];
  const backup = (name: string) => verb("backup", file(name), ...secret());
  const restore = (name: string) => verb("restore", file(name), ...secret());
  let phone: Phone;
  let later: Phone;

  test("a backup is written while notifications arrive, and nothing can be read in it", async () => {
    writeFileSync(file("passphrase"), "correct horse battery\n", { mode: 0o600 });
    phone = await rung("jan");
    const box = scene.exchange.mailbox("jan");
    const writing = backup("bell.backup");
    for (let n = 0; n < 5; n++) box.deliver();
    const { code, out } = await writing;
    expect([code, out]).toEqual([0, expect.stringContaining("It was read back and is on the disk.")]);
    await shows(phone, 6);
    expect(statSync(file("bell.backup")).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(file("bell.backup")).toString("latin1");
    for (const text of ["SQLite", "com.example.mail", "lookup", phone.registrationId.replaceAll("-", "")]) {
      expect(bytes).not.toContain(text);
    }
    expect(
      readdirSync(scene.directory).filter((name) => name.includes(".copy-") || name.endsWith(".partial")),
    ).toEqual([]);
    const again = await backup("bell.backup");
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("exists already")]);
  });

  test("is refused while the node runs", async () => {
    const { code, err } = await restore("bell.backup");
    expect([code, err]).toEqual([1, expect.stringContaining("(store_in_use)")]);
    expect(appliance.ended()).toBeNull();
  });

  test("a node that lost everything is restored, rings its phones again and ends nothing wrongly", async () => {
    // What the backup does not know: a phone with a new token and a new subscription, and a new phone.
    const oldToken = phone.token;
    await phone.changeToken(scene.newToken("apns"));
    await phone.enrol();
    // Apple has no more use for the old token, which is the only one that the backup knows.
    scene.apns.devices.unregister(oldToken, Date.now());
    const newest = () => scene.exchange.subscriptions().filter(({ mailbox }) => mailbox === "jan");
    const alive = newest().at(-1)!.id;
    later = await rung("kurt", { platform: "fcm" });
    expect((await appliance.stop()).code).toBe(0);
    for (const name of readdirSync(scene.directory)) {
      if (/^(?:inboxbell\.db|keys\.json)/.test(name)) rmSync(file(name));
    }
    const wrong = file("wrong");
    writeFileSync(wrong, "wrong horse battery\n", { mode: 0o600 });
    const refused = await verb("restore", file("bell.backup"), "--passphrase-file", wrong);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("(backup_passphrase)")]);
    const { code, out } = await restore("bell.backup");
    expect([code, out]).toEqual([0, expect.stringContaining("Restored the backup of")]);
    expect(readdirSync(scene.directory).filter((name) => /restor/.test(name))).toEqual([]);

    const rings = phone.pushes.length;
    appliance = await scene.up();
    expect(appliance.lines.join("\n")).toContain("The database was restored from a backup");
    scene.exchange.mailbox("jan").deliver();
    scene.exchange.mailbox("kurt").deliver();
    await until(async () => (await why(phone)).out.includes("the app is gone"), "the old token is judged");
    // Both subscriptions are newer than the backup, and live: what Apple says of the old token ends none of them.
    scene.exchange.mailbox("jan").deliver();
    await scene.exchange.idle();
    expect(newest().map(({ id }) => id)).toContain(alive);
    expect(subscribed("kurt")).toBe(1);
    await phone.renew();
    await until(() => phone.pushes.length > rings, "the phone is rung at its new token");
    await shows(phone, 8);
    await later.renew();
    await shows(later, 2);
    expect(scene.violations()).toEqual([]);
  });

  test("every phone is rung once more after a restore, and what was there before is kept", async () => {
    await until(
      async () => !/ [1-9]\d* rings/.test((await verb("status")).out),
      "nothing is owed",
      5_000,
    ).catch(() => {});
    expect((await appliance.stop()).code).toBe(0);
    const offline = await backup("offline.backup");
    expect([offline.code, offline.out]).toEqual([0, expect.stringContaining("No node is running")]);
    const { code, out } = await verb("restore", file("offline.backup"), ...secret(), "--json");
    expect(code).toBe(0);
    const { aside } = JSON.parse(out) as { aside: string[] };
    // The key file was the same.
    expect(aside).toEqual([expect.stringMatching(/inboxbell\.db\.before-restore-\d{8}T\d{6}Z$/)]);
    expect(statSync(aside[0]!).size).toBeGreaterThan(0);
    const rings = scene.apns.requests().length + scene.fcm.history(later.token).length;
    appliance = await scene.up();
    // One after another within half an hour: those whose turn has not come are owed.
    const { out: list } = await verb("registrations", "--owed", "--json");
    const owed = (JSON.parse(list) as { registrations: unknown[] }).registrations.length;
    const rung = scene.apns.requests().length + scene.fcm.history(later.token).length - rings;
    expect(owed + rung).toBeGreaterThanOrEqual(2);
  });
});

describe("without a running node", () => {
  test("why and registrations read the database and say so; ring and forget need the node", async () => {
    expect((await appliance.stop()).code).toBe(0);
    const [line] = (
      JSON.parse((await verb("registrations", "--json", "--limit", "1")).out) as {
        registrations: { registrationId: string }[];
      }
    ).registrations;
    const id = line!.registrationId;
    const told = await verb("why", id);
    expect([told.code, told.out]).toEqual([0, expect.stringContaining("No node is running")]);
    for (const [name, ...more] of [["ring"], ["forget", "--yes"]] as const) {
      const { code, err } = await verb(name, id, ...more);
      expect([name, code, err]).toEqual([name, 1, expect.stringContaining("(not_running)")]);
    }
    const left = readdirSync(scene.directory).filter((name) => /^inboxbell\.db-/.test(name));
    expect(left).toEqual([]);
  });

  test("migrate --dry-run says that there is nothing to do, and leaves nothing behind", async () => {
    const before = readFileSync(join(scene.directory, "inboxbell.db"));
    const { code, out } = await verb("migrate", "--dry-run");
    expect([code, out]).toEqual([0, expect.stringContaining("Nothing to do")]);
    expect(readFileSync(join(scene.directory, "inboxbell.db")).equals(before)).toBe(true);
    expect(readdirSync(scene.directory).filter((name) => name.includes(".copy-"))).toEqual([]);
  });

  test("migrate tries an older database on a copy, then does it, and the node runs with it", async () => {
    const path = join(scene.directory, "inboxbell.db");
    rmSync(path);
    const first = MIGRATIONS[0]!;
    const db = new Database(path);
    db.exec(first.sql);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${first.number}`);
    db.close();
    const asked = await verb("why", "00000000-0000-4000-8000-000000000000");
    expect([asked.code, asked.err]).toEqual([1, expect.stringContaining("(store_old_schema)")]);
    const tried = await verb("migrate", "--dry-run", "--json");
    expect([tried.code, JSON.parse(tried.out)]).toEqual([
      0,
      expect.objectContaining({ dryRun: true, from: 1, to: MIGRATIONS.length }),
    ]);
    const schema = () => {
      const opened = new Database(path);
      const version: unknown = opened.pragma("user_version", { simple: true });
      opened.close();
      return version;
    };
    expect(schema()).toBe(1);
    const done = await verb("migrate");
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("Done in")]);
    for (const { what } of MIGRATIONS.slice(1)) expect(done.out).toContain(what);
    expect(schema()).toBe(MIGRATIONS.length);
    appliance = await scene.up();
    const running = await verb("migrate");
    expect([running.code, running.err]).toEqual([1, expect.stringContaining("(store_in_use)")]);
  });
});
