// keepalived with the delivered file on both nodes of a pair, in network namespaces on one bridge: the floating address
// goes with the active node, and the role goes with the address.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PAIR_VERBS } from "../../../src/pair/status.ts";
import { binary, freshDirectory, type Running, run, start, until } from "../helpers.ts";
import { NODES, type NodeName, otherNode } from "./pair/evidence.ts";
import { ADDRESS, makeNetwork, type Network, networkLacks } from "./pair/network.ts";
import { createPairNode, type PairNode } from "./pair/node.ts";
import { makePairProps, type PairProps, PORTS, writePairConfig } from "./pair/props.ts";

const FLOATING = "10.77.0.10";
const delivered = readFileSync(
  join(import.meta.dir, "..", "..", "..", "config", "front", "keepalived.conf"),
  "utf8",
);
// Nobody is rung here.
const NOWHERE = "https://127.0.0.1:9";
// keepalived runs programs only from directories that no other user can write; those of tests are not.
const programs = `/run/inboxbell-keepalived-${process.pid}`;
// Two failed checks a second apart, three advertisements that stay away, and a role that changes; with room for a busy
// machine.
const MOVES_WITHIN_MS = 15_000;

const lacking = () => ["keepalived", "curl"].find((program) => Bun.which(program) === null) ?? null;
const lacks = networkLacks() ?? lacking();
const needs = lacks === null ? "" : ` (needs ${lacks})`;

const directory = freshDirectory("kpa");
let network: Network;
let nodes: Readonly<Record<NodeName, PairNode>>;
const keepers = new Map<NodeName, Running>();

beforeAll(async () => {
  if (lacks !== null) return;
  network = makeNetwork();
  const props = await makePairProps(directory.path);
  mkdirSync(programs, { mode: 0o755 });
  const made = await Promise.all(NODES.map(async (name) => [name, await make(name, props)] as const));
  nodes = Object.fromEntries(made) as Record<NodeName, PairNode>;
  await Promise.all(NODES.map((name) => nodes[name].start()));
  await nodes["bell-a"].ask(PAIR_VERBS.first);
  await untilProtected();
  for (const name of NODES) startKeeper(name);
}, 90_000);

afterAll(async () => {
  if (lacks !== null) return;
  await Promise.all([...keepers.values()].map((keeper) => keeper.stop(5_000)));
  await Promise.all(NODES.map((name) => nodes?.[name].kill()));
  network.remove();
  rmSync(programs, { recursive: true, force: true });
  directory.remove();
});

async function make(name: NodeName, props: PairProps): Promise<PairNode> {
  writePairConfig(props, name, { apns: NOWHERE, fcm: NOWHERE, fcmToken: NOWHERE });
  const { configFile, directory: own, socket } = props.nodes[name];
  const text = readFileSync(configFile, "utf8");
  // As the file asks: they answer at an address that was not there when they started.
  writeFileSync(configFile, text.replaceAll(`address: ${ADDRESS[name]}`, "address: 0.0.0.0"));
  const verb = join(programs, `inboxbell-${name}`);
  const temporary = join(own, "tmp");
  writeFileSync(verb, `#!/bin/sh\nBUN_TMPDIR=${temporary} exec ${binary} "$@" --socket ${socket}\n`, {
    mode: 0o755,
  });
  const places: Readonly<Record<string, string>> = {
    "script_user inboxbell inboxbell": "script_user root root",
    "/usr/bin/inboxbell": verb,
    "10.2.0.10/24": `${FLOATING}/24`,
  };
  const file = Object.entries(places).reduce((so, [from, to]) => {
    if (!so.includes(from)) throw new Error(`The delivered file does not name ${from}.`);
    return so.replaceAll(from, to);
  }, delivered);
  writeFileSync(join(own, "keepalived.conf"), file, { mode: 0o600 });
  return createPairNode({
    name,
    props,
    network,
    binary,
    env: {},
    hasFakeClock: false,
    diskMegabytes: null,
  });
}

function startKeeper(name: NodeName): void {
  const own = nodes[name].files.directory;
  const files = ["pid", "vrrp_pid", "checkers_pid"].map((each) => `--${each}=${join(own, each)}`);
  const command = [
    "keepalived",
    "--dont-fork",
    "--log-console",
    "--vrrp",
    "-f",
    join(own, "keepalived.conf"),
  ];
  keepers.set(name, start(network.inside(name, [...command, ...files])));
}

/** Nodes at which the floating address is. */
async function holders(): Promise<readonly NodeName[]> {
  const shown = await Promise.all(
    NODES.map((name) => run(network.inside(name, ["ip", "-4", "-o", "addr", "show", "dev", "eth0"]))),
  );
  return NODES.filter((_, at) => shown[at]?.out.includes(` ${FLOATING}/`));
}

async function actives(): Promise<readonly NodeName[]> {
  const all = await Promise.all(NODES.map((name) => nodes[name].status()));
  return NODES.filter((_, at) => all[at]?.here.role === "active");
}

/** Address and role are at this node, and who asks at the address is told so. */
async function untilAt(name: NodeName): Promise<void> {
  const said = () => NODES.map((each) => keepers.get(each)?.lines.slice(-8).join("\n")).join("\n--\n");
  let seen = "";
  await until(
    async () => {
      const [where, who] = await Promise.all([holders(), actives()]);
      seen = `the address is at ${where.join()}, active is ${who.join()}`;
      return where.join() === name && who.join() === name;
    },
    () => `address and role are at ${name}: ${seen}; keepalived said ${said()}`,
    MOVES_WITHIN_MS,
  );
  const ask = (path: string) =>
    run(
      network.inside("clients", [
        "curl",
        "-sk",
        "-m",
        "2",
        `https://${FLOATING}:${PORTS.registration}${path}`,
      ]),
    );
  await until(async () => (await ask("/primary")).out === "ROLE=ACTIVE\n", "the address answers", 5_000);
  expect((await ask("/v1/discovery")).out).toContain('"version":1');
}

async function untilProtected(): Promise<void> {
  await until(async () => {
    const all = await Promise.all(NODES.map((name) => nodes[name].status()));
    return all.every((each) => each?.protected === true && each.here.serving);
  }, "both nodes are protected");
}

test.skipIf(lacks !== null)(
  `the address is at the active node${needs}`,
  async () => {
    const [active] = await actives();
    if (active === undefined) throw new Error("neither node is active");
    await untilAt(active);
  },
  60_000,
);

test.skipIf(lacks !== null)(
  `the address goes to the other node when the active one dies, and stays there when it is back${needs}`,
  async () => {
    const [active = "bell-a"] = await actives();
    await nodes[active].kill();
    await untilAt(otherNode(active));
    await nodes[active].start();
    await untilProtected();
    // Longer than keepalived needs to move it.
    await Bun.sleep(5_000);
    expect([await holders(), await actives()]).toEqual([[otherNode(active)], [otherNode(active)]]);
  },
  90_000,
);

test.skipIf(lacks !== null)(
  `the address follows a switch by hand${needs}`,
  async () => {
    const [active = "bell-a"] = await actives();
    expect(await nodes[active].ask(PAIR_VERBS.switch)).toMatchObject({ result: "done" });
    await untilAt(otherNode(active));
  },
  60_000,
);

test.skipIf(lacks !== null)(
  `the role follows the address when that moves for a reason of the network's${needs}`,
  async () => {
    const [active = "bell-a"] = await actives();
    await keepers.get(active)?.stop(5_000);
    await untilAt(otherNode(active));
  },
  60_000,
);
