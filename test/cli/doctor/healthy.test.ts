// A node with which nothing is wrong, and what is wrong when it does not run.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
});
afterAll(() => clinic.stop());

describe("doctor", () => {
  test("tells of a node that does not run, and of ports that nobody listens on", async () => {
    const seen = await clinic.look();
    expect(complaints(seen)).toEqual(["node_not_running", "public_unreachable"]);
    expect(only(seen, "public_unreachable").seen).toContain("refused");
  });

  test("finds every hop of a healthy node good, and disturbs nothing", async () => {
    await clinic.up();
    const seen = await clinic.look();
    expect(complaints(seen)).toEqual([]);
    const hops = new Set(seen.results.map(({ hop }) => hop));
    for (const hop of [
      "configuration",
      "permissions",
      "disk",
      "database",
      "node",
      "certificates",
      "public",
      "admin",
      "proxy",
      "apns",
      "fcm",
      "clock",
    ] as const) {
      expect(hops).toContain(hop);
    }
    expect(seen.results.find(({ hop }) => hop === "clock")?.seen).toContain("right");
    expect(clinic.fcm.violations()).toEqual([]);
    // A push to nobody's token is the one thing that Apple has to refuse.
    expect(clinic.apns.totals().accepted).toBe(0);
  });
});
