// What can be wrong on the machine itself: files, permissions, the disk, the database, the running node.
import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { examine } from "../../../src/cli/doctor/examination.ts";
import { newestSchema } from "../../../src/store/database.ts";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";

const isRoot = process.getuid?.() === 0;
const root = join(import.meta.dir, "..", "..", "..");

let clinic: Clinic;
let good: string;
const file = (name: string) => join(clinic.props.directory, name);

beforeAll(async () => {
  clinic = await openClinic();
  good = readFileSync(clinic.props.configFile, "utf8");
});
beforeEach(() => writeFileSync(clinic.props.configFile, good));
afterEach(() => clinic.down());
afterAll(() => clinic.stop());

/** Codes beyond those of a node that does not run. */
async function beyondStopped(): Promise<string[]> {
  const stopped = ["node_not_running", "public_unreachable"];
  return complaints(await clinic.look()).filter((code) => !stopped.includes(code));
}

describe("doctor, of the configuration", () => {
  test("tells of an unknown key with its place, and looks at nothing beyond", async () => {
    clinic.edit((text) => text.replace("ring: badge", "rnig: badge"));
    const result = await clinic.look();
    expect(complaints(result)).toEqual(["config_problem", "node_not_running"]);
    const { seen } = only(result, "config_problem");
    expect(seen).toMatch(/^unknown key; did you mean "ring"\? \(.*inboxbell\.yaml:\d+:\d+\)$/);
  });

  test("tells of a configuration that is not there, and how to come by one", async () => {
    const clocks = { now: Date.now, monotonicNow: () => performance.now(), random: Math.random };
    const result = await examine({ configFile: file("nowhere.yaml"), env: {}, clocks });
    expect(complaints(result)).toEqual(["config_problem"]);
    expect(only(result, "config_problem").remedy).toContain("inboxbell setup");
  });

  test("tells of weak settings by their own names", async () => {
    clinic.edit((text) =>
      text
        .replace(/(registration: .*)tls: \{[^}]*\}/, "$1tls: off")
        .replace(/(exchange: .*)allow: \[127.0.0.0\/8\]/, "$1allow: [], shared_route: on")
        .replace("exchange:     { address: 127.0.0.1", "exchange:     { address: 0.0.0.0"),
    );
    expect(await beyondStopped()).toEqual(["tls_off", "allow_empty", "shared_route_on"]);
  });
});

describe("doctor, of what systemd makes at a start", () => {
  test.skipIf(existsSync("/run/inboxbell"))("warns while it is not there (no /run/inboxbell)", async () => {
    clinic.edit((text) => text.replace("control: { socket: control.sock }", "control: {}"));
    expect(await beyondStopped()).toEqual(["config_warning"]);
  });
});

describe("doctor, of permissions", () => {
  test("tells of a secret that others can read", async () => {
    chmodSync(file("AuthKey.p8"), 0o644);
    try {
      const result = await clinic.look();
      expect(only(result, "secret_exposed").seen).toContain("AuthKey.p8");
    } finally {
      chmodSync(file("AuthKey.p8"), 0o600);
    }
  });

  test("tells of a secret that is missing", async () => {
    clinic.edit((text) => text.replace("enrolment.secret", "nowhere.secret"));
    expect(complaints(await clinic.look())).toContain("secret_unreadable");
  });

  test("tells of a directory in which everybody may write", async () => {
    chmodSync(clinic.props.directory, 0o777);
    try {
      expect(await beyondStopped()).toEqual(["directory_writable"]);
    } finally {
      chmodSync(clinic.props.directory, 0o700);
    }
  });

  test.skipIf(!isRoot)(
    "tells of a database that root made in a directory of somebody else (root)",
    async () => {
      await clinic.up();
      await clinic.down();
      chownSync(file("keys.json"), 65534, 65534);
      try {
        expect(await beyondStopped()).toEqual(["owner_differs"]);
      } finally {
        chownSync(file("keys.json"), 0, 0);
      }
    },
  );
});

describe("doctor, of the disk", () => {
  test("tells of a directory that is not there", async () => {
    clinic.edit((text) => text.replace("path: inboxbell.db", "path: nowhere/inboxbell.db"));
    expect(await beyondStopped()).toContain("disk_unwritable");
  });

  const mount = Bun.which("mount");
  test.skipIf(!isRoot || mount === null)(
    "tells of one that is full, and of one that is memory (root, mount)",
    async () => {
      const small = file("small");
      mkdirSync(small);
      const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", small]);
      expect(mounted.exitCode).toBe(0);
      try {
        clinic.edit((text) => text.replace("path: inboxbell.db", "path: small/inboxbell.db"));
        expect(await beyondStopped()).toEqual(["disk_volatile", "disk_full"]);
      } finally {
        Bun.spawnSync(["umount", small]);
        rmSync(small, { recursive: true });
      }
    },
  );

  const strace = Bun.which("strace");
  test.skipIf(strace === null)("tells of one whose flushes take long (strace)", async () => {
    const child = Bun.spawn(
      // The kernel lets each flush of the process wait.
      [
        ...[
          "strace",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          "trace=fsync",
          "-e",
          "inject=fsync:delay_exit=40000",
        ],
        ...[
          process.execPath,
          join(root, "src", "main.ts"),
          "doctor",
          "--json",
          "--config",
          clinic.props.configFile,
        ],
      ],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 50_000 },
    );
    const report = JSON.parse(await new Response(child.stdout).text()) as {
      results: { code: string; seen: string }[];
    };
    await child.exited;
    expect(report.results.find(({ code }) => code === "disk_slow")?.seen).toMatch(/a flush takes [4-9]\d/);
  });

  test("leaves nothing behind there", async () => {
    await clinic.look();
    expect(readdirSync(clinic.props.directory).filter((name) => name.startsWith(".doctor"))).toEqual([]);
  });
});

describe("doctor, of a database at rest", () => {
  const database = () => file("inboxbell.db");
  const forget = () => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${database()}${suffix}`, { force: true });
    rmSync(file("keys.json"), { force: true });
  };
  beforeEach(async () => {
    forget();
    await clinic.up();
    await clinic.down();
  });
  afterAll(forget);

  test("that is whole, has nothing to say, takes no lock and leaves nothing behind", async () => {
    const before = [readdirSync(clinic.props.directory), statSync(database()).mtimeMs];
    expect(await beyondStopped()).toEqual([]);
    expect([readdirSync(clinic.props.directory), statSync(database()).mtimeMs]).toEqual(before);
  });

  test("that is whole only together with its write-ahead log, has nothing to say", async () => {
    await clinic.up();
    const copy = file("crashed.db");
    // As a power failure leaves them: nobody has closed them.
    copyFileSync(database(), copy);
    copyFileSync(`${database()}-wal`, `${copy}-wal`);
    await clinic.down();
    clinic.edit((text) => text.replace("path: inboxbell.db", "path: crashed.db"));
    expect(existsSync(`${copy}-wal`)).toBe(true);
    expect(await beyondStopped()).toEqual([]);
    for (const suffix of ["", "-wal"]) rmSync(`${copy}${suffix}`);
  });

  test("that is damaged, says database_corrupt", async () => {
    const size = statSync(database()).size;
    const opened = openSync(database(), "r+");
    // Every page but the first.
    writeSync(opened, Buffer.alloc(size - 4096, 0x5a), 0, size - 4096, 4096);
    closeSync(opened);
    expect(await beyondStopped()).toEqual(["database_corrupt"]);
  });

  test("that a newer version wrote, says database_newer", async () => {
    const db = new Database(database());
    db.run(`PRAGMA user_version = ${newestSchema() + 1}`);
    db.close();
    expect(await beyondStopped()).toEqual(["database_newer"]);
  });

  test("that is another program's, says database_foreign", async () => {
    const db = new Database(database());
    db.run("PRAGMA application_id = 7");
    db.close();
    expect(await beyondStopped()).toEqual(["database_foreign"]);
  });

  test("that is no database, says database_foreign", async () => {
    writeFileSync(database(), "not a database, and long enough to be looked at ".repeat(200));
    expect(await beyondStopped()).toEqual(["database_foreign"]);
  });
});

describe("doctor, of the running node", () => {
  const setpriv = Bun.which("setpriv");
  test.skipIf(!isRoot || setpriv === null)(
    "that another user may not ask, says node_denied (root, setpriv)",
    async () => {
      await clinic.up();
      chmodSync(clinic.props.directory, 0o711);
      try {
        const child = Bun.spawn(
          [
            ...["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            ...[
              process.execPath,
              "-e",
              `const { examineNode } = await import(${JSON.stringify(join(root, "src/cli/doctor/node.ts"))}); console.log(JSON.stringify(await examineNode(${JSON.stringify(file("control.sock"))})));`,
            ],
          ],
          { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 20_000 },
        );
        const [out, err] = await Promise.all([
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
        ]);
        expect(err).toBe("");
        const sight = JSON.parse(out) as { results: { code: string }[]; running: boolean };
        expect(sight.results.map(({ code }) => code)).toEqual(["node_denied"]);
        expect(sight.running).toBe(true);
      } finally {
        chmodSync(clinic.props.directory, 0o700);
      }
    },
  );
});
