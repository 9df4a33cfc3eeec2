// Somebody at a terminal: runs the binary on a real pseudo-terminal, reads its screen, types, and sees whether what is
// typed would be shown afterwards.
import { until } from "./helpers.ts";

// termios(3), c_lflag on Linux: whether lines are collected, and whether what is typed is shown.
const ICANON = 0o2;
const ECHO = 0o10;

// A screen that did not change for so long is read to its end. Milliseconds.
const QUIET_MS = 50;

export interface Typist {
  /** All that was printed so far, without what moves the cursor or colours. */
  screen(): string;
  /** Waits until the screen's end, since the last `type`, has this. */
  sees(text: string): Promise<void>;
  type(text: string): void;
  /** Whether the terminal collects lines and shows what is typed, as a shell expects it. */
  isUsual(): boolean;
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or the signal's name; throws if it does not end in time. */
  ended(limitMs?: number): Promise<number | string>;
  close(): void;
}

export interface TerminalOptions {
  readonly columns?: number;
  /** Private directory for what the binary unpacks. */
  readonly temporary: string;
  readonly env?: Readonly<Record<string, string>>;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g;

export function sitDown(
  command: readonly string[],
  { columns = 100, temporary, env = {} }: TerminalOptions,
): Typist {
  const decoder = new TextDecoder();
  let text = "";
  let from = 0;
  const terminal = new Bun.Terminal({
    cols: columns,
    rows: 40,
    data: (_, bytes) => {
      text += decoder.decode(bytes, { stream: true });
    },
  });
  const child = Bun.spawn([...command], {
    terminal,
    env: { ...process.env, BUN_TMPDIR: temporary, ...env },
  });
  const plain = (part: string) => part.replace(ESCAPES, "").replaceAll("\r", "");
  return {
    screen: () => plain(text),
    sees: (wanted) =>
      until(
        () => plain(text.slice(from)).includes(wanted),
        () => `the screen has ${JSON.stringify(wanted)}; it has ${plain(text)}`,
        15_000,
      ),
    type(keys) {
      from = text.length;
      terminal.write(keys);
    },
    isUsual: () => (terminal.localFlags & (ICANON | ECHO)) === (ICANON | ECHO),
    kill: (signal) => child.kill(signal),
    async ended(limitMs = 10_000) {
      const code = await Promise.race([child.exited, Bun.sleep(limitMs).then(() => null)]);
      if (code === null) throw new Error(`it goes on, with the screen ${plain(text)}`);
      // What it said last may still be on its way here.
      for (let seen = -1; seen !== text.length; ) {
        seen = text.length;
        await Bun.sleep(QUIET_MS);
      }
      return child.signalCode ?? code;
    },
    close() {
      child.kill("SIGKILL");
      if (!terminal.closed) terminal.close();
    },
  };
}
