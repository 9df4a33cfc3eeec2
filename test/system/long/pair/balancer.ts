// Debian's HAProxy in front of both nodes, set up as an administrator would: TCP, and `/primary` as the check.
import { join } from "node:path";
import { type Running, start, until } from "../../helpers.ts";
import { NODES } from "./evidence.ts";
import { ADDRESS } from "./network.ts";
import { PORTS } from "./props.ts";

/** Text of the configuration. Connections that there are when a node becomes passive are left alone: it answers them. */
function configuration(): string {
  const route = (name: string, port: number) => `
listen ${name}
  mode tcp
  bind ${ADDRESS.clients}:${port}
  option httpchk GET /primary
  default-server check check-ssl verify none inter 300ms fall 2 rise 1
${NODES.map((node) => `  server ${node} ${ADDRESS[node]}:${port}`).join("\n")}
`;
  return `global
  maxconn 2000
defaults
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check 1s
  option redispatch
  retries 3
${route("registration", PORTS.registration)}${route("exchange", PORTS.exchange)}`;
}

/** Starts it in this process's namespace. */
export async function startBalancer(directory: string): Promise<Running> {
  const file = join(directory, "haproxy.cfg");
  await Bun.write(file, configuration());
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
