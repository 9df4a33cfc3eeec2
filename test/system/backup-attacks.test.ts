// Backup, restore and migrate of the compiled binary with files that are not what they should be: each is told in a
// sentence, nothing is touched, and nothing waits for ever.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import Database from "better-sqlite3";
import { examineCopy } from "../../src/store/snapshot.ts";
import { type BackupStage, craftBackup, PASSPHRASE, setBackupStage } from "./backup-stage.ts";
import { binary, type Ended, start } from "./helpers.ts";

let stage: BackupStage;
let whole: Buffer;

beforeAll(async () => {
  stage = await setBackupStage("attacks");
  await stage.install(1);
  const { code, err } = await stage.secretly(["backup", stage.file("good.backup")]);
  expect([code, err]).toEqual([0, ""]);
  whole = readFileSync(stage.file("good.backup"));
});
afterAll(() => stage.remove());

/** Everything in the directory with its content, but for what the test itself puts there. */
function everything(): Readonly<Record<string, string>> {
  const files = readdirSync(stage.directory, { withFileTypes: true }).filter((each) => each.isFile());
  return Object.fromEntries(
    files.map(({ name }) => [
      name,
      new Bun.CryptoHasher("sha256").update(readFileSync(stage.file(name))).digest("hex"),
    ]),
  );
}

/** A verb fails in a sentence with this code, and leaves everything as it was. */
async function refuses(code: string, work: () => Promise<Ended>): Promise<string> {
  const before = everything();
  const ended = await work();
  expect([ended.code, ended.out]).toEqual([1, ""]);
  expect(ended.err).toMatch(new RegExp(`^inboxbell: .*\\n {2}.*\\(${code}\\)\\n$`));
  expect(ended.err).not.toContain(PASSPHRASE);
  expect(everything()).toEqual(before);
  return ended.err;
}

const LIMIT = { limitMs: 15_000 };
const restore = (path: string) => stage.secretly(["restore", path], LIMIT);

async function restoreOf(bytes: Buffer): Promise<string> {
  writeFileSync(stage.file("bad.backup"), bytes);
  try {
    return await refuses("backup_invalid", () => restore(stage.file("bad.backup")));
  } finally {
    rmSync(stage.file("bad.backup"));
  }
}

describe("restore refuses a file", () => {
  // Within the magic, the parameters, the salt and the MAC; after the header; within the only chunk.
  test.each([0, 15, 16, 20, 75, 76, 92])("cut off after %d bytes", async (bytes) => {
    await restoreOf(whole.subarray(0, bytes));
  });

  test("cut off by one byte, or one byte too long", async () => {
    await restoreOf(whole.subarray(0, -1));
    await restoreOf(Buffer.concat([whole, Buffer.of(0)]));
  });

  test.each([
    ["of another format's version", 16, 2, "format 2; this version knows format 1"],
    ["that asks for all the memory there is", 17, 31, "beginning .* damaged"],
    ["that asks for a block as large as can be", 18, 255, "beginning .* damaged"],
    ["that asks for a guess that takes hours", 19, 255, "beginning .* damaged"],
  ])("%s", async (_, at, value, says) => {
    const changed = Buffer.from(whole);
    changed[at] = value;
    expect(await restoreOf(changed)).toMatch(new RegExp(says));
  });

  test("with a bit of its content turned", async () => {
    const changed = Buffer.from(whole);
    changed[whole.length - 20] = (changed[whole.length - 20] ?? 0) ^ 0x10;
    expect(await restoreOf(changed)).toContain("damaged or was cut off");
  });

  test("that is a directory, a named pipe, a device, or nothing", async () => {
    mkdirSync(stage.file("folder"));
    Bun.spawnSync(["mkfifo", stage.file("pipe")]);
    symlinkSync("nobody", stage.file("dangling"));
    for (const path of [stage.file("folder"), stage.file("pipe"), "/dev/zero"]) {
      expect(await refuses("backup_unreadable", () => restore(path))).toContain(
        `${path} is not a regular file`,
      );
    }
    expect(await refuses("backup_unreadable", () => restore(stage.file("dangling")))).toContain(
      "no such file",
    );
  });
});

describe("the passphrase", () => {
  const written = (name: string, text: string) => {
    writeFileSync(stage.file(name), text, { mode: 0o600 });
    return ["--passphrase-file", stage.file(name)];
  };
  const backup = (...more: string[]) => stage.verb(["backup", stage.file("new.backup"), ...more]);

  test("for a new backup that is too short is answered by how to make one", async () => {
    const short = written("short", "hunter2\n");
    const err = await refuses("passphrase_unfit", () => backup(...short));
    expect(err).toContain("openssl rand");
    expect(err).not.toMatch(/hunter2|made with/);
  });

  test("that is not given is answered by how to give it", async () => {
    const err = await refuses("passphrase_missing", () => backup());
    expect(err).toContain("--passphrase-file");
    await refuses("passphrase_missing", () => stage.verb(["restore", stage.file("good.backup")]));
  });

  test("that does not fit is answered by which one is needed, be it ever so short", async () => {
    for (const text of ["wrong horse battery\n", "x\n", "\n"]) {
      const wrong = written("wrong", text);
      const err = await refuses("backup_passphrase", () =>
        stage.verb(["restore", stage.file("good.backup"), ...wrong]),
      );
      expect(err).toContain("that the backup was made with");
    }
  });

  test("is in no argument and no variable of a process that uses it", async () => {
    const running = start(
      [binary, "backup", stage.file("seen.backup"), "--passphrase-file", stage.file("passphrase")].concat(
        "--config",
        stage.props.configFile,
      ),
      { temporary: stage.file("tmp") },
    );
    let looks = 0;
    while (running.ended() === null) {
      for (const name of ["cmdline", "environ"]) {
        // It may have ended since.
        const text = await Bun.file(`/proc/${running.pid}/${name}`)
          .text()
          .catch(() => "");
        if (text.includes("passphrase")) looks += 1;
        expect(text).not.toContain(PASSPHRASE);
      }
      await Bun.sleep(20);
    }
    expect([(await running.exited).code, looks > 0]).toEqual([0, true]);
  });
});

describe("what a backup says of itself", () => {
  test("does not steer the terminal it is shown on", async () => {
    const node = "\u001b]0;owned\u0007\u001b[2J\u009b31mbell\u202e\r\nRestored nothing.";
    const database = readFileSync(stage.database);
    const contents = await examineCopy(stage.database);
    const madeAt = "2026-01-15T12:00:00.000Z";
    const about = { version: "0.0\u001b[0m", commit: "c\u0000", node, madeAt, ...contents };
    writeFileSync(stage.file("crafted.backup"), craftBackup(about, readFileSync(stage.keys), database));
    const text = await restore(stage.file("crafted.backup"));
    expect([text.code, text.out]).toEqual([
      0,
      expect.stringContaining("of node ?]0;owned??[2J?31mbell???Restored"),
    ]);
    expect(text.out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    const json = await stage.secretly(["restore", stage.file("crafted.backup"), "--json"]);
    expect(JSON.parse(json.out)).toMatchObject({ version: "0.0?[0m", commit: "c?" });
    expect(json.out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
    // In an error, too.
    const newer = craftBackup({ ...about, schema: 999 }, readFileSync(stage.keys), database);
    writeFileSync(stage.file("newer.backup"), newer);
    const refused = await restore(stage.file("newer.backup"));
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("(store_newer_schema)")]);
    expect(refused.err).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  });

  test("of a backup restored many times in one second keeps what was there each time", async () => {
    const kept = () =>
      readdirSync(stage.directory).filter((name) => name.includes(".before-restore-")).length;
    const before = kept();
    for (let n = 0; n < 3; n += 1) expect((await restore(stage.file("crafted.backup"))).code).toBe(0);
    expect(kept() - before).toBe(3);
  });
});

describe("migrate refuses", () => {
  const put = (make: (path: string) => void) => {
    rmSync(stage.database, { recursive: true, force: true });
    make(stage.database);
  };
  const migrate = (...more: string[]) => stage.verb(["migrate", ...more], LIMIT);
  const both = async (code: string) => {
    for (const more of [[], ["--dry-run"]]) await refuses(code, () => migrate(...more));
  };

  test("a directory, a named pipe and a symbolic link to nowhere", async () => {
    put((path) => mkdirSync(path));
    await both("store_path");
    put((path) => Bun.spawnSync(["mkfifo", path]));
    await both("store_path");
    put((path) => symlinkSync("nobody", path));
    await both("store_path");
  });

  test("text, half a database, another program's, and one of a newer schema", async () => {
    put((path) => writeFileSync(path, "no database ".repeat(1000), { mode: 0o600 }));
    await both("store_corrupt");
    await stage.install(2);
    const half = readFileSync(stage.database).subarray(0, 20_480);
    put((path) => writeFileSync(path, half, { mode: 0o600 }));
    await both("store_corrupt");
    put((path) => {
      const db = new Database(path);
      db.exec("CREATE TABLE mail (body TEXT)");
      db.close();
    });
    await both("store_path");
    await stage.install(2);
    const db = new Database(stage.database);
    db.pragma("journal_mode = DELETE");
    db.pragma("user_version = 999");
    db.close();
    await both("store_newer_schema");
  });
});
