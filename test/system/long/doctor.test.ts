// What `doctor` finds of a live node that takes another build, or more patience, to bring about.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { doctor } from "../doctor-report.ts";
import { freshDirectory, setScene, until } from "../helpers.ts";
import { buildVersion } from "./pair/neighbours.ts";

const BUILD_MS = 120_000;

test(
  "a node that was not restarted after an upgrade: version_differs, and both versions",
  async () => {
    const build = freshDirectory("old");
    const scene = await setScene("upgraded");
    const { configFile } = scene.props;
    const look = () => doctor(configFile, join(scene.directory, "tmp"));
    try {
      const old = await buildVersion(build.path, "0.0.7", []);
      const node = await scene.up([old, "serve", "--config", configFile]);
      const sight = await look();
      expect([sight.codes, sight.exitCode]).toEqual([["version_differs"], 0]);
      expect(sight.only("version_differs").seen).toMatch(
        /^it runs 0\.0\.7 \(\w+\), this is \d+\.\d+\.\d+ \(\w+\)$/,
      );
      await node.stop();
      await scene.up();
      expect((await look()).codes).toEqual([]);
    } finally {
      await scene.stop();
      build.remove();
    }
  },
  BUILD_MS + 60_000,
);

test("rings that the provider takes and never answers: rings_stalled, while its own look is good", async () => {
  const scene = await setScene("stalled", {
    config: (text) => text.replace("control:", "ringing: { stalled_after: 10s }\ncontrol:"),
  });
  const look = () => doctor(scene.props.configFile, join(scene.directory, "tmp"));
  try {
    await scene.up();
    const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    scene.apns.misbehave({ kind: "hang" }, { every: 1 });
    scene.exchange.mailbox("anna").deliver();
    const ready = async () => (await fetch(`${scene.props.urls.admin}/readyz?verbose`)).text();
    await until(async () => (await ready()).includes("warn delivery"), "the node tells of it", 60_000);
    scene.apns.behave();
    const sight = await look();
    expect([sight.codes, sight.exitCode]).toEqual([["rings_stalled"], 1]);
    expect(sight.only("rings_stalled").seen).toBe(
      "rings are due and none is accepted: com.example.mail on apns",
    );
    await until(() => phone.badge === 1, "the phone was rung", 60_000);
    await until(async () => (await look()).codes.length === 0, "the alarm is over");
  } finally {
    await scene.stop();
  }
}, 180_000);
