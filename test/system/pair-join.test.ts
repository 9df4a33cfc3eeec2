// Two nodes of the compiled binary become a pair by `pair invite` and `pair join` alone, and then work as one.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { isPairStatus, type PairStatus } from "../../src/pair/status.ts";
import { APP, freePorts, makeProps, type Props, writeConfig } from "../../src/rehearsal/stage/props.ts";
import {
  binary,
  type Ended,
  freshDirectory,
  type Running,
  run,
  start,
  until,
  untilReady,
} from "./helpers.ts";

interface Node {
  readonly name: string;
  readonly props: Props;
  /** Of its link. */
  readonly port: number;
  running: Running | null;
}

const ID = "5e4b7d3a-9c21-4f06-8d1e-2b7a6c5d4e3f";
const SECRET = randomBytes(24).toString("base64url");
const directory = freshDirectory("pair");
let a: Node;
let b: Node;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function makeNode(name: string): Promise<Node> {
  const own = join(directory.path, name);
  mkdirSync(own, { mode: 0o700 });
  const props = await makeProps(own, await freePorts(), randomBytes);
  const nobody = `https://127.0.0.1:${await freePort()}`;
  writeConfig(props, { apns: nobody, fcm: nobody, fcmToken: `${nobody}/token` });
  const text = readFileSync(props.configFile, "utf8").replace(
    "node: rehearsal",
    `node: ${name}   # of the test`,
  );
  writeFileSync(props.configFile, text);
  return { name, props, port: await freePort(), running: null };
}

function verb({ props }: Node, ...args: readonly string[]): Promise<Ended> {
  return run([binary, ...args, "--config", props.configFile], { temporary: join(props.directory, "tmp") });
}

async function up(node: Node, isReady = true): Promise<void> {
  const { props } = node;
  const command = [binary, "serve", "--config", props.configFile];
  node.running = start(command, { temporary: join(props.directory, "tmp") });
  if (isReady) await untilReady(node.running, props.urls.admin);
}

async function down(node: Node): Promise<void> {
  await node.running?.stop();
  node.running = null;
}

async function statusOf(node: Node): Promise<PairStatus> {
  const { out, err } = await verb(node, "pair", "status", "--json");
  const status: unknown = JSON.parse(out);
  if (!isPairStatus(status)) throw new Error(`${out} ${err}`);
  return status;
}

/** Asks a node's registration listener. */
function ask(
  { props }: Node,
  method: "PUT" | "GET",
  credential: string,
  ca: string,
  body?: object,
): Promise<Response> {
  return fetch(`${props.urls.registration}/v1/registrations/${ID}`, {
    method,
    headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    tls: { ca },
  });
}

async function isPrimary({ props }: Node): Promise<boolean> {
  return (await fetch(`${props.urls.admin}/primary`)).ok;
}

beforeAll(async () => {
  [a, b] = [await makeNode("bell-a"), await makeNode("bell-b")];
});
afterAll(async () => {
  await Promise.all([down(a), down(b)]);
  directory.remove();
});

describe("two nodes of the binary", () => {
  test("are joined by a code that is given on standard input", async () => {
    await up(a);
    const registered = await ask(a, "PUT", a.props.enrolmentSecret, a.props.ca, {
      app: APP,
      platform: "apns",
      token: "ab".repeat(32),
      secret: SECRET,
      revision: 1,
      folders: [{ kind: "inbox" }],
    });
    expect([registered.status, await registered.text()]).toEqual([201, expect.any(String)]);

    const inviting = Bun.spawn(
      [binary, "pair", "invite", "--config", a.props.configFile, "--address", `127.0.0.1:${a.port}`],
      {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, BUN_TMPDIR: join(a.props.directory, "tmp") },
      },
    );
    let screen = "";
    const shown = (async () => {
      for await (const text of inviting.stdout.pipeThrough(new TextDecoderStream())) screen += text;
    })();
    await until(
      () => screen.includes("Waiting."),
      () => `it invites; it said ${screen}`,
    );
    const [code = ""] = /^[0-9A-Z]{5}-[0-9A-Z-]+$/m.exec(screen) ?? [];

    const joining = Bun.spawn(
      [
        binary,
        "pair",
        "join",
        "-",
        "--yes",
        "--config",
        b.props.configFile,
        "--address",
        `127.0.0.1:${b.port}`,
      ],
      {
        stdin: new Blob([code]),
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, BUN_TMPDIR: join(b.props.directory, "tmp") },
      },
    );
    const [out, err] = await Promise.all([
      new Response(joining.stdout).text(),
      new Response(joining.stderr).text(),
    ]);
    expect([await joining.exited, err]).toEqual([0, ""]);
    expect(out).toContain("enrolment.secret.before-join");
    expect(await inviting.exited).toBe(0);
    await shown;
    expect(screen).toContain("bell-b has joined");
    const text = readFileSync(a.props.configFile, "utf8");
    expect(text).toContain("node: bell-a   # of the test");
    expect(text).toContain("peer_name: bell-b");
    for (const node of [a, b]) expect([node.name, (await verb(node, "check")).code]).toEqual([node.name, 0]);
  });

  test("are a protected pair with one active node once both are started, first node first", async () => {
    await down(a);
    for (const node of [a, b]) {
      // The listener of the link has its usual port unless told otherwise; here both are on one machine.
      const text = readFileSync(node.props.configFile, "utf8");
      expect(text).toContain(`port: ${node.port}`);
    }
    await up(a);
    await up(b);
    await until(
      async () => (await statusOf(a)).protected && (await statusOf(b)).protected,
      "both say that the pair is protected",
    );
    const [here, there] = [await statusOf(a), await statusOf(b)];
    expect([here.here.role, there.here.role].sort()).toEqual(["active", "passive"]);
    expect([here.here.seeding, there.here.seeding]).toEqual(["seeded", "seeded"]);
    expect([here.peer?.name, there.peer?.name]).toEqual(["bell-b", "bell-a"]);
    expect([await isPrimary(a), await isPrimary(b)].sort()).toEqual([false, true]);
    const { code, out } = await verb(b, "pair", "status");
    expect([code, out.split("\n")[0]]).toEqual([
      0,
      "PROTECTED: everything that was answered is on both nodes.",
    ]);
  });

  test("know the phones of the first one on both, with the first one's keys and certificates", async () => {
    for (const node of [a, b]) {
      const answer = await ask(node, "GET", SECRET, a.props.ca);
      expect([node.name, answer.status]).toEqual([node.name, 200]);
    }
  });

  test("change roles when they are told to", async () => {
    const before = (await statusOf(a)).here.role;
    const { code, err } = await verb(b, "pair", "switch");
    expect([code, err]).toEqual([0, ""]);
    await until(async () => (await statusOf(a)).here.role !== before, "the roles have changed");
    expect([await isPrimary(a), await isPrimary(b)].sort()).toEqual([false, true]);
    // The one that is active now is not switched to again.
    const again = await verb(before === "active" ? b : a, "pair", "switch", "--here", "--json");
    expect([again.code, (JSON.parse(again.out) as { result: string }).result]).toEqual([0, "already"]);
  });

  test("are not invited on a port that the link holds, with words that say what to do", async () => {
    const { code, err } = await verb(a, "pair", "invite", "--valid", "1s");
    expect([code, err]).toEqual([1, expect.stringContaining("--port")]);
    const elsewhere = await verb(a, "pair", "invite", "--valid", "1s", "--port", "0");
    expect([elsewhere.code, elsewhere.err]).toEqual([1, expect.stringContaining("has expired")]);
  });

  test("go on as single nodes when one is told to forget the other, which asks first", async () => {
    const unasked = await verb(a, "pair", "forget");
    expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining("--yes")]);
    await down(b);
    expect((await verb(a, "pair", "forget", "--yes")).code).toBe(0);
    const status = await verb(a, "pair", "status");
    expect([status.code, status.out]).toEqual([1, expect.stringContaining("bell-a is a single node")]);
    expect(await isPrimary(a)).toBe(true);
  });
});
