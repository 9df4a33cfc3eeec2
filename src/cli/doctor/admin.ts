// Whether the administrators' listener can be read from the network: through another address of this machine, or
// through a public URL. It has no log-in on loopback, so that a port forwarding opens it to everybody.
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { isLoopbackAddress } from "../../config/addresses.ts";
import type { Config } from "../../config/types.ts";
import { askHttp } from "./ask.ts";
import { found, good, type Result } from "./findings.ts";

/** @param reached public URLs at which somebody answers */
export async function examineAdmin(config: Config, reached: readonly string[]): Promise<Result[]> {
  const { port } = config.listen.admin;
  // Link-local addresses need a zone, and who reaches them reaches the others too.
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map(({ address }) => address)
    .filter((address) => !isLoopbackAddress(address) && !address.startsWith("fe80:"));
  const elsewhere = addresses.flatMap((address) => {
    const host = isIPv6(address) ? `[${address}]` : address;
    return [`http://${host}:${port}`, `https://${host}:${port}`];
  });
  const open = await Promise.all(
    [...elsewhere, ...reached].map(async (origin) => ((await isOpen(origin)) ? [origin] : [])),
  );
  const results = open
    .flat()
    .map((origin) => found("admin_exposed", origin, `${origin}/metrics can be read there`));
  if (results.length > 0) return results;
  return [good("admin", `port ${port}`, "cannot be read from the network without a credential")];
}

async function isOpen(origin: string): Promise<boolean> {
  const answer = await askHttp({ method: "GET", url: `${origin}/metrics` });
  return !("failure" in answer) && answer.status === 200 && answer.body.includes("inboxbell_");
}
