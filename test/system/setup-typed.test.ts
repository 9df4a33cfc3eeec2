// `setup` and others on a real terminal with somebody who types what people type: wrong files, long names, blanks and
// umlauts, in a narrow window, and Ctrl-C where nothing is asked.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { encodeInvitation } from "../../src/pair/invitation.ts";
import { binary, freshDirectory, run } from "./helpers.ts";
import { answer, type Desk, type Step, setDesk } from "./interviewed.ts";
import { sitDown } from "./typist.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

/** The steps with other answers to some questions. */
function withAnswers(
  steps: readonly Step[],
  other: Readonly<Record<string, readonly string[]>>,
): readonly Step[] {
  return steps.map(([question, ...usual]): Step => [question, ...(other[question] ?? usual)]);
}

async function checked(desk: Desk): Promise<void> {
  const { code, err } = await run([binary, "check", "--config", desk.config], { temporary: desk.at("tmp") });
  expect([code, err]).toEqual([0, ""]);
}

describe("setup on a terminal", () => {
  test("takes files with blanks and umlauts in their paths, and a configuration at such a place", async () => {
    const desk = await setDesk("Schlüssel für Äpfel (neu)");
    const typist = desk.sit();
    try {
      await answer(typist, desk.steps);
      expect(await typist.ended()).toBe(0);
      expect(typist.screen()).toContain("Next:");
      await checked(desk);
    } finally {
      typist.close();
      desk.remove();
    }
  }, 30_000);

  test("asks in a window of 20 columns as in any other", async () => {
    const desk = await setDesk();
    const typist = desk.sit(20);
    try {
      await answer(typist, desk.steps);
      expect(await typist.ended()).toBe(0);
      await checked(desk);
    } finally {
      typist.close();
      desk.remove();
    }
  }, 30_000);

  test("refuses at once names that no host has, and asks again; control characters never get into an answer", async () => {
    const desk = await setDesk();
    const typist = desk.sit();
    try {
      await typist.sees("Phones reach it as");
      for (const name of [`${"x".repeat(64)}.corp.example`, `${"ab.".repeat(2_000)}example`]) {
        typist.type(`${name}\r`);
        await typist.sees("a host name has 253 characters at most, and 63 between two dots");
      }
      typist.type("127.0.0.1\u0007\u0000\u001b[31m\r");
      await answer(typist, desk.steps.slice(1));
      expect(await typist.ended()).toBe(0);
      const text = await Bun.file(desk.config).text();
      // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
      expect(/[\u0000-\u0009\u000b-\u001f\u007f]/.test(text)).toBe(false);
      expect(text).toContain("registration_url: https://127.0.0.1:8443");
    } finally {
      typist.close();
      desk.remove();
    }
  }, 30_000);

  test("says of a certificate at once that it is none, and lets whoever named a wrong one go back to it", async () => {
    const desk = await setDesk();
    const typist = desk.sit();
    try {
      const steps = withAnswers(desk.steps, {
        "Certificate chain for phones": ["/nowhere.pem", desk.at("tls/reg.key"), desk.at("tls/ews.pem")],
      });
      const before = steps.findIndex(([question]) => question === "Its private key");
      await answer(typist, steps.slice(0, before));
      expect(typist.screen()).toContain("/nowhere.pem cannot be read: there is no such file.");
      expect(typist.screen()).toContain("reg.key: expected one or more certificates in PEM.");
      // The key of the certificate that was meant does not fit the one that was named.
      await answer(typist, [
        ["Its private key [back to the certificate]", desk.at("tls/reg.key")],
        ["Its private key [back to the certificate]", ""],
      ]);
      await answer(typist, [["Certificate chain for phones", desk.at("tls/reg.pem")]]);
      await answer(typist, steps.slice(before));
      expect(await typist.ended()).toBe(0);
      await checked(desk);
    } finally {
      typist.close();
      desk.remove();
    }
  }, 30_000);

  test.skipIf(Bun.which("openssl") === null)(
    "asks for the password of a push certificate that has one, and again for what rings the app (needs openssl)",
    async () => {
      const desk = await setDesk();
      const [password, push] = [desk.at("push.password"), desk.at("push.p12")];
      await Bun.write(password, "of the test\n");
      const made = await run([
        ...["openssl", "pkcs12", "-export", "-in", desk.at("tls/ews.pem"), "-inkey", desk.at("tls/ews.key")],
        ...["-out", push, "-passout", `file:${password}`],
      ]);
      expect([made.code, made.err]).toEqual([0, ""]);
      const typist = desk.sit();
      try {
        const app = desk.steps.findIndex(([question]) => question === "token key");
        const rest = desk.steps.findIndex(([question]) => question === "secret that phones enrol");
        await answer(typist, desk.steps.slice(0, app));
        await answer(typist, [
          ["token key", ""],
          ["Or a push certificate", ""],
          ["Google service account", ""],
          ["token key", ""],
          ["Or a push certificate", push],
          ["File with its password", desk.at("enrolment.secret"), password],
          ["Apple's environment", ""],
          ["Google service account", ""],
        ]);
        expect(typist.screen()).toContain("Something has to ring the app");
        expect(typist.screen()).toContain("to be opened with no password");
        expect(typist.screen()).toContain("to be opened with the configured password");
        await answer(typist, desk.steps.slice(rest));
        expect(await typist.ended()).toBe(0);
        const copy = join(dirname(desk.config), "push-com.example.mail.password");
        expect(statSync(copy).mode & 0o777).toBe(0o600);
      } finally {
        typist.close();
        desk.remove();
      }
    },
    30_000,
  );
});

describe("a passphrase that is typed", () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await setDesk();
    const typist = desk.sit();
    await answer(typist, desk.steps);
    expect(await typist.ended()).toBe(0);
    typist.close();
  });
  afterAll(() => desk.remove());

  for (const [key, name] of [
    [CTRL_C, "Ctrl-C"],
    [CTRL_D, "the end of the input"],
    ["SIGTERM", "a signal"],
  ] as const) {
    test(`is not shown, and ${name} ends the question, with the terminal as it was`, async () => {
      const file = desk.at("node.bell");
      const typist = sitDown([binary, "backup", file, "--config", desk.config], {
        temporary: desk.at("tmp"),
      });
      try {
        await typist.sees("Passphrase");
        typist.type("unseen");
        await Bun.sleep(200);
        expect(typist.screen()).not.toContain("unseen");
        if (key === "SIGTERM") {
          typist.kill(key);
          expect(await typist.ended(5_000)).toBe("SIGTERM");
        } else {
          // The end of the input counts on an empty line.
          if (key === CTRL_D) typist.type("\u007f".repeat(6));
          typist.type(key);
          expect(await typist.ended(5_000)).not.toBe(0);
        }
        expect(typist.isUsual()).toBe(true);
        expect(existsSync(file)).toBe(false);
      } finally {
        typist.close();
      }
    }, 20_000);
  }
});

describe("pair join on a terminal", () => {
  let silent: Server;
  let port = 0;
  const directory = freshDirectory("join");
  beforeAll(async () => {
    // Takes connections and never says a word.
    silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });
  afterAll(async () => {
    silent.close();
    directory.remove();
  });

  for (const key of [CTRL_C, CTRL_D]) {
    test(`ends at once with ${key === CTRL_C ? "Ctrl-C" : "the end of the input"} while it waits for the first node, with nothing written`, async () => {
      const code = encodeInvitation({
        host: "127.0.0.1",
        port,
        secret: Buffer.alloc(16, 1),
        fingerprint: Buffer.alloc(16, 2),
      });
      const config = join(directory.path, "etc", "inboxbell.yaml");
      const typist = sitDown([binary, "pair", "join", "--config", config, "--node", "bell-b"], {
        temporary: directory.path,
      });
      try {
        await answer(typist, [
          ["Code from", code],
          ["Take over the listeners' certificates", "y"],
        ]);
        await Bun.sleep(500);
        typist.type(key);
        expect(await typist.ended(3_000)).toBe(1);
        expect(typist.screen()).toContain("Broken off; nothing was written.");
        expect(typist.isUsual()).toBe(true);
        expect(existsSync(config)).toBe(false);
      } finally {
        typist.close();
      }
    }, 20_000);
  }
});
