// The control socket: who may use it, who else is on its path, and requests that nobody should send.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BellError, isBellError } from "../../src/errors.ts";
import {
  askNode,
  type ControlHandler,
  type ControlServer,
  createControlServer,
} from "../../src/ops/control.ts";
import { createLogger } from "../../src/ops/log.ts";

let directory: string;
let path: string;
let lines: string[];
const stops: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-control-"));
  path = join(directory, "control.sock");
  lines = [];
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  rmSync(directory, { recursive: true });
});

const VERBS: Readonly<Record<string, ControlHandler>> = {
  ping: () => "pong",
  echo: (input) => ({ input }),
  nothing: () => undefined,
  later: async () => {
    await Bun.sleep(20);
    return { done: true };
  },
  refuse: () => {
    throw new BellError("store_unavailable", "The database /x/y.db cannot be written.");
  },
  fail: () => {
    throw new TypeError("a defect with a secret in it");
  },
};

async function serve(verbs = VERBS): Promise<ControlServer> {
  const log = createLogger("debug", "json", (line) => void lines.push(line));
  const server = createControlServer(path, verbs, log);
  await server.start();
  stops.push(() => server.stop());
  return server;
}

async function refusal(act: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await act();
  } catch (error) {
    if (isBellError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was not refused");
}

/** Sends bytes and returns what comes back until the server closes, or `limitMs` have passed. */
function raw(bytes: string | Buffer, limitMs = 3_000): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect(path, () => socket.write(bytes));
    let text = "";
    const timer = setTimeout(() => socket.destroy(), limitMs);
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

const post = (verb: string, body: string, headers = "") =>
  `POST /${verb} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

describe("the socket", () => {
  test("is for its owner and group whatever the process's umask is, and goes when the server stops", async () => {
    for (const umask of [0o000, 0o022, 0o077]) {
      const before = process.umask(umask);
      try {
        const server = await serve();
        expect(statSync(path).mode & 0o777).toBe(0o660);
        expect(process.umask()).toBe(umask);
        await server.stop();
      } finally {
        process.umask(before);
      }
      expect(existsSync(path)).toBe(false);
    }
  });

  test("of a dead process is replaced", async () => {
    const dead = Bun.spawn(
      [
        process.execPath,
        "-e",
        `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`,
      ],
      { stdout: "pipe" },
    );
    for await (const _ of dead.stdout) break;
    dead.kill("SIGKILL");
    await dead.exited;
    expect(statSync(path).isSocket()).toBe(true);
    await serve();
    expect(await askNode(path, "ping")).toBe("pong");
  });

  test("of a live node is refused and left to it", async () => {
    await serve();
    const second = createControlServer(path, {});
    expect(await refusal(() => second.start())).toEqual({
      code: "control_socket",
      message: expect.stringContaining(`Another Inboxbell listens on ${path}`),
    });
    // A start that failed takes nothing away when it is cleaned up.
    expect(await askNode(path, "ping")).toBe("pong");
  });

  test("of a live process that is too busy to answer is not taken from it", async () => {
    const busy: Server = createServer(() => {});
    await new Promise<void>((resolve) => busy.listen(path, resolve));
    stops.push(() => busy.close());
    const started = performance.now();
    expect((await refusal(() => createControlServer(path, {}).start())).code).toBe("control_socket");
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(existsSync(path)).toBe(true);
  });

  test("never replaces a file or follows a link to one", async () => {
    writeFileSync(path, "mine");
    expect(await refusal(() => createControlServer(path, {}).start())).toEqual({
      code: "control_socket",
      message: `${path} exists and is not a socket.`,
    });
    expect(readFileSync(path, "utf8")).toBe("mine");
    const link = join(directory, "link.sock");
    symlinkSync(path, link);
    expect((await refusal(() => createControlServer(link, {}).start())).code).toBe("control_socket");
    expect(readFileSync(path, "utf8")).toBe("mine");
  });

  test("needs a directory and a path that fits", async () => {
    const nowhere = join(directory, "no", "control.sock");
    const missing = await refusal(() => createControlServer(nowhere, {}).start());
    expect(missing).toEqual({
      code: "control_socket",
      message: expect.stringContaining(join(directory, "no")),
    });
    const long = join(directory, "x".repeat(108));
    expect(await refusal(() => createControlServer(long, {}).start())).toEqual({
      code: "control_socket",
      message: expect.stringContaining("107 bytes"),
    });
  });

  test("can be started again after a stop, and a second stop is nothing", async () => {
    const server = await serve();
    await server.stop();
    await server.stop();
    await server.start();
    expect(await askNode(path, "ping")).toBe("pong");
  });
});

describe("a verb", () => {
  test("is asked and answered, with and without input", async () => {
    await serve();
    expect(await askNode(path, "ping")).toBe("pong");
    expect(await askNode(path, "later")).toEqual({ done: true });
    expect(await askNode(path, "nothing")).toBeNull();
    const input = { id: "ä\n\u2028", list: [1, null, false] };
    expect(await askNode(path, "echo", { input })).toEqual({ input });
    expect(await askNode(path, "echo")).toEqual({ input: null });
  });

  test("that the node refuses brings its code and its sentence", async () => {
    await serve();
    expect(await refusal(() => askNode(path, "refuse"))).toEqual({
      code: "store_unavailable",
      message: "The database /x/y.db cannot be written.",
    });
    expect(lines).toEqual([]);
  });

  test("that fails by a defect is told to the log, and to the client that it is there", async () => {
    await serve();
    const told = await refusal(() => askNode(path, "fail"));
    expect(told).toEqual({ code: "internal", message: expect.stringContaining("its log has the reason") });
    expect(told.message).not.toContain("secret");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "error", verb: "fail" });
    expect(await askNode(path, "ping")).toBe("pong");
  });

  test("that this node does not know is said so, also where an object has such a property", async () => {
    await serve();
    for (const verb of ["frobnicate", "constructor", "__proto__", "toString", ""]) {
      expect(await refusal(() => askNode(path, verb))).toEqual({
        code: "not_available",
        message: expect.stringContaining("does not know this verb"),
      });
    }
  });
});

describe("a request that nobody should send", () => {
  const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
  beforeEach(async () => {
    await serve();
  });
  afterEach(async () => {
    expect(await askNode(path, "ping")).toBe("pong");
  });

  test("is refused if its body is no JSON, whatever the verb", async () => {
    for (const body of ["{", "undefined", "\u0000", "{'a':1}"]) {
      expect([body, status(await raw(post("echo", body)))]).toEqual([body, 400]);
    }
  });

  test("is refused if it is no POST", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await raw(`${method} /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect([method, status(answer)]).toEqual([method, 405]);
    }
  });

  test("is refused if it is larger than any verb needs", async () => {
    const answer = await raw(post("echo", JSON.stringify("x".repeat(200_000))));
    expect(status(answer)).toBe(413);
  });

  test("is dropped if it is no HTTP", async () => {
    for (const bytes of ["hello\r\n\r\n", "\u0000\u0001\u0002\r\n\r\n", Buffer.alloc(5_000, 0xff)]) {
      expect(status(await raw(bytes, 500))).not.toBe(200);
    }
  });

  test("keeps nobody else waiting if its sender says nothing, or half of it, and does not hold up a stop", async () => {
    const silent = connect(path);
    const half = connect(path, () => half.write(post("echo", '"abc"').slice(0, -2)));
    for (const socket of [silent, half]) socket.on("error", () => {});
    await Bun.sleep(50);
    expect(await askNode(path, "ping")).toBe("pong");
    const started = performance.now();
    const [stop] = stops.splice(0);
    await stop!();
    expect(performance.now() - started).toBeLessThan(2_000);
    for (const socket of [silent, half]) socket.destroy();
    await serve();
  });
});

// Root may use every socket.
const setpriv = process.getuid?.() === 0 ? Bun.which("setpriv") : null;

describe("asking where no node is", () => {
  test("is told apart from a socket that a killed node left behind", async () => {
    expect((await refusal(() => askNode(path, "status"))).message).toContain("there is no control socket");
    const dead = Bun.spawn(
      [
        process.execPath,
        "-e",
        `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`,
      ],
      { stdout: "pipe" },
    );
    for await (const _ of dead.stdout) break;
    dead.kill("SIGKILL");
    await dead.exited;
    expect((await refusal(() => askNode(path, "status"))).message).toContain(
      "left behind by one that was killed",
    );
  });

  test.skipIf(setpriv === null)(
    "is told apart from a socket that this user may not use (setpriv)",
    async () => {
      await serve();
      chmodSync(directory, 0o755);
      const source = join(import.meta.dir, "..", "..", "src", "ops", "control.ts");
      const program = `import { askNode } from ${JSON.stringify(source)};
      await askNode(${JSON.stringify(path)}, "ping").catch((error) => console.log(error.code, error.message));`;
      const child = Bun.spawn(
        [setpriv!, "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", program],
        { stdout: "pipe", stderr: "pipe", env: { ...process.env, HOME: "/tmp" } },
      );
      const [out, err] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      expect([out.trim(), err]).toEqual([
        `control_denied This user may not use the control socket ${path}: it is for the service's user and group.`,
        "",
      ]);
    },
  );

  test("is told with the path", async () => {
    expect(await refusal(() => askNode(path, "status"))).toEqual({
      code: "not_running",
      message: expect.stringContaining(path),
    });
    expect(existsSync(path)).toBe(false);
  });

  test.each([
    ["text", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ["an error page", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n<html"],
    ["another protocol", "220 mail.corp.example ESMTP\r\n"],
    ["nothing", ""],
  ])("but somebody who answers %s is told, too", async (_, answer) => {
    const other = createServer((peer) => {
      peer.on("error", () => {});
      peer.end(answer);
    });
    await new Promise<void>((resolve) => other.listen(path, resolve));
    stops.push(() => other.close());
    const told = await refusal(() => askNode(path, "status"));
    expect(told).toEqual({ code: "not_running", message: expect.stringContaining(path) });
  });
});
