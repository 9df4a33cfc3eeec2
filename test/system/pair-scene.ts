// Two nodes of the compiled binary on loopback, as a pair, with simulated Exchange, APNs, FCM and phones around them.
// What Exchange posts goes through a front that a test points at either node.
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeys, writeKeyFile } from "../../src/keys/key-file.ts";
import { askNode } from "../../src/ops/control.ts";
import { isPairStatus, PAIR_VERBS, type PairStatus } from "../../src/pair/status.ts";
import { freePorts } from "../../src/rehearsal/stage/props.ts";
import { createAuthority, nodeCertificate } from "../pair/certificates.ts";
import { createRelay, type Relay } from "../pair/relay.ts";
import { binary, type Running, type Scene, setScene, start, until } from "./helpers.ts";

export interface PairNode {
  readonly name: string;
  readonly directory: string;
  readonly configFile: string;
  readonly ports: { readonly registration: number; readonly exchange: number; readonly admin: number };
  readonly socket: string;
  /** The process of the moment. */
  running: Running;
  /** Starts the binary and waits until it answers on its control socket. */
  up(): Promise<void>;
  kill(): Promise<void>;
  ask(verb: string, input?: unknown): Promise<unknown>;
  status(): Promise<PairStatus>;
  /** Status and body of a GET at its admin listener. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>;
}

export interface PairScene extends Scene {
  readonly a: PairNode;
  readonly b: PairNode;
  /** What phones reach, and what Exchange reaches. */
  readonly fronts: { readonly registration: Relay; readonly exchange: Relay };
  /** Points both fronts at a node. */
  turnTo(node: PairNode): void;
  /** Which node is active, and the other one. */
  roles(): Promise<{ readonly active: PairNode; readonly passive: PairNode }>;
  /** Starts both, the first one's empty database being the first, and waits until both are ready and protected. */
  begin(): Promise<void>;
}

export async function setPairScene(title: string): Promise<PairScene> {
  const fronts = { registration: await createRelay(), exchange: await createRelay() };
  const scene = await setScene(title, {
    registrationUrl: `https://127.0.0.1:${fronts.registration.port}`,
    config: (text) =>
      text
        .replace(/registration_url: .*/, `registration_url: https://127.0.0.1:${fronts.registration.port}`)
        .replace(/exchange_url: .*/, `exchange_url: https://127.0.0.1:${fronts.exchange.port}`)
        .replace("level: info", "level: debug"),
  });
  const text = await Bun.file(scene.props.configFile).text();
  const authority = await createAuthority("Inboxbell pair");
  const keys = generateKeys(Date.now());
  const links = await freePorts();
  const linkPorts: Readonly<Record<string, number>> = {
    "bell-a": links.registration,
    "bell-b": links.exchange,
  };

  async function make(name: string, peer: string): Promise<PairNode> {
    const directory = join(scene.directory, name);
    mkdirSync(join(directory, "pair"), { recursive: true, mode: 0o700 });
    cpSync(join(scene.directory, "tls"), join(directory, "tls"), { recursive: true });
    for (const file of ["ca.pem", "AuthKey.p8", "fcm.json", "enrolment.secret"]) {
      copyFileSync(join(scene.directory, file), join(directory, file));
    }
    writeKeyFile(join(directory, "keys.json"), keys);
    const link = await nodeCertificate(authority, name);
    const write = (file: string, content: string) =>
      writeFileSync(join(directory, file), content, { mode: 0o600 });
    write("pair/ca.pem", link.ca);
    write("pair/node.pem", link.certificate);
    write("pair/node.key", link.key);
    const ports = await freePorts();
    const configFile = join(directory, "inboxbell.yaml");
    const own = text
      .replace("node: rehearsal", `node: ${name}`)
      .replace(`port: ${scene.props.ports.registration},`, `port: ${ports.registration},`)
      .replace(`port: ${scene.props.ports.exchange},`, `port: ${ports.exchange},`)
      .replace(`port: ${scene.props.ports.admin} `, `port: ${ports.admin} `);
    const pair = `pair:
  listen: { address: 127.0.0.1, port: ${linkPorts[name]} }
  peer: 127.0.0.1:${linkPorts[peer]}
  peer_name: ${peer}
`;
    write("inboxbell.yaml", own + pair);
    const socket = join(directory, "control.sock");
    const node: PairNode = {
      name,
      directory,
      configFile,
      ports,
      socket,
      running: null as unknown as Running,
      async up() {
        node.running = start([binary, "serve", "--config", configFile], {
          temporary: join(scene.directory, "tmp"),
        });
        await until(
          async () => {
            if (node.running.ended() !== null) throw new Error(`it ended: ${node.running.lines.join("\n")}`);
            return (await askNode(socket, "ping").catch(() => null)) === "pong";
          },
          () => `${name} answers; it said ${node.running.lines.join("\n")}`,
        );
      },
      async kill() {
        node.running.kill("SIGKILL");
        await node.running.exited;
      },
      ask: (verb, input) => askNode(socket, verb, { input, timeoutMs: 20_000 }),
      async status() {
        const answer = await node.ask(PAIR_VERBS.status);
        if (!isPairStatus(answer)) throw new Error(`no status: ${JSON.stringify(answer)}`);
        return answer;
      },
      async get(path) {
        const answer = await fetch(`http://127.0.0.1:${ports.admin}${path}`);
        return { status: answer.status, body: await answer.text() };
      },
    };
    return node;
  }

  const a = await make("bell-a", "bell-b");
  const b = await make("bell-b", "bell-a");
  return {
    ...scene,
    async roles() {
      const isActive = async (node: PairNode) => (await node.get("/primary")).body === "ROLE=ACTIVE\n";
      const [first, second] = await Promise.all([isActive(a), isActive(b)]);
      if (first === second) throw new Error(first ? "both nodes are active" : "neither node is active");
      return first ? { active: a, passive: b } : { active: b, passive: a };
    },
    a,
    b,
    fronts,
    turnTo(node) {
      fronts.registration.target = node.ports.registration;
      fronts.exchange.target = node.ports.exchange;
    },
    async begin() {
      await Promise.all([a.up(), b.up()]);
      await a.ask(PAIR_VERBS.first);
      await until(async () => {
        const both = await Promise.all([a.status(), b.status()]);
        const good = both.every(
          (each) => each.protected && each.here.serving && each.here.seeding === "seeded",
        );
        return good && both.filter((each) => each.here.role === "active").length === 1;
      }, "both nodes are ready and protected");
    },
    async stop() {
      // Who still has something to say finds somebody: otherwise it would be tried again and again.
      await scene.stop();
      for (const node of [a, b]) node.running?.kill("SIGKILL");
      await Promise.all([a, b].map((node) => node.running?.exited));
      fronts.registration.close();
      fronts.exchange.close();
    },
  };
}
