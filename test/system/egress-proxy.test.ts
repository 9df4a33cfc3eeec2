// The compiled binary behind a company's proxy: both providers and Google's token endpoint are reached through it.
import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasSquid, type RealProxy, squid } from "../delivery/egress-proxies.ts";
import { type Scene, setScene, until } from "./helpers.ts";

const endings: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const USER = { name: "inboxbell", password: "correct-horse-battery" };
const PASSWORD_FILE = "proxy.password";

async function sceneBehind(proxy: RealProxy, password: string): Promise<Scene> {
  const scene = await setScene("egress", {
    config: (text) => {
      const names = `proxy: ${proxy.url}, proxy_user: { name: ${USER.name}, password_file: ${PASSWORD_FILE} }`;
      return text.replace("egress: { ", `egress: { ${names}, `);
    },
  });
  endings.push(scene.stop);
  const file = join(scene.directory, PASSWORD_FILE);
  writeFileSync(file, password, { mode: 0o600 });
  return scene;
}

/** Host and port of the simulators, as the configuration names them. */
async function providerAddresses(scene: Scene): Promise<string[]> {
  const text = await Bun.file(scene.props.configFile).text();
  return [...text.matchAll(/ url: https:\/\/([^\s/]+)/g)].map(([, address = ""]) => address).sort();
}

describe.skipIf(!hasSquid)("the compiled binary behind squid", () => {
  test("rings both platforms through a proxy that wants a password, and no other way", async () => {
    const proxy = await squid({ user: USER });
    endings.push(proxy.stop);
    const scene = await sceneBehind(proxy, USER.password);
    const phones = (["apns", "fcm"] as const).map((platform) =>
      scene.addPhone({ platform, mailbox: platform, tellsInbox: true }),
    );
    const appliance = await scene.up();
    for (const phone of phones) {
      await phone.enrol();
      scene.exchange.mailbox(phone.mailbox).deliver();
    }
    await until(
      () => phones.every((phone) => phone.pushes.length > 0),
      () => `both phones rang; the node said ${appliance.lines.join("\n")}`,
    );
    expect(scene.violations()).toEqual([]);
    await appliance.stop();
    // Google's token endpoint is at the address of its send endpoint. Squid writes when a tunnel has ended.
    const addresses = await providerAddresses(scene);
    await until(
      () => new Set(proxy.asked()).size === addresses.length,
      () => `squid was asked for both providers; it was for ${proxy.asked().join(", ")}`,
    );
    expect([...new Set(proxy.asked())].sort()).toEqual(addresses);
  });

  test("says what the proxy said when the password is wrong, and goes on owing", async () => {
    const proxy = await squid({ user: USER });
    endings.push(proxy.stop);
    const scene = await sceneBehind(proxy, "not the password");
    const phone = scene.addPhone({ platform: "apns", mailbox: "one", tellsInbox: true });
    const appliance = await scene.up();
    await phone.enrol();
    scene.exchange.mailbox("one").deliver();
    await until(
      async () => {
        const answer = await scene.verb("status", "--json", "--config", scene.props.configFile);
        const { paused, owed } = JSON.parse(answer.out) as { paused: { reason: string }[]; owed: number };
        return owed === 1 && paused.some(({ reason }) => reason.includes("407") || reason.includes("proxy"));
      },
      () => `the pause names the proxy; the node said ${appliance.lines.join("\n")}`,
    );
    expect(phone.pushes.length).toBe(0);
    expect(appliance.lines.join("\n")).not.toContain("not the password");
  });
});
