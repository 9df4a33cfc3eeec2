// What `doctor` finds of a live node of the compiled binary, each made real: rings that are refused, a setting that
// waits for a restart, a machine without time, disks that are small, full or somewhere else.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { doctor, readSight, type Sight } from "./doctor-report.ts";
import { binary, type Running, run, type Scene, setScene, until } from "./helpers.ts";

const isRoot = process.getuid?.() === 0;
const has = (...programs: readonly string[]) => programs.every((program) => Bun.which(program) !== null);

let scene: Scene;
let node: Running;
let good: string;
const look = (): Promise<Sight> => doctor(scene.props.configFile, join(scene.directory, "tmp"));
const edit = (change: (text: string) => string) => {
  const changed = change(good);
  if (changed === good) throw new Error("the change changes nothing");
  writeFileSync(scene.props.configFile, changed);
};

describe("doctor, of a live node", () => {
  beforeAll(async () => {
    scene = await setScene("doctor");
    good = readFileSync(scene.props.configFile, "utf8");
    node = await scene.up();
  }, 60_000);
  afterEach(() => writeFileSync(scene.props.configFile, good));
  afterAll(() => scene.stop());

  test("with which nothing is wrong, has nothing to say and ends with 0", async () => {
    const sight = await look();
    expect([sight.codes, sight.exitCode]).toEqual([[], 0]);
  });

  test("fits its lines to a terminal of 80 columns", async () => {
    // script(1) gives it a terminal; stty sets its width.
    const command = `stty cols 80; exec ${binary} doctor --config ${scene.props.configFile}`;
    const { code, out } = await run(["script", "-qec", command, "/dev/null"], {
      temporary: join(scene.directory, "tmp"),
    });
    const lines = out.split("\r\n");
    expect(code).toBe(0);
    expect(lines.length).toBeGreaterThan(20);
    // A path, a URL or an id is never broken.
    expect(lines.filter((line) => line.length > 80 && line.trim().includes(" "))).toEqual([]);
    expect(lines.at(-2)).toMatch(/^\d+ looks: 0 failures, 0 warnings\.$/);
  });

  test("that waits for a restart to take over a setting, says restart_needed and which", async () => {
    edit((text) => text.replace("control:", "ringing: { stalled_after: 3m }\ncontrol:"));
    const { configFile } = scene.props;
    expect((await scene.verb("reload", "--config", configFile)).code).toBe(0);
    const sight = await look();
    expect([sight.codes, sight.exitCode]).toEqual([["restart_needed"], 0]);
    expect(sight.only("restart_needed").seen).toBe("ringing.stalled_after");
    writeFileSync(configFile, good);
    expect((await scene.verb("reload", "--config", configFile)).code).toBe(0);
    expect((await look()).codes).toEqual([]);
  });

  test("that gets no time from its machine, says node_impaired and that it is the event loop", async () => {
    let sight: Sight | null = null;
    // Its timer may just have been early: a stop of two seconds is seen for half a second.
    for (let round = 0; round < 5 && sight?.codes.includes("node_impaired") !== true; round++) {
      node.kill("SIGSTOP");
      const looking = look();
      await Bun.sleep(2_500);
      node.kill("SIGCONT");
      sight = await looking;
    }
    const { level, seen } = sight!.only("node_impaired");
    expect([level, seen]).toEqual(["warning", expect.stringMatching(/^event loop: \d\.\d+ s late$/)]);
  }, 30_000);

  test("whose team id is wrong, says what Apple has against it, and that the app is paused", async () => {
    edit((text) => text.replace(/team_id: \w+/, "team_id: WRONGTEAM1"));
    expect((await scene.verb("reload", "--config", scene.props.configFile)).code).toBe(0);
    const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    scene.exchange.mailbox("anna").deliver();
    await until(async () => (await look()).codes.includes("app_paused"), "the app is paused");
    const sight = await look();
    expect([sight.codes, sight.exitCode]).toEqual([["app_paused", "apns_credential_refused"], 1]);
    const { subject, seen, remedy } = sight.only("app_paused");
    expect(subject).toBe("com.example.mail on apns");
    expect(seen).toMatch(/^paused for \d+ s: InvalidProviderToken$/);
    expect([remedy, sight.only("apns_credential_refused").remedy]).toEqual([
      expect.stringContaining("team_id"),
      expect.stringContaining("team_id"),
    ]);
    writeFileSync(scene.props.configFile, good);
    expect((await scene.verb("reload", "--config", scene.props.configFile)).code).toBe(0);
    await until(() => phone.badge === 1, "the phone is rung");
    expect((await look()).codes).toEqual([]);
  }, 60_000);
});

const MIB = 1_048_576;

describe.skipIf(!isRoot || !has("mount"))("doctor, of a node whose disk is small (root, mount)", () => {
  let small: string;
  beforeAll(async () => {
    scene = await setScene("small", {
      config: (text) => text.replace("path: inboxbell.db", "path: small/i.db"),
    });
    small = join(scene.directory, "small");
    mkdirSync(small);
    expect((await run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", small])).code).toBe(0);
    node = await scene.up();
  }, 60_000);
  afterAll(async () => {
    await node?.stop();
    await run(["umount", small]);
    await scene.stop();
  });

  test("and filling up, says disk_low", async () => {
    const sight = await look();
    expect(sight.codes).toEqual(["disk_volatile", "disk_low"]);
    expect(sight.only("disk_low").seen).toMatch(/^3\d\d MiB free$/);
  });

  test("and full, says disk_full, and once nothing can be accepted any more, node_not_ready", async () => {
    const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    let files = 0;
    /** Takes all the room that there is. */
    const fill = () => {
      for (let bytes = 16 * MIB; bytes >= 1; bytes = Math.floor(bytes / 4)) {
        for (let full = false; !full && files < 1000; ) {
          try {
            writeFileSync(join(small, `fill-${files++}`), Buffer.alloc(bytes));
          } catch {
            full = true;
          }
        }
      }
    };
    const codes = async () => (await look()).codes;
    // The node gives up its reserve once: that is filled, too.
    await until(
      async () => {
        fill();
        scene.exchange.mailbox("anna").deliver();
        return (await codes()).includes("node_not_ready");
      },
      () => `the node is not ready; it said ${node.lines.slice(-5).join("\n")}`,
    );
    const sight = await look();
    expect(sight.codes).toEqual(["disk_full", "node_not_ready"]);
    expect(sight.only("node_not_ready").seen).toStartWith("database: cannot be written");
    expect(sight.only("disk_full").seen).toContain("not even");
    for (let file = 0; file < files; file++) rmSync(join(small, `fill-${file}`), { force: true });
    await until(async () => !(await codes()).includes("node_not_ready"), "the node is ready again");
  }, 60_000);
});

const SFTP = "/usr/lib/openssh/sftp-server";
const canShare = isRoot && has("sshfs", "umount") && existsSync(SFTP) && existsSync("/dev/fuse");

describe.skipIf(!canShare)(
  "doctor, where the database lies on another machine (root, sshfs, openssh-sftp-server)",
  () => {
    test("says disk_not_local and by what", async () => {
      scene = await setScene("share", {
        config: (text) => text.replace("path: inboxbell.db", "path: far/i.db"),
      });
      const [far, mounted] = [join(scene.directory, "there"), join(scene.directory, "far")];
      for (const directory of [far, mounted]) mkdirSync(directory);
      const children: { kill(): void; readonly exited: Promise<number> }[] = [];
      // What sshd does for whoever has logged in.
      const server = createServer((socket) => {
        const child = Bun.spawn([SFTP], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
        children.push(child);
        socket.on("data", (bytes) => {
          child.stdin.write(bytes);
          void child.stdin.flush();
        });
        socket.on("error", () => {});
        void (async () => {
          for await (const bytes of child.stdout) socket.write(bytes);
        })();
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { readonly port: number };
      try {
        const { code, err } = await run(["sshfs", "-o", `directport=${port}`, `127.0.0.1:${far}`, mounted]);
        expect([code, err]).toEqual([0, ""]);
        const { code: exitCode, out } = await scene.verb(
          "doctor",
          "--json",
          "--config",
          scene.props.configFile,
        );
        const sight = readSight(exitCode, out);
        expect(sight.only("disk_not_local")).toMatchObject({ subject: mounted, seen: "it is on fuse.sshfs" });
        expect(sight.exitCode).toBe(1);
      } finally {
        await run(["umount", mounted]);
        server.close();
        for (const child of children) child.kill();
        await Promise.all(children.map((child) => child.exited));
        await scene.stop();
      }
    }, 60_000);
  },
);
