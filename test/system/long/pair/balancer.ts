// Debian's HAProxy in front of both nodes, with the delivered file: only addresses and ports are others.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, start, until } from "../../helpers.ts";
import { substituted } from "../delivered-front.ts";
import { NODES, type NodeName } from "./evidence.ts";
import { ADDRESS } from "./network.ts";
import { PORTS } from "./props.ts";

const DELIVERED = join(import.meta.dir, "..", "..", "..", "..", "config", "front", "haproxy.cfg");
const DELIVERED_FRONT = "10.2.0.10";
const DELIVERED_NODES: Readonly<Record<NodeName, string>> = { "bell-a": "10.2.0.11", "bell-b": "10.2.0.12" };

/** The delivered file's addresses and ports, and what they are here. */
function places(): Readonly<Record<string, string>> {
  const ports = [
    [8443, PORTS.registration],
    [9443, PORTS.exchange],
  ] as const;
  return Object.fromEntries(
    ports.flatMap(([delivered, port]) => [
      [`${DELIVERED_FRONT}:${delivered}`, `${ADDRESS.clients}:${port}`],
      ...NODES.map((node) => [`${DELIVERED_NODES[node]}:${delivered}`, `${ADDRESS[node]}:${port}`]),
    ]),
  );
}

/** Starts it in this process's namespace. */
export async function startBalancer(directory: string): Promise<Running> {
  const file = join(directory, "haproxy.cfg");
  await Bun.write(file, substituted(readFileSync(DELIVERED, "utf8"), places()));
  const running = start(["haproxy", "-db", "-f", file]);
  await until(async () => {
    if (running.ended() !== null) throw new Error(`haproxy ended: ${running.lines.join("\n")}`);
    const socket = await Bun.connect({
      hostname: ADDRESS.clients,
      port: PORTS.exchange,
      socket: { data() {} },
    }).catch(() => null);
    socket?.end();
    return socket !== null;
  }, "haproxy listens");
  return running;
}
