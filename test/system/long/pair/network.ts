// Three network namespaces: two nodes and their clients. A bridge joins all three, a cable of its own joins the nodes.
// What passes can be cut, thinned and slowed down; whoever makes it removes it.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODES, type NodeName, otherNode } from "./evidence.ts";

export type Place = NodeName | "clients";

export const ADDRESS: Readonly<Record<Place, string>> = {
  clients: "10.77.0.1",
  "bell-a": "10.77.0.2",
  "bell-b": "10.77.0.3",
};
/** On the cable between the nodes. */
export const LINK_ADDRESS: Readonly<Record<NodeName, string>> = {
  "bell-a": "10.78.0.2",
  "bell-b": "10.78.0.3",
};

const LETTER: Readonly<Record<Place, string>> = { clients: "c", "bell-a": "a", "bell-b": "b" };
// ip-netns(8): files in here take the place of those in /etc.
const NETNS_ETC = "/etc/netns";
const PREFIX = "ibp";
const RUNTIME = "/run/netns";

// A link that loses one packet of twelve, and on which a byte waits for up to a second.
const LOST_PERCENT = 8;
const SLOW = ["tbf", "rate", "256kbit", "burst", "3000", "limit", "32000"];
const SLOW_NETEM = ["netem", "delay", "60ms", "40ms", "loss", `${LOST_PERCENT}%`];

export interface Network {
  readonly name: string;
  /** The command that runs `command` in a place. */
  inside(place: Place, command: readonly string[]): readonly string[];
  /** Nothing gets from this node to the other one over their cable. */
  cut(from: NodeName): void;
  /** Nothing gets into this node or out of it, on any way. */
  isolate(node: NodeName): void;
  /** Packets on the cable are late, and some are lost. */
  thin(): void;
  /** All passes again. */
  heal(): void;
  remove(): void;
}

/** Why namespaces cannot be made here, or null. */
export function networkLacks(): string | null {
  if (process.getuid?.() !== 0) return "root";
  for (const [program, pkg] of [
    ["ip", "iproute2"],
    ["nft", "nftables"],
    ["haproxy", "haproxy"],
  ] as const) {
    if (Bun.which(program) === null) return `${program} of the Debian package ${pkg}`;
  }
  const probe = `${PREFIX}probe${process.pid}`;
  const added = Bun.spawnSync(["ip", "netns", "add", probe]);
  if (added.exitCode !== 0) return "network namespaces";
  const filters = Bun.spawnSync(["ip", "netns", "exec", probe, "nft", "add", "table", "inet", "fault"]);
  Bun.spawnSync(["ip", "netns", "del", probe]);
  return filters.exitCode === 0 ? null : "packet filters (nf_tables)";
}

let made = 0;

/** Makes the namespaces. Those that a killed process left behind are removed. */
export function makeNetwork(): Network {
  removeLeftBehind();
  made += 1;
  const network = networkOf(`${PREFIX}${process.pid}x${made}`);
  try {
    lay(network.name);
  } catch (error) {
    network.remove();
    throw error;
  }
  return network;
}

/** A network that another process has made. */
export function networkOf(name: string): Network {
  const space = (place: Place) => spaceOf(name, place);
  const inside = (place: Place, command: readonly string[]) => [
    "ip",
    "netns",
    "exec",
    space(place),
    ...command,
  ];
  const rule = (node: NodeName, text: string) => run(inside(node, ["nft", ...text.split(" ")]));
  return {
    name,
    inside,
    cut: (from) => rule(from, `add rule inet fault out ip daddr ${LINK_ADDRESS[otherNode(from)]} drop`),
    isolate(node) {
      rule(node, "add rule inet fault out oifname != lo drop");
      rule(node, "add rule inet fault in iifname != lo drop");
    },
    thin() {
      for (const node of NODES) {
        const add = (discipline: readonly string[]) =>
          Bun.spawnSync(["tc", "-n", space(node), "qdisc", "replace", "dev", "link0", "root", ...discipline]);
        if (add(SLOW_NETEM).exitCode === 0) continue;
        // A kernel without netem: a narrow link instead of a long one, and a filter that drops at random.
        if (add(SLOW).exitCode !== 0) throw new Error("the kernel can slow no link down");
        rule(node, `add rule inet fault out oifname link0 numgen random mod 100 < ${LOST_PERCENT} drop`);
      }
    },
    heal() {
      for (const node of NODES) {
        rule(node, "flush table inet fault");
        Bun.spawnSync(["tc", "-n", space(node), "qdisc", "del", "dev", "link0", "root"]);
      }
    },
    remove() {
      for (const place of Object.keys(ADDRESS) as Place[]) removeSpace(space(place));
    },
  };
}

function spaceOf(name: string, place: Place): string {
  return `${name}${LETTER[place]}`;
}

function lay(name: string): void {
  const clients = spaceOf(name, "clients");
  const hosts = NODES.map((node) => `${LINK_ADDRESS[node]} ${node}`);
  for (const place of Object.keys(ADDRESS) as Place[]) {
    const space = spaceOf(name, place);
    mkdirSync(join(NETNS_ETC, space), { recursive: true });
    writeFileSync(join(NETNS_ETC, space, "hosts"), `127.0.0.1 localhost\n${hosts.join("\n")}\n`);
    run(["ip", "netns", "add", space]);
    run(["ip", "-n", space, "link", "set", "lo", "up"]);
  }
  // The bridge is in the clients' namespace and ends with it.
  run(["ip", "-n", clients, "link", "add", "bridge0", "type", "bridge"]);
  run(["ip", "-n", clients, "addr", "add", `${ADDRESS.clients}/24`, "dev", "bridge0"]);
  run(["ip", "-n", clients, "link", "set", "bridge0", "up"]);
  for (const node of NODES) {
    const space = spaceOf(name, node);
    const port = `port-${LETTER[node]}`;
    run(["ip", "-n", clients, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space]);
    run(["ip", "-n", clients, "link", "set", port, "master", "bridge0", "up"]);
    run(["ip", "-n", space, "addr", "add", `${ADDRESS[node]}/24`, "dev", "eth0"]);
    run(["ip", "-n", space, "link", "set", "eth0", "up"]);
  }
  const [one, two] = NODES.map((node) => spaceOf(name, node)) as [string, string];
  run(["ip", "-n", one, "link", "add", "link0", "type", "veth", "peer", "name", "link0", "netns", two]);
  for (const node of NODES) {
    const space = spaceOf(name, node);
    run(["ip", "-n", space, "addr", "add", `${LINK_ADDRESS[node]}/24`, "dev", "link0"]);
    run(["ip", "-n", space, "link", "set", "link0", "up"]);
    const chain = (where: string, hook: string) =>
      `add chain inet fault ${where} { type filter hook ${hook} priority 0 ; }`;
    const rules = `add table inet fault\n${chain("in", "input")}\n${chain("out", "output")}\n`;
    run(["ip", "netns", "exec", space, "nft", "-f", "-"], rules);
  }
}

/** Ends whatever still runs in the namespace, and the namespace with it. */
function removeSpace(space: string): void {
  if (existsSync(join(RUNTIME, space))) {
    for (const pid of Bun.spawnSync(["ip", "netns", "pids", space]).stdout.toString().split("\n")) {
      if (pid !== "" && Number(pid) !== process.pid) Bun.spawnSync(["kill", "-KILL", pid]);
    }
    Bun.spawnSync(["ip", "netns", "del", space]);
  }
  rmSync(join(NETNS_ETC, space), { recursive: true, force: true });
}

function removeLeftBehind(): void {
  const listed = Bun.spawnSync(["ip", "netns", "list"]).stdout.toString();
  const left = existsSync(NETNS_ETC) ? readdirSync(NETNS_ETC) : [];
  for (const space of new Set([...listed.split("\n").map((line) => line.split(" ")[0] ?? ""), ...left])) {
    const pid = new RegExp(`^${PREFIX}(\\d+)x`).exec(space)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeSpace(space);
  }
}

function run(command: readonly string[], input = ""): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: Buffer.from(input) });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
