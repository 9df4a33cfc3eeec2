// Certificate files that change under a running listener: a whole pair is taken, half a one is waited for.
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BellError } from "../../src/errors.ts";
import { createCertificateWatch } from "../../src/net/certificate-watch.ts";
import { loadTls } from "../../src/net/tls.ts";
import { createLogger } from "../../src/ops/log.ts";
import { eventually, makeIdentity } from "./helpers.ts";

const [one, two] = [await makeIdentity("ec"), await makeIdentity("ec")];
const EVERY_MS = 10;

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

function watched(patienceMs = 100) {
  const directory = mkdtempSync(join(tmpdir(), "ib-watch-"));
  endings.push(() => rmSync(directory, { recursive: true }));
  const files = { certificate: join(directory, "a.pem"), key: join(directory, "a.key") };
  const write = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600 });
  write(files.certificate, one.certificate);
  write(files.key, one.key);
  const lines: string[] = [];
  const served: string[] = [one.certificate];
  let reads = 0;
  let looks = 0;
  const watch = createCertificateWatch({
    files: () => [{ listener: "exchange", files }],
    take() {
      reads += 1;
      const { certificate } = loadTls(files);
      if (certificate === served.at(-1)) return false;
      served.push(certificate);
      return true;
    },
    onLook: () => {
      looks += 1;
    },
    log: createLogger("debug", "json", (line) => void lines.push(line)),
    now: () => performance.now(),
    everyMs: EVERY_MS,
    patienceMs,
  });
  watch.start();
  endings.push(() => watch.stop());
  return {
    directory,
    files,
    write,
    lines,
    served,
    watch,
    reads: () => reads,
    looks: () => looks,
    /** So many more looks. */
    async look(times = 6) {
      const until = looks + times;
      await eventually("it looks", () => looks >= until);
    },
  };
}

test("a renewed pair is taken, in whichever order it is written, and told once", async () => {
  const { files, write, served, lines, look } = watched();
  await look();
  write(files.certificate, two.certificate);
  write(files.key, two.key);
  await eventually("it is taken", () => served.length === 2);
  write(files.key, one.key);
  await look();
  write(files.certificate, one.certificate);
  await eventually("the next one is taken", () => served.length === 3);
  expect(served).toEqual([one.certificate, two.certificate, one.certificate]);
  expect(lines.filter((line) => line.includes("was renewed"))).toHaveLength(2);
  expect(lines).toHaveLength(2);
});

test("half a pair is waited for, then told once, and the whole pair is taken after all", async () => {
  const { files, write, served, lines, look } = watched(60);
  await look();
  write(files.certificate, two.certificate);
  await eventually("it is told", () => lines.length > 0);
  await look(10);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("does not belong to");
  expect(lines[0]).toContain("the former certificate stays in service");
  expect(served).toHaveLength(1);
  write(files.key, two.key);
  await eventually("it is taken", () => served.length === 2);
});

test("half a pair that becomes whole in time is not worth a word", async () => {
  const { files, write, served, lines, look } = watched(10_000);
  await look();
  unlinkSync(files.key);
  write(files.certificate, two.certificate);
  await look();
  write(files.key, two.key);
  await eventually("it is taken", () => served.length === 2);
  expect(lines).toHaveLength(1);
});

test("a file that is still being written is not read", async () => {
  const { files, write, served, reads, look } = watched(10_000);
  await look();
  const before = reads();
  for (let n = 1; n <= 20; n += 1) {
    write(files.certificate, two.certificate.slice(0, Math.floor((two.certificate.length * n) / 20)));
    write(files.key, two.key);
    await Bun.sleep(EVERY_MS / 4);
  }
  expect(reads() - before).toBeLessThan(5);
  await eventually("it is taken", () => served.length === 2);
});

test("files that are replaced by renaming, or by another symbolic link, are noticed", async () => {
  const { directory, files, write, served, look } = watched();
  await look();
  for (const [name, text] of [
    ["a.pem", two.certificate],
    ["a.key", two.key],
  ] as const) {
    write(join(directory, `${name}.new`), text);
    renameSync(join(directory, `${name}.new`), join(directory, name));
  }
  await eventually("the renamed ones are taken", () => served.length === 2);
  write(join(directory, "real.pem"), one.certificate);
  write(join(directory, "real.key"), one.key);
  for (const [name, path] of [
    ["real.pem", files.certificate],
    ["real.key", files.key],
  ] as const) {
    unlinkSync(path);
    symlinkSync(name, path);
  }
  await eventually("the linked ones are taken", () => served.length === 3);
});

test("files that are only touched change nothing", async () => {
  const { files, served, lines, look } = watched();
  await look();
  utimesSync(files.certificate, new Date(), new Date(Date.now() - 5000));
  await look(10);
  expect(served).toHaveLength(1);
  expect(lines).toEqual([]);
});

test("it looks seldom inside: unchanged files are read once and then left alone, and not at all after a stop", async () => {
  const { reads, looks, look, watch } = watched();
  await look(20);
  expect(reads()).toBe(1);
  await watch.stop();
  const after = looks();
  await Bun.sleep(5 * EVERY_MS);
  expect(looks()).toBe(after);
});

test("an error that is none of the catalogue is told and does not end the watch", async () => {
  const lines: string[] = [];
  let takes = 0;
  const watch = createCertificateWatch({
    files: () => [{ listener: "exchange", files: { certificate: "/none", key: "/none" } }],
    take() {
      takes += 1;
      throw takes < 3 ? new Error("broken") : new BellError("tls_invalid", "still wrong");
    },
    log: createLogger("debug", "json", (line) => void lines.push(line)),
    now: () => performance.now(),
    everyMs: EVERY_MS,
    patienceMs: 0,
  });
  watch.start();
  await eventually("it goes on", () => lines.some((line) => line.includes("still wrong")));
  await watch.stop();
  expect(lines).toHaveLength(3);
});
