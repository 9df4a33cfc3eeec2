// A push service that takes rings and answers none, seen at the compiled binary: the connections are made anew, then
// it is told by metric, log and readyz?verbose, and never makes the node unready.
import { expect, test } from "bun:test";
import { setScene, until } from "../helpers.ts";

test("rings that nobody answers raise an alarm that ends with the first accepted one, and the node stays ready", async () => {
  const scene = await setScene("stall", {
    config: (text) => text.replace("control:", "ringing: { stalled_after: 10s }\ncontrol:"),
  });
  try {
    const node = await scene.up();
    const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    scene.apns.misbehave({ kind: "hang" }, { every: 1 });
    scene.exchange.mailbox("anna").deliver();
    const admin = scene.props.urls.admin;
    const metrics = async () => (await fetch(`${admin}/metrics`)).text();
    const alarm = 'inboxbell_delivery_stalled{app="com.example.mail",provider="apns"}';
    await until(async () => (await metrics()).includes(`${alarm} 1\n`), "the alarm", 40_000);
    expect(node.lines.some((line) => line.includes("the connections to the provider are made anew"))).toBe(
      true,
    );
    expect(node.lines.some((line) => line.includes("not even over new connections"))).toBe(true);
    const ready = await fetch(`${admin}/readyz?verbose`);
    expect([ready.status, await ready.text()]).toEqual([
      200,
      expect.stringContaining("warn delivery: rings are due and none is accepted: com.example.mail on apns"),
    ]);
    scene.apns.behave();
    await until(() => phone.badge === 1, "the phone was rung", 60_000);
    await until(async () => (await metrics()).includes(`${alarm} 0\n`), "the end of the alarm");
    expect((await node.stop()).code).toBe(0);
  } finally {
    await scene.stop();
  }
}, 150_000);
