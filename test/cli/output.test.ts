// What goes to standard output arrives whole, or is known not to have: in a process of its own, since it is that
// process's standard output.
import { expect, test } from "bun:test";
import { join } from "node:path";

const OUTPUT = JSON.stringify(join(import.meta.dir, "..", "..", "src", "cli", "output.ts"));
const MEGABYTE = 1_048_576;

/** Runs a script that has `print`, `write` and `outputFailure`, with what a shell does to its output. */
async function script(body: string, shell: string) {
  const text = `const { print, write, outputFailure, watchStreams } = await import(${OUTPUT}); watchStreams(); ${body}`;
  const child = Bun.spawn(["bash", "-c", `"$0" -e "$1" ${shell}`, process.execPath, text], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { out, err };
}

const TOLD = "console.error(outputFailure())";

test("a reader that takes its time gets every byte, in order", async () => {
  const body = `for (let n = 0; n < 64; n += 1) print(String(n).padStart(16383, "."));${TOLD}`;
  const { out, err } = await script(body, "| (sleep 0.5; cat)");
  expect(err).toBe("null\n");
  expect(out).toHaveLength(MEGABYTE);
  expect([...out.matchAll(/\d+/g)].map(([n]) => n)).toEqual(Array.from({ length: 64 }, (_, n) => String(n)));
});

test("a full disk is known by its name, however often is written", async () => {
  expect((await script(`print("a"); print("b"); ${TOLD}`, "> /dev/full")).err).toBe("ENOSPC\n");
});

test("a reader that has had enough is no failure", async () => {
  const { out, err } = await script(`write("x".repeat(${MEGABYTE})); print("more"); ${TOLD}`, "| head -c 10");
  expect([out, err]).toEqual(["xxxxxxxxxx", "null\n"]);
});

test("what is written to the stream itself is noted, too", async () => {
  const body = `process.stdout.write("x"); await Bun.sleep(50); ${TOLD}`;
  expect((await script(body, "> /dev/full")).err).toBe("ENOSPC\n");
  expect((await script(body.replace("Bun.sleep(50)", "Bun.sleep(300)"), "| true")).err).toBe("null\n");
});

test("what could steer a terminal is shown as JSON writes it; JSON stays the same value", async () => {
  const value = { node: "a\u001b[2J\u009b1m\u202eb\u{e0041}", text: "\u00fc\n\t\u{1f514} \ud83d" };
  const { out } = await script(`print(JSON.stringify(${JSON.stringify(value)}, null, 2))`, "");
  expect(out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  expect(JSON.parse(out)).toEqual(value);
  const plain = await script(`print(${JSON.stringify("a\u001b[2J\tb\r\nc")})`, "");
  expect(plain.out).toBe("a\\u001b[2J\tb\\u000d\nc\n");
});
