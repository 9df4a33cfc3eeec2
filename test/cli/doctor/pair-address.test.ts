// Where `pair.peer` leads, as `doctor` sees it on this machine.
import { describe, expect, test } from "bun:test";
import { hostname, networkInterfaces } from "node:os";
import { examinePairAddress } from "../../../src/cli/doctor/pair-address.ts";
import type { PairConfig } from "../../../src/config/types.ts";

const pair = (peer: { host: string; port: number }, listen: { address: string; port: number }) =>
  ({ peer, listen }) as PairConfig;
const wide = { address: "0.0.0.0", port: 7443 };
const outside = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

describe("the other node's address", () => {
  test("that is a name of this machine leads back here: pair_self", async () => {
    const results = await examinePairAddress(pair({ host: "localhost", port: 7443 }, wide));
    expect(results.map(({ code, subject }) => [code, subject])).toEqual([["pair_self", "localhost:7443"]]);
    expect(results[0]?.seen).toMatch(/^(127\.0\.0\.1|::1) is this machine's own$/);
    const named = await examinePairAddress(pair({ host: hostname(), port: 7443 }, wide));
    expect(named.map(({ code }) => code)).toEqual(["pair_self"]);
  });

  test.skipIf(outside === undefined)(
    "that an interface has leads back here, too (an interface)",
    async () => {
      const here = { host: outside ?? "", port: 7443 };
      expect((await examinePairAddress(pair(here, wide))).map(({ code }) => code)).toEqual(["pair_self"]);
      const other = await examinePairAddress(pair({ ...here, port: 7444 }, wide));
      expect(other).toEqual([]);
    },
  );

  test("that nobody knows is left to the look at the link", async () => {
    expect(await examinePairAddress(pair({ host: "nobody.invalid", port: 7443 }, wide))).toEqual([]);
  });
});
