// The verbs of the compiled binary, as a person or a script runs them beside a running node: what they print, in
// text and in JSON, and with which exit code they end.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { askNode } from "../../src/ops/control.ts";
import type { NodeStatus } from "../../src/ops/status.ts";
import type { Phone } from "../../src/rehearsal/phone/phone.ts";
import { binary, freshDirectory, type Running, run, type Scene, setScene, until } from "./helpers.ts";

let scene: Scene;
let appliance: Running;
let phone: Phone;
let socket: string;

beforeAll(async () => {
  scene = await setScene("verbs");
  appliance = await scene.up();
  socket = join(scene.directory, "control.sock");
  phone = scene.addPhone({ platform: "apns", mailbox: "anna", folders: ["inbox", "calendar"] });
  await phone.enrol();
  scene.exchange.mailbox("anna").deliver();
  await until(() => phone.badge === 1, "the phone is rung");
});
afterAll(() => scene.stop());

/** Neither a stack trace nor the place of a source file: a person reads this. */
function expectSentence(text: string): void {
  expect(text.trim()).not.toBe("");
  expect(text).not.toMatch(/^\s+at .*\d|\$bunfs|Error:/m);
}

describe("version", () => {
  test("says version, commit, runtime and platform", async () => {
    const { code, out, err } = await scene.verb("version");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^inboxbell \d+\.\d+\.\d+\S* \([0-9a-f]{12}\), bun \d\S+, linux-(x64|arm64)\n$/);
  });

  test("is said for --version and -V, too", async () => {
    const { out } = await scene.verb("version");
    for (const option of ["--version", "-V"]) {
      expect([option, await scene.verb(option)]).toEqual([option, { code: 0, out, err: "" }]);
    }
  });

  test("--json says the same in one line for scripts", async () => {
    const { code, out } = await scene.verb("version", "--json");
    expect(code).toBe(0);
    const about = JSON.parse(out) as Record<string, string>;
    expect(Object.keys(about).sort()).toEqual(["commit", "name", "platform", "runtime", "version"]);
    expect(out.trim().split("\n")).toHaveLength(1);
    expect((await scene.verb("version")).out).toContain(`${about.version} (${about.commit})`);
  });
});

test("an output that nobody reads to its end is no failure and no stack trace", async () => {
  for (const args of ["completion bash", "--help"]) {
    const { out, err } = await run(["bash", "-c", `${binary} ${args} | true; echo "\${PIPESTATUS[0]}"`]);
    expect([args, out, err]).toEqual([args, "0\n", ""]);
  }
});

test("the working directory's .env and bunfig.toml are none of the binary's business", async () => {
  const { path, remove } = freshDirectory("cwd");
  await Bun.write(join(path, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
  await Bun.write(join(path, "preload.ts"), 'console.log("PRELOADED");\n');
  await Bun.write(join(path, ".env"), `CREDENTIALS_DIRECTORY=${path}\n`);
  await Bun.write(join(path, "inboxbell.yaml"), `keys: { file: '\${CREDENTIALS_DIRECTORY}/keys' }\n`);
  const { code, out } = await run([binary, "version"], { cwd: path });
  expect([code, out]).toEqual([0, expect.stringMatching(/^inboxbell \S+ \(/)]);
  const check = await run([binary, "check", "--config", "inboxbell.yaml"], { cwd: path });
  // With the variable there would be nothing to say of credentials.
  expect(check.out).toContain("systemd hands its credentials over");
  remove();
});

describe("status", () => {
  test("shows the running node in one screen and ends with 0", async () => {
    const { code, out, err } = await scene.verb("status", "--socket", socket);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^node +rehearsal \(active\), version \S+, up \d+ s$/m);
    expect(out).toMatch(/^state +ready$/m);
    expect(out).toMatch(/^ +database +ok/m);
    for (const name of ["registration", "exchange", "admin"] as const) {
      expect(out).toMatch(
        new RegExp(`^listen ${name} +127\\.0\\.0\\.1:${scene.props.ports[name]}, \\d+ conn`, "m"),
      );
    }
    expect(out).toMatch(/^registrations +1 com\.example\.mail \(apns\)$/m);
    expect(out).toMatch(/^owed +nothing$/m);
    expect(out).toMatch(/^Exchange +last heard \d+ s ago, \d+ notifications since the start$/m);
    expect(out).toMatch(/^rings +apns last accepted \d+ s ago, fcm not tried yet$/m);
    expect(out).toMatch(/^certificates +registration for another \d+ days, exchange for another \d+ days$/m);
    expect(out).not.toMatch(/RESTART|PAUSED|not rung/);
    expect(out.trimEnd().split("\n").length).toBeLessThan(24);
  });

  test("--json gives every field of the status", async () => {
    const { code, out } = await scene.verb("status", "--socket", socket, "--json");
    expect(code).toBe(0);
    const status = JSON.parse(out) as NodeStatus;
    const about = JSON.parse((await scene.verb("version", "--json")).out) as {
      version: string;
      commit: string;
    };
    expect(status).toMatchObject({
      node: "rehearsal",
      role: "active",
      version: about.version,
      commit: about.commit,
      ready: true,
      registrations: [{ app: "com.example.mail", platform: "apns", count: 1 }],
      owed: 0,
      owedOldestSeconds: null,
      paused: [],
    });
    expect(status).toMatchObject({
      notRung: 0,
      needsRestart: [],
      rings: [{ provider: "apns" }, { provider: "fcm" }],
    });
    expect(status.exchange.notifications).toBeGreaterThan(0);
    expect(status.uptimeSeconds).toBeGreaterThanOrEqual(0);
    expect(status.listeners.map(({ name, port }) => [name, port])).toEqual(Object.entries(scene.props.ports));
    expect(Object.values(status.subscriptions).reduce((sum, count) => sum + count, 0)).toBe(2);
    expect(out).not.toContain(phone.token);
    expect(out).not.toContain(phone.registrationId);
  });

  test("of a node that is not there is told with the socket's path and what to do", async () => {
    const nowhere = join(scene.directory, "nobody.sock");
    const { code, out, err } = await scene.verb("status", "--socket", nowhere);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(nowhere);
    expect(err).toContain("(not_running)");
    expectSentence(err);
    expect(existsSync(nowhere)).toBe(false);
    const json = await scene.verb("status", "--socket", nowhere, "--json");
    expect([json.code, json.err, JSON.parse(json.out)]).toEqual([
      1,
      "",
      { code: "not_running", error: expect.stringContaining(nowhere), remedy: expect.any(String) },
    ]);
  });

  test("takes the socket from the configuration, and --socket before that", async () => {
    const { configFile } = scene.props;
    const byConfig = await scene.verb("status", "--config", configFile, "--json");
    expect([byConfig.code, JSON.parse(byConfig.out)]).toEqual([0, expect.objectContaining({ ready: true })]);
    const nowhere = join(scene.directory, "nobody.sock");
    const bySocket = await scene.verb("status", "--config", configFile, "--socket", nowhere);
    expect([bySocket.code, bySocket.err]).toEqual([1, expect.stringContaining(nowhere)]);
    const reload = await scene.verb("reload", "--config", configFile);
    expect([reload.code, reload.out]).toEqual([0, expect.stringContaining("Reloaded: nothing has changed")]);
  });

  test("names the keys that wait for a restart after a reload", async () => {
    const { configFile } = scene.props;
    const text = readFileSync(configFile, "utf8");
    writeFileSync(configFile, text.replace("node: rehearsal", "node: renamed"));
    expect((await scene.verb("reload", "--config", configFile)).out).toContain("needs a restart: node");
    expect((await scene.verb("status", "--config", configFile)).out).toMatch(
      /^RESTART +needs a restart: node$/m,
    );
    writeFileSync(configFile, text);
    expect((await scene.verb("reload", "--config", configFile)).code).toBe(0);
    expect((await scene.verb("status", "--config", configFile)).out).not.toContain("RESTART");
  });

  test("says of a paused app since when and what to do, and of dead phones that they are not rung", async () => {
    const dead = scene.addPhone({ platform: "apns", mailbox: "berta", tellsInbox: true });
    await dead.enrol();
    scene.apns.devices.unregister(dead.token, Date.now() + 60_000);
    scene.exchange.mailbox("berta").deliver();
    const shown = async () => (await scene.verb("status", "--socket", socket)).out;
    await until(async () => /; 1 not rung until renewed/.test(await shown()), "the dead phone is counted");
    const { configFile } = scene.props;
    const text = readFileSync(configFile, "utf8");
    writeFileSync(configFile, text.replace(/team_id: \w+/, "team_id: AAAAAAAAAA"));
    expect((await scene.verb("reload", "--config", configFile)).code).toBe(0);
    scene.exchange.mailbox("anna").deliver();
    await until(async () => (await shown()).includes("PAUSED"), "the app is paused");
    expect(await shown()).toMatch(
      /^PAUSED +com\.example\.mail on apns for \d+ s: InvalidProviderToken\n +Check apns\.key: file, key_id/m,
    );
    writeFileSync(configFile, text);
    expect((await scene.verb("reload", "--config", configFile)).code).toBe(0);
    await until(async () => !(await shown()).includes("PAUSED"), "the pause has ended");
  });

  test("of something else on the socket is told, and not waited for without end", async () => {
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nnope",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
      "220 mail.corp.example ESMTP\r\n",
    ];
    for (const [n, answer] of answers.entries()) {
      const path = join(scene.directory, `other-${n}.sock`);
      const server: Server = createServer((peer) => {
        peer.on("error", () => {});
        peer.end(answer);
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
      const { code, out, err } = await scene.verb("status", "--socket", path);
      server.close();
      expect([code, out, err]).toEqual([1, "", expect.stringContaining(path)]);
      expectSentence(err);
    }
  });
});

describe("the self-check that a service manager may rely on", () => {
  test("covers event loop, commit and dispatcher, and nothing outside this machine", async () => {
    const answer = (await askNode(join(scene.directory, "control.sock"), "selfcheck")) as {
      ok: boolean;
      parts: { name: string; ok: boolean }[];
    };
    expect(answer.ok).toBe(true);
    expect(answer.parts.map(({ name }) => name)).toEqual(["event loop", "commit", "dispatcher"]);
    const { out } = await scene.verb("status", "--socket", join(scene.directory, "control.sock"));
    expect(out).toMatch(/^ *self-check +ok +event loop, commit, dispatcher: all work$/m);
  });
});

describe("healthcheck", () => {
  const healthcheck = (...args: string[]) =>
    scene.verb("healthcheck", "--config", scene.props.configFile, ...args);

  test("of a ready node ends with 0 and says what was looked at", async () => {
    const { code, out, err } = await healthcheck();
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^ok +database: /m);
    expect(out.trimEnd()).toEndWith("\nready");
    const json = await healthcheck("--json");
    expect(JSON.parse(json.out)).toEqual({ ready: true, detail: expect.stringContaining("ready") });
  });

  test("asks the control socket, whatever became of the listener's port in the configuration", async () => {
    const other = join(scene.directory, "moved.yaml");
    const text = readFileSync(scene.props.configFile, "utf8");
    writeFileSync(other, text.replace(`port: ${scene.props.ports.admin} }`, "port: 9 }"));
    const { code, out } = await scene.verb("healthcheck", "--config", other);
    expect([code, out]).toEqual([0, expect.stringMatching(/^ok +self-check: .*: all work\n(.*\n)*ready\n$/)]);
    const bySocket = await scene.verb("healthcheck", "--socket", socket);
    expect([bySocket.code, bySocket.out]).toEqual([0, expect.stringContaining("self-check")]);
  });

  test("asks the listener where nobody answers on the socket", async () => {
    const other = join(scene.directory, "elsewhere.yaml");
    const text = readFileSync(scene.props.configFile, "utf8");
    writeFileSync(other, text.replace("socket: control.sock", "socket: nobody.sock"));
    const { code, out } = await scene.verb("healthcheck", "--config", other);
    expect([code, out]).toEqual([0, expect.stringContaining("\nready")]);
    expect(out).not.toContain("self-check");
  });

  test("of a node that is not there ends with 1 and names the address", async () => {
    const other = join(scene.directory, "other.yaml");
    const text = readFileSync(scene.props.configFile, "utf8");
    writeFileSync(
      other,
      text
        .replace(`port: ${scene.props.ports.admin} }`, "port: 9 }")
        .replace("socket: control.sock", "socket: nobody.sock"),
    );
    const { code, out, err } = await scene.verb("healthcheck", "--config", other);
    expect([code, err]).toEqual([1, ""]);
    expect(out).toContain("127.0.0.1:9");
    const json = await scene.verb("healthcheck", "--config", other, "--json");
    expect([json.code, JSON.parse(json.out)]).toEqual([1, { ready: false, detail: expect.any(String) }]);
  });

  test("without a configuration ends with 1 and a sentence", async () => {
    const { code, err } = await scene.verb("healthcheck", "--config", "/nowhere/inboxbell.yaml");
    expect(code).toBe(1);
    expect(err).toContain("/nowhere/inboxbell.yaml");
    expectSentence(err);
  });
});

describe("check", () => {
  test("of the running node's configuration is good, and disturbs nothing", async () => {
    const { code, out } = await scene.verb("check", "--config", scene.props.configFile);
    expect([code, out]).toEqual([0, "The configuration is good.\n"]);
    expect(appliance.ended()).toBeNull();
  });

  test("--json gives problems with place, key and code", async () => {
    const broken = join(scene.directory, "broken.yaml");
    const text = readFileSync(scene.props.configFile, "utf8");
    writeFileSync(broken, text.replace("level: info", "levle: info"));
    const { code, out } = await scene.verb("check", "--config", broken, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual({
      ok: false,
      problems: [
        {
          file: broken,
          line: expect.any(Number),
          column: 8,
          keyPath: "log.levle",
          code: "config_invalid",
          message: "unknown key",
          hint: 'did you mean "level"?',
        },
      ],
      warnings: [],
    });
    const good = await scene.verb("check", "--config", scene.props.configFile, "--json");
    expect([good.code, JSON.parse(good.out)]).toEqual([0, { ok: true, problems: [], warnings: [] }]);
  });
});

describe("usage", () => {
  // As docs and the delivered unit name them.
  const CONTRACT =
    "serve setup check doctor status why ring forget registrations backup restore migrate pair reload healthcheck rehearse version completion".split(
      " ",
    );

  test.each([
    ["an unknown verb", ["rign"], "rign", "inboxbell --help"],
    ["an unknown option", ["serve", "--nonsense"], "--nonsense", "inboxbell serve --help"],
    ["an option without its value", ["status", "--socket"], "--socket", "inboxbell status --help"],
    ["too many arguments", ["version", "please"], "version", "inboxbell version --help"],
    ["a value that cannot be", ["rehearse", "--for", "soon"], "--for soon", "inboxbell rehearse --help"],
  ] as const)("%s ends with 2 and a hint where it is explained", async (_, args, named, hint) => {
    const { code, out, err } = await scene.verb(...args);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(named);
    expect(err).toContain(hint);
    expect(err).toStartWith("inboxbell: ");
    expectSentence(err);
  });

  test("an argument where none belongs is not repeated: it may be a token", async () => {
    const { code, err } = await scene.verb("status", "a-device-token", "and\nanother");
    expect(code).toBe(2);
    expect(err).toContain("but got 2.");
    expect(err).not.toMatch(/a-device-token|another/);
  });

  test("no verb at all ends with 2 and the list of verbs", async () => {
    const { code, out, err } = await scene.verb();
    expect(code).toBe(2);
    expect(out + err).toContain("serve");
  });

  test("--help ends with 0, lists every verb of the contract", async () => {
    const { code, out } = await scene.verb("--help");
    expect(code).toBe(0);
    for (const verb of CONTRACT) {
      const isListed = new RegExp(`^  ${verb}\\b`, "m").test(out);
      expect([verb, isListed]).toEqual([verb, true]);
    }
    for (const verb of ["serve", "check", "status"]) {
      const help = await scene.verb(verb, "--help");
      expect([help.code, help.out]).toEqual([0, expect.stringContaining(`Usage: inboxbell ${verb}`)]);
    }
  });
});

describe("over HTTP, the running node", () => {
  const ask = (url: string, method = "GET") => fetch(url, { method, tls: { ca: scene.props.ca } });
  const listeners = ["registration", "exchange", "admin"] as const;

  test.each(listeners)("answers health on its %s listener", async (name) => {
    const url = scene.props.urls[name];
    for (const method of ["GET", "HEAD", "OPTIONS"]) {
      for (const path of ["/livez", "/readyz", "/primary"]) {
        expect([method, path, (await ask(`${url}${path}`, method)).status]).toEqual([method, path, 200]);
      }
    }
    expect(await (await ask(`${url}/primary`)).text()).toBe("ROLE=ACTIVE\n");
    expect(await (await ask(`${url}/readyz`)).text()).toBe("ready\n");
    expect(await (await ask(`${url}/readyz?verbose`)).text()).toMatch(/^ok +database: .*\n(.*\n)*ready\n$/);
    expect(await (await ask(`${url}/livez`, "HEAD")).text()).toBe("");
    expect((await ask(`${url}/livez`, "OPTIONS")).headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    expect((await ask(`${url}/livez`, "POST")).status).toBeGreaterThanOrEqual(404);
  });

  test("tells the ring in its metrics, on the admin listener only", async () => {
    const text = await (await ask(`${scene.props.urls.admin}/metrics`)).text();
    for (const sample of [
      'inboxbell_notifications_total{result="accepted"}',
      'inboxbell_answers_total{status="200"}',
      'inboxbell_rings_total{app="com.example.mail",provider="apns",outcome="accepted"}',
      'inboxbell_ring_seconds_count{provider="apns"}',
      "inboxbell_commit_seconds_count",
    ]) {
      const line = text.split("\n").find((each) => each.startsWith(`${sample} `));
      expect([sample, Number(line?.split(" ").at(-1))]).toEqual([sample, expect.any(Number)]);
      expect(Number(line?.split(" ").at(-1))).toBeGreaterThan(0);
    }
    expect(text).toMatch(/^inboxbell_credential_expiry_seconds\{name="exchange"\} \d{7}/m);
    expect(text).not.toContain(phone.token);
    for (const name of ["registration", "exchange"] as const) {
      expect((await ask(`${scene.props.urls[name]}/metrics`)).status).toBe(404);
    }
  });
});

test("the control socket is for its owner and group", () => {
  expect(statSync(socket).mode & 0o777).toBe(0o660);
});

describe("a node that stops", () => {
  test("is asked in vain a moment later, and leaves no socket behind", async () => {
    expect((await appliance.stop()).code).toBe(0);
    expect(existsSync(socket)).toBe(false);
    const status = await scene.verb("status", "--socket", socket);
    expect([status.code, status.err]).toEqual([1, expect.stringContaining("(not_running)")]);
    const health = await scene.verb("healthcheck", "--config", scene.props.configFile);
    expect(health.code).toBe(1);
  });

  test("ends in order on either signal, and says so in its last line", async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const running = await scene.up();
      running.kill(signal);
      const { code, out } = await running.exited;
      expect([code, out]).toEqual([0, ""]);
      expect(running.lines.at(-1)).toContain('"msg":"Stopped."');
    }
  });
});
