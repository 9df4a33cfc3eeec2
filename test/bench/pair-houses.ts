// Two appliances that are a pair, on the addresses of one machine: the active one with the seeded database, the other
// one empty.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { KeyKind } from "../../src/rehearsal/certificates.ts";
import { createAuthority, nodeCertificate } from "../pair/certificates.ts";
import { createHouse, freePorts, type House, type Stage } from "./stage.ts";

export const PAIR_NAMES = ["pair-one", "pair-two"] as const;

/** Lays both out; neither is started. */
export async function createPairHouses(
  stage: Stage,
  seed: string,
  kind: KeyKind,
): Promise<readonly [House, House]> {
  const authority = await createAuthority("Inboxbell benchmark link authority");
  const ports = await freePorts(2);
  const [one, two] = await Promise.all(
    PAIR_NAMES.map(async (name, at) => {
      const house = await createHouse(stage, name, seed, kind, null);
      const directory = dirname(house.configFile);
      const { ca, certificate, key } = await nodeCertificate(authority, name);
      const files = { "link-ca.pem": ca, "link.pem": certificate, "link.key": key };
      for (const [file, text] of Object.entries(files)) {
        writeFileSync(join(directory, file), text, { mode: 0o600 });
      }
      const pair = `pair:
  listen: { address: 127.0.0.1, port: ${ports[at]} }
  peer: 127.0.0.1:${ports[1 - at]}
  peer_name: ${PAIR_NAMES[1 - at]}
  tls: { ca: link-ca.pem, certificate: link.pem, key: link.key }
`;
      const text = readFileSync(house.configFile, "utf8")
        .replace("node: bench", `node: ${name}`)
        .replace("control:", `${pair}control:`);
      writeFileSync(house.configFile, text, { mode: 0o600 });
      return house;
    }),
  );
  if (one === undefined || two === undefined) throw new Error("A pair has two nodes.");
  rmSync(join(dirname(two.configFile), "inboxbell.db"));
  return [one, two];
}
