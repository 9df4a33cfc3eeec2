// Backup and restore of the compiled binary on a disk that is full, in a directory that is another's, and killed at
// every step that it takes.
import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { id } from "../../store/helpers.ts";
import { type BackupStage, setBackupStage } from "../backup-stage.ts";
import { binary, type Running, run, type Scene, setScene, start, until, untilReady } from "../helpers.ts";

const isRoot = process.getuid?.() === 0;
const has = (program: string) => Bun.which(program) !== null;
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** A directory that is a disk of its own. */
function disk(path: string, megabytes: number): void {
  mkdirSync(path);
  const mounted = Bun.spawnSync([
    "mount",
    "-t",
    "tmpfs",
    "-o",
    `size=${megabytes}m,mode=0700`,
    "tmpfs",
    path,
  ]);
  expect(mounted.stderr.toString()).toBe("");
  endings.push(() => Bun.spawnSync(["umount", "-l", path]));
}

/** Makes a database so many megabytes larger, in its main file. */
function fatten(path: string, megabytes: number): void {
  const db = new Database(path);
  db.prepare("INSERT INTO meta (key, value) VALUES ('filler', zeroblob(?))").run(megabytes * 1_048_576);
  db.pragma("wal_checkpoint(TRUNCATE)");
  db.close();
}

const freeOn = (path: string) => {
  const { bavail, bsize } = statfsSync(path);
  return (bavail * bsize) / 1_048_576;
};
const names = (directory: string) =>
  readdirSync(directory).filter((name) => /backup|\.copy-|partial|restor/.test(name));

const canMount = isRoot && Bun.spawnSync(["unshare", "-m", "true"]).exitCode === 0;

describe.skipIf(!canMount)("on a full disk (root, mount)", () => {
  async function loaded(megabytes: number): Promise<{ scene: Scene; node: Running; store: string }> {
    const scene = await setScene("full", {
      config: (text) => text.replace("path: inboxbell.db", "path: disk/inboxbell.db"),
    });
    endings.push(() => scene.stop());
    const store = join(scene.directory, "disk");
    disk(store, megabytes);
    const first = await scene.up();
    const phone = scene.addPhone({ platform: "apns", mailbox: "anna", tellsInbox: true });
    await phone.enrol();
    await first.stop();
    fatten(join(store, "inboxbell.db"), 56);
    await Bun.write(join(scene.directory, "passphrase"), "correct horse battery\n");
    chmodSync(join(scene.directory, "passphrase"), 0o600);
    return { scene, node: await scene.up(), store };
  }

  /** Backs up while notifications arrive. */
  async function backup(scene: Scene, store: string, file: string) {
    let least = Number.POSITIVE_INFINITY;
    let isOver = false;
    const load = (async () => {
      while (!isOver) {
        scene.exchange.mailbox("anna").deliver();
        least = Math.min(least, freeOn(store));
        await Bun.sleep(20);
      }
    })();
    const secret = ["--passphrase-file", join(scene.directory, "passphrase")];
    const ended = await scene.verb("backup", file, ...secret, "--config", scene.props.configFile);
    isOver = true;
    await load;
    return { ended, least };
  }

  test("a backup whose copy would not leave the node its room is refused; the node goes on with what it had", async () => {
    // 64 MB of reserve, 56 of database: about 60 are free, of which the copy would take all but a few.
    const { scene, node, store } = await loaded(180);
    const { ended, least } = await backup(scene, store, join(scene.directory, "bell.backup"));
    expect([ended.code, ended.out]).toEqual([1, ""]);
    expect(ended.err).toMatch(
      /MiB free; .* MiB are needed there, and 32\.0 MiB have to stay free.*\n.*\(backup_room\)/,
    );
    expect(least).toBeGreaterThan(32);
    expect([...names(scene.directory), ...names(store)]).toEqual([]);
    expect(existsSync(join(store, "inboxbell.db.reserve"))).toBe(true);
    expect(node.lines.filter((line) => /"level":"(?:warn|error)"/.test(line))).toEqual([]);
    const phone = scene.exchange.unread("anna", "inbox");
    expect(phone).toBeGreaterThan(0);
    expect(scene.violations()).toEqual([]);
  }, 120_000);

  test("a backup onto the node's own disk leaves the node its room, too", async () => {
    // Room for the copy, and not for the backup beside it.
    const { scene, node, store } = await loaded(220);
    const { ended, least } = await backup(scene, store, join(store, "bell.backup"));
    expect([ended.code, ended.err]).toEqual([1, expect.stringContaining("(backup_room)")]);
    expect(least).toBeGreaterThan(32);
    expect([...names(scene.directory), ...names(store)]).toEqual([]);
    expect(node.lines.filter((line) => /"level":"(?:warn|error)"/.test(line))).toEqual([]);
  }, 120_000);

  test("a backup onto another disk that gets full is refused, and nothing there looks like one", async () => {
    const { scene, store } = await loaded(240);
    const target = join(scene.directory, "stick");
    disk(target, 8);
    const { ended } = await backup(scene, store, join(target, "bell.backup"));
    expect([ended.code, ended.err]).toEqual([1, expect.stringMatching(/\(ENOSPC\)\.\n.*\(backup_room\)/)]);
    expect(readdirSync(target)).toEqual([]);
    expect(names(store)).toEqual([]);
  }, 120_000);

  test("a restore changes nothing where the restored database does not fit", async () => {
    const stage = await setBackupStage("fits", "disk/inboxbell.db");
    endings.push(() => stage.remove());
    disk(stage.file("disk"), 12);
    await stage.install(1);
    const before = readFileSync(stage.database);
    // Made elsewhere: here it would not fit.
    const elsewhere = await setBackupStage("large");
    endings.push(() => elsewhere.remove());
    cpSync(stage.keys, elsewhere.keys);
    cpSync(stage.database, elsewhere.database);
    fatten(elsewhere.database, 20);
    expect((await elsewhere.secretly(["backup", stage.file("large.backup")])).code).toBe(0);
    const { code, out, err } = await stage.secretly(["restore", stage.file("large.backup")]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/\(ENOSPC\); nothing was changed\.\n.*\(restore_unwritable\)/);
    expect(readFileSync(stage.database).equals(before)).toBe(true);
    expect(names(stage.file("disk"))).toEqual([]);
  }, 120_000);
});

describe.skipIf(!isRoot || !has("setpriv"))("as a user who may not write there (root, setpriv)", () => {
  test("restore and backup say which file they could not make, and change nothing", async () => {
    const stage = await setBackupStage("denied");
    endings.push(() => stage.remove());
    await stage.install(1);
    expect((await stage.secretly(["backup", stage.file("good.backup")])).code).toBe(0);
    // Everything can be read, nothing written.
    for (const name of ["", "good.backup", "inboxbell.yaml"])
      chmodSync(stage.file(name), name === "" ? 0o755 : 0o644);
    const other = join(stage.directory, "..", `ib-nobody-${process.pid}`);
    mkdirSync(other);
    endings.push(() => rmSync(other, { recursive: true }));
    cpSync(binary, join(other, "inboxbell"));
    await Bun.write(join(other, "passphrase"), "correct horse battery\n");
    chmodSync(join(other, "passphrase"), 0o600);
    Bun.spawnSync(["chown", "-R", "65534:65534", other]);
    const before = readdirSync(stage.directory).sort();
    const as = (...args: string[]) =>
      run(
        [
          ...["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", join(other, "inboxbell")],
          ...[...args, "--passphrase-file", join(other, "passphrase"), "--config", stage.props.configFile],
        ],
        { temporary: other },
      );
    const restored = await as("restore", stage.file("good.backup"));
    expect([restored.code, restored.err]).toEqual([
      1,
      expect.stringMatching(/keys\.json\.restoring cannot be made \(EACCES\)\.\n.*\(restore_unwritable\)/),
    ]);
    const backed = await as("backup", join(other, "new.backup"));
    expect(backed.code).toBe(1);
    expect(backed.err).toMatch(/^inboxbell: .*inboxbell\.db.*\n.*\(store_path\)\n$/);
    expect(readdirSync(stage.directory).sort()).toEqual(before);
  }, 60_000);
});

describe.skipIf(!has("strace"))("a restore that is killed (strace)", () => {
  // What it does to names and to the disk. Each is counted by itself.
  const STEPS = ["fsync", "/^unlink", "/^link", "/^rename"] as const;

  /** Restores under a tracer that kills it instead of its nth step of a kind; false if it came to its end first. */
  async function killedAt(stage: BackupStage, step: string, n: number): Promise<boolean> {
    const command = [
      ...["strace", "-f", "-o", "/dev/null", "-e", `trace=${step}`],
      ...["-e", `inject=${step}:signal=KILL:when=${n}`, binary, "restore", stage.file("one.backup")],
      ...["--passphrase-file", stage.file("passphrase"), "--config", stage.props.configFile],
    ];
    const { code } = await run(command, { temporary: stage.file("tmp"), limitMs: 60_000 });
    return code !== 0;
  }

  /** The phones that a started node knows. */
  async function phonesOf(stage: BackupStage): Promise<string[]> {
    const node = start([binary, "serve", "--config", stage.props.configFile], {
      temporary: stage.file("tmp"),
    });
    try {
      await untilReady(node, stage.props.urls.admin);
      const { out } = await stage.verb(["registrations", "--json"]);
      const { registrations } = JSON.parse(out) as { registrations: { registrationId: string }[] };
      return registrations.map(({ registrationId }) => registrationId);
    } finally {
      await node.stop();
      await until(() => node.ended() !== null, "the node has stopped");
    }
  }

  test("at any step leaves a node that starts: with the old phones, or with the restored ones", async () => {
    const stage = await setBackupStage("killed");
    endings.push(() => stage.remove());
    await stage.install(1);
    expect((await stage.secretly(["backup", stage.file("one.backup")])).code).toBe(0);
    // Another installation in its place: neither of the two key files opens the other's database.
    await stage.install(2);
    const seen = new Set<string>();
    const steps: Record<string, number> = {};
    for (const step of STEPS) {
      for (let n = 1; n < 60; n += 1) {
        await stage.install(2);
        if (!(await killedAt(stage, step, n))) break;
        steps[step] = n;
        const phones = await phonesOf(stage);
        const either = expect.stringMatching(new RegExp(`^(?:${id(1)}|${id(2)})$`));
        expect([step, n, phones]).toEqual([step, n, [either]]);
        seen.add(phones[0] ?? "");
        // And again, over what was left behind.
        if (n % 5 === 1) {
          expect((await stage.secretly(["restore", stage.file("one.backup")])).code).toBe(0);
          expect(await phonesOf(stage)).toEqual([id(1)]);
          expect(readdirSync(stage.directory).filter((name) => name.includes(".restoring"))).toEqual([]);
        }
        for (const name of readdirSync(stage.directory)) if (/restor/.test(name)) rmSync(stage.file(name));
      }
    }
    // Two files are kept under another name, and two take their places.
    expect(steps).toMatchObject({ "/^link": 2, "/^rename": 2 });
    expect(steps.fsync).toBeGreaterThan(8);
    expect([...seen].sort()).toEqual([id(1), id(2)]);
  }, 600_000);
});
