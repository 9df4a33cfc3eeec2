// What an administrator meets when something is wrong before the start: the compiled binary says what and where, and
// what to do; it starts nothing by halves and leaves every file as it was.

import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { CATALOGUE, type ErrorCode } from "../../src/errors.ts";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import {
  freePorts,
  makeProps,
  type Ports,
  type Props,
  writeConfig,
} from "../../src/rehearsal/stage/props.ts";
import { binary, type Ended, freshDirectory, type Running, run, start, untilReady } from "./helpers.ts";

// Nobody listens there: a start does not need Apple and Google.
const NOWHERE = { apns: "https://127.0.0.1:9", fcm: "https://127.0.0.1:9", fcmToken: "https://127.0.0.1:9" };

let template: Props;
const removals: (() => void)[] = [];
const runnings: Running[] = [];

beforeAll(async () => {
  const directory = freshDirectory("good");
  template = await makeProps(directory.path, await freePorts(), randomBytes);
});
afterEach(async () => {
  for (const running of runnings.splice(0)) await running.stop();
  for (const remove of removals.splice(0)) remove();
});
afterAll(() => rmSync(template.directory, { recursive: true }));

/** A directory in which everything is right, until the test changes something. */
async function place() {
  const directory = freshDirectory("bad");
  removals.push(directory.remove);
  cpSync(template.directory, directory.path, { recursive: true });
  const ports: Ports = await freePorts();
  const host = "127.0.0.1";
  const props: Props = {
    ...template,
    directory: directory.path,
    configFile: join(directory.path, "inboxbell.yaml"),
    ports,
    urls: {
      registration: `https://${host}:${ports.registration}`,
      exchange: `https://${host}:${ports.exchange}`,
      admin: `http://${host}:${ports.admin}`,
    },
  };
  writeConfig(props, NOWHERE);
  const path = (name: string) => join(directory.path, name);
  return {
    ports,
    path,
    config: props.configFile,
    change(from: string | RegExp, to: string): void {
      const text = readFileSync(props.configFile, "utf8");
      if (text.search(from) < 0) throw new Error(`not in the configuration: ${from}`);
      writeFileSync(props.configFile, text.replace(from, to));
    },
    /** Starts it once, so that there are a database and keys, and stops it. */
    async runOnce(): Promise<void> {
      const running = await this.up();
      expect((await running.stop()).code).toBe(0);
    },
    async up(): Promise<Running> {
      const running = start([binary, "serve", "--config", props.configFile], { temporary: path("tmp") });
      runnings.push(running);
      await untilReady(running, props.urls.admin);
      return running;
    },
    serve: (prefix: readonly string[] = []) =>
      run([...prefix, binary, "serve", "--config", props.configFile], {
        temporary: path("tmp"),
        limitMs: 15_000,
      }),
    check: (prefix: readonly string[] = []) =>
      run([...prefix, binary, "check", "--config", props.configFile], {
        temporary: path("tmp"),
        limitMs: 15_000,
      }),
  };
}
type Place = Awaited<ReturnType<typeof place>>;

/** Every file with its mode and content, but for what the binary unpacks. */
function filesIn(directory: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of readdirSync(directory, { recursive: true }) as string[]) {
    const path = join(directory, name);
    const stat = statSync(path);
    if (!stat.isFile() || name.startsWith("tmp/")) continue;
    // Of the 64 MB reserve only the size matters.
    const content = name.endsWith(".reserve") ? stat.size : Bun.hash(readFileSync(path));
    files[name] = `${stat.mode.toString(8)} ${content}`;
  }
  return files;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(() => null);
  socket?.end();
  return socket !== null;
}

function expectSentence({ out, err }: Ended): void {
  const text = out + err;
  expect(text).not.toMatch(/^\s+at .*\d|something failed that should not have|\$bunfs|Error:/m);
  expect(text.trim()).not.toBe("");
}

interface Refusal {
  readonly code: ErrorCode;
  /** Texts that name what is wrong. */
  readonly says: readonly string[];
  /** Files that may be there afterwards and were not before. */
  readonly mayMake?: readonly string[];
  /** Ports that belong to somebody else. */
  readonly held?: readonly number[];
  readonly prefix?: readonly string[];
}

/** `serve` ends with 1 and a sentence, and nothing has changed. */
async function expectRefusal(at: Place, refusal: Refusal): Promise<Ended> {
  const before = filesIn(at.path(""));
  const ended = await at.serve(refusal.prefix);
  expect([ended.code, ended.out, ended.err]).toEqual([1, "", expect.stringContaining(`(${refusal.code})`)]);
  expectSentence(ended);
  for (const text of refusal.says) expect(ended.err).toContain(text);
  expect(ended.err).toContain(CATALOGUE[refusal.code].remedy);
  const after = filesIn(at.path(""));
  for (const name of refusal.mayMake ?? []) if (!(name in before)) delete after[name];
  expect(after).toEqual(before);
  expect(existsSync(at.path("control.sock"))).toBe(false);
  for (const port of Object.values(at.ports)) {
    if (refusal.held?.includes(port) !== true) expect(await isOpen(port)).toBe(false);
  }
  return ended;
}

const FIRST_FILES = ["keys.json", "inboxbell.db", "inboxbell.db.reserve"];

// Root reads everything: without these capabilities it is as bound by a file's mode as anybody.
const setpriv = Bun.which("setpriv");
const CAPABILITIES = "-dac_override,-dac_read_search";
const ORDINARY: readonly string[] | null =
  process.getuid?.() !== 0
    ? []
    : setpriv === null
      ? null
      : [setpriv, `--bounding-set=${CAPABILITIES}`, `--inh-caps=${CAPABILITIES}`];

test("everything is right before something is made wrong", async () => {
  const at = await place();
  expect(await at.check()).toMatchObject({ code: 0, out: "The configuration is good.\n" });
  await at.runOnce();
  expect(Object.keys(filesIn(at.path("")))).toEqual(expect.arrayContaining(FIRST_FILES));
  expect(statSync(at.path("keys.json")).mode & 0o777).toBe(0o600);
  expect(statSync(at.path("inboxbell.db")).mode & 0o777).toBe(0o600);
});

describe("the configuration", () => {
  test("that is not there is named", async () => {
    const at = await place();
    rmSync(at.config);
    await expectRefusal(at, { code: "config_unreadable", says: [at.config, "there is no such file"] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([
      1,
      expect.stringMatching(/^\S+inboxbell\.yaml: there is no such file; .*\n1 problem\.\n$/),
    ]);
  });

  test.skipIf(ORDINARY === null)("that may not be read is named (setpriv)", async () => {
    const at = await place();
    chmodSync(at.config, 0);
    const refusal = { code: "config_unreadable", says: [at.config, "this user may not read it"] } as const;
    await expectRefusal(at, { ...refusal, prefix: ORDINARY! });
  });

  test("with an unknown key is told with its place and the key that was meant", async () => {
    const at = await place();
    at.change("registration_url", "registation_url");
    const says = [`${at.config}:4:3: public.registation_url: unknown key; did you mean "registration_url"?`];
    await expectRefusal(at, { code: "config_invalid", says });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(says[0]!)]);
    expectSentence(checked);
  });

  test("with several problems has them all told at once", async () => {
    const at = await place();
    at.change("level: info", "level: loud");
    at.change("ring: badge", "ring: bell");
    at.change("node: rehearsal", "nodes: rehearsal");
    const says = ["3 problems", ":2:1: nodes: unknown key", "apps[0].ring: ", "log.level: "];
    await expectRefusal(at, { code: "config_invalid", says });
    const checked = await at.check();
    expect(checked.code).toBe(1);
    for (const text of ["nodes: unknown key", "apps[0].ring: ", "log.level: ", "3 problems."]) {
      expect(checked.out).toContain(text);
    }
  });

  test("that is no YAML, or empty, is told with a place", async () => {
    const at = await place();
    writeFileSync(at.config, "node: [");
    await expectRefusal(at, { code: "config_invalid", says: [`${at.config}:`] });
    writeFileSync(at.config, "");
    await expectRefusal(at, { code: "config_invalid", says: [`${at.config}:1:1: the file is empty`] });
  });

  test("with a key of a part that is not built is refused by name", async () => {
    const at = await place();
    const text = readFileSync(at.config, "utf8");
    writeFileSync(at.config, text.replace("type: enrolment_secret, file: enrolment.secret", "type: oidc"));
    const says = ["registration_auth[0].type: ", "not available in this version"];
    await expectRefusal(at, { code: "config_invalid", says });
  });

  test("of one of two nodes that has not joined says how to, and makes no keys of its own", async () => {
    const at = await place();
    writeFileSync(at.config, `${readFileSync(at.config, "utf8")}pair: { peer: "bell-b:7443" }\n`);
    await expectRefusal(at, { code: "pair_files", says: [at.path("pair/ca.pem"), "inboxbell pair join"] });
  });
});

describe("a secret", () => {
  const secrets = ["AuthKey.p8", "fcm.json", "enrolment.secret", "tls/reg.key", "tls/ews.key"];
  test.each(secrets)("that everybody can read (%s) is refused, and how to close it is told", async (name) => {
    const at = await place();
    chmodSync(at.path(name), 0o644);
    const says = [at.path(name), `chmod 0600 ${at.path(name)}`];
    await expectRefusal(at, { code: "secret_exposed", says, mayMake: ["keys.json"] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(says[1]!)]);
  });

  test("that is missing is named", async () => {
    const at = await place();
    rmSync(at.path("AuthKey.p8"));
    await expectRefusal(at, {
      code: "secret_unreadable",
      says: [at.path("AuthKey.p8"), "there is no such file"],
    });
  });

  test("that is something else is told without a word of what is in it", async () => {
    const at = await place();
    writeFileSync(at.path("AuthKey.p8"), "hunter2 is the password");
    const ended = await expectRefusal(at, { code: "secret_invalid", says: [at.path("AuthKey.p8")] });
    expect(ended.err).not.toContain("hunter2");
  });

  test.skipIf(ORDINARY === null).each(["AuthKey.p8", "tls/ews.key", "keys.json"])(
    "that the service may not read (%s) is named (setpriv)",
    async (name) => {
      const at = await place();
      await at.runOnce();
      chmodSync(at.path(name), 0);
      const code = name.startsWith("tls/") ? "tls_invalid" : "secret_unreadable";
      await expectRefusal(at, { code, says: [at.path(name)], prefix: ORDINARY! });
    },
  );
});

describe("the key file", () => {
  test("that everybody can read is refused", async () => {
    const at = await place();
    await at.runOnce();
    chmodSync(at.path("keys.json"), 0o644);
    const says = [at.path("keys.json"), "0644", `chmod 0600 ${at.path("keys.json")}`];
    await expectRefusal(at, { code: "secret_exposed", says });
    expect((await at.check()).code).toBe(1);
  });

  test("that is missing beside a database is not made anew", async () => {
    const at = await place();
    await at.runOnce();
    rmSync(at.path("keys.json"));
    await expectRefusal(at, { code: "keys_missing", says: [at.path("keys.json"), at.path("inboxbell.db")] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(at.path("keys.json"))]);
  });

  test("whose directory is missing is told by serve and check alike", async () => {
    const at = await place();
    at.change("file: keys.json", "file: secret/keys.json");
    const sentence = `The directory ${at.path("secret")} of the key file does not exist. Create it and make the service's user its owner.`;
    await expectRefusal(at, { code: "keys_path", says: [sentence] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(`keys.file: ${sentence}\n`)]);
  });

  test("that belongs to another database is refused, and taken again once it is the right one", async () => {
    const [at, other] = [await place(), await place()];
    await at.runOnce();
    await other.runOnce();
    cpSync(at.path("keys.json"), at.path("keys.right"));
    cpSync(other.path("keys.json"), at.path("keys.json"));
    const sentence = `The key file ${at.path("keys.json")} does not belong to the database ${at.path("inboxbell.db")}. Restore the key file that was saved with it.`;
    await expectRefusal(at, { code: "keys_invalid", says: [sentence] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(`keys.file: ${sentence}\n`)]);
    cpSync(at.path("keys.right"), at.path("keys.json"));
    expect((await at.check()).code).toBe(0);
    const running = await at.up();
    // The database is open in the node, and asking about it disturbs nobody.
    expect((await at.check()).code).toBe(0);
    expect(running.ended()).toBeNull();
  });

  test("that is damaged is not replaced", async () => {
    const at = await place();
    await at.runOnce();
    truncateSync(at.path("keys.json"), 100);
    await expectRefusal(at, { code: "keys_invalid", says: [at.path("keys.json")] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(at.path("keys.json"))]);
  });
});

describe("the database", () => {
  test("whose directory is missing is not created somewhere else", async () => {
    const at = await place();
    at.change("inboxbell.db", "data/inboxbell.db");
    const sentence = `The directory ${at.path("data")} of the database does not exist. Create it and make the service's user its owner.`;
    await expectRefusal(at, { code: "store_path", says: [sentence], mayMake: ["keys.json"] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(`store.path: ${sentence}\n`)]);
    mkdirSync(at.path("data"));
    await at.runOnce();
  });

  test.skipIf(ORDINARY === null)("whose directory may not be written is named (setpriv)", async () => {
    const at = await place();
    at.change("inboxbell.db", "data/inboxbell.db");
    mkdirSync(at.path("data"), { mode: 0o500 });
    const says = [at.path("data")];
    await expectRefusal(at, { code: "store_path", says, mayMake: ["keys.json"], prefix: ORDINARY! });
  });

  test("of a newer version is left alone", async () => {
    const at = await place();
    await at.runOnce();
    edit(at.path("inboxbell.db"), "PRAGMA user_version = 999");
    await expectRefusal(at, { code: "store_newer_schema", says: [at.path("inboxbell.db"), "999"] });
  });

  test("that is damaged is left as it is", async () => {
    const at = await place();
    await at.runOnce();
    const path = at.path("inboxbell.db");
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096 + 8, bytes.length - 100);
    writeFileSync(path, bytes);
    await expectRefusal(at, { code: "store_corrupt", says: [path] });
  });

  test("that is no database is left as it is", async () => {
    const at = await place();
    await at.runOnce();
    const path = at.path("inboxbell.db");
    writeFileSync(path, randomBytes(20_000), { mode: 0o600 });
    await expectRefusal(at, { code: "store_corrupt", says: [path] });
  });

  test("of another program is left as it is", async () => {
    const at = await place();
    await at.runOnce();
    const path = at.path("inboxbell.db");
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
    edit(path, "CREATE TABLE bookmarks (url TEXT)");
    await expectRefusal(at, { code: "store_path", says: [path, "another program"] });
  });

  test("that is a directory is named", async () => {
    const at = await place();
    await at.runOnce();
    const path = at.path("inboxbell.db");
    rmSync(path);
    mkdirSync(path);
    await expectRefusal(at, { code: "store_path", says: [path] });
  });

  test("that another process has open is refused, and that process goes on", async () => {
    const at = await place();
    const first = await at.up();
    const sameEverything = await at.serve();
    expect([sameEverything.code, sameEverything.err]).toEqual([1, expect.stringContaining("(store_in_use)")]);
    expectSentence(sameEverything);
    const other = await place();
    other.change("path: inboxbell.db", `path: ${at.path("inboxbell.db")}`);
    cpSync(at.path("keys.json"), other.path("keys.json"));
    const says = [at.path("inboxbell.db"), CATALOGUE.store_in_use.remedy];
    await expectRefusal(other, { code: "store_in_use", says });
    const status = await run([binary, "status", "--socket", at.path("control.sock")]);
    expect([status.code, first.ended()]).toEqual([0, null]);
  });
});

describe("a port that is in use", () => {
  test.each(["registration", "exchange", "admin"] as const)("for the %s listener is named", async (name) => {
    const at = await place();
    const holder = createServer();
    removals.push(() => holder.close());
    await new Promise<void>((resolve) => holder.listen(at.ports[name], "127.0.0.1", resolve));
    const says = [`The ${name} listener`, `127.0.0.1:${at.ports[name]}`, "in use"];
    const held = [at.ports[name]];
    await expectRefusal(at, { code: "listen_in_use", says, held, mayMake: FIRST_FILES });
    // Freed, it starts with the files that the first try made.
    await new Promise((resolve) => holder.close(resolve));
    await at.runOnce();
  });
});

describe("a listener's certificate", () => {
  async function certificate(at: Place, validity: { readonly days: number; readonly now?: number }) {
    const issued = await issue(await createAuthority("a company's own"), {
      names: ["127.0.0.1"],
      ...validity,
    });
    writeFileSync(at.path("tls/ews.pem"), issued.certificate);
    return issued;
  }

  test("that does not belong to the key is told with both files", async () => {
    const at = await place();
    await certificate(at, { days: 90 });
    const says = [at.path("tls/ews.pem"), at.path("tls/ews.key")];
    await expectRefusal(at, { code: "tls_invalid", says, mayMake: ["keys.json"] });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([1, expect.stringContaining(says[0]!)]);
  });

  test("that has expired is a problem for check, and an error line of a node that serves", async () => {
    const at = await place();
    const { key } = await certificate(at, { days: 10, now: Date.now() - 20 * 86_400_000 });
    writeFileSync(at.path("tls/ews.key"), key);
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([
      1,
      expect.stringMatching(/ews\.pem: the certificate expired on \d{4}-/),
    ]);
    // Phones still reach the other listener, and what is owed is still rung.
    const running = await at.up();
    const line = running.lines.find((each) => each.includes("expired on"));
    expect(line).toStartWith('{"level":"error"');
    expect(line).toContain(at.path("tls/ews.pem"));
  });

  test("that expires soon is a warning, and serves", async () => {
    const at = await place();
    const { key } = await certificate(at, { days: 5 });
    writeFileSync(at.path("tls/ews.key"), key);
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([
      0,
      expect.stringMatching(/ews\.pem: the certificate expires on .*\(warning\)/),
    ]);
    await at.runOnce();
  });

  test("that is missing, or no certificate, is named", async () => {
    const at = await place();
    writeFileSync(at.path("tls/ews.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    await expectRefusal(at, { code: "tls_invalid", says: [at.path("tls/ews.pem")], mayMake: ["keys.json"] });
    rmSync(at.path("tls/ews.pem"));
    await expectRefusal(at, { code: "tls_invalid", says: [at.path("tls/ews.pem")], mayMake: ["keys.json"] });
  });
});

describe("the control socket", () => {
  test("whose directory is missing is named", async () => {
    const at = await place();
    at.change("socket: control.sock", "socket: run/control.sock");
    const sentence = `The directory ${at.path("run")} of the control socket does not exist. Create it and make the service's user its owner.`;
    await expectRefusal(at, { code: "control_socket", says: [sentence], mayMake: FIRST_FILES });
    const checked = await at.check();
    expect([checked.code, checked.out]).toEqual([
      1,
      expect.stringContaining(`control.socket: ${sentence}\n`),
    ]);
  });

  test("whose path holds another file leaves that file alone", async () => {
    const at = await place();
    at.change("socket: control.sock", "socket: notes.txt");
    writeFileSync(at.path("notes.txt"), "mine");
    const says = [at.path("notes.txt"), "not a socket"];
    await expectRefusal(at, { code: "control_socket", says, mayMake: FIRST_FILES });
  });

  test("left behind by a killed process is replaced", async () => {
    const at = await place();
    const killed = await at.up();
    killed.kill("SIGKILL");
    await killed.exited;
    expect(existsSync(at.path("control.sock"))).toBe(true);
    await at.runOnce();
    expect(existsSync(at.path("control.sock"))).toBe(false);
  });
});

/** Changes a database from outside, as an administrator or another program might. */
function edit(path: string, sql: string): void {
  const db = new Database(path, { create: true });
  db.exec(sql);
  db.close();
}
