// Stands in for the service manager: a real Unix datagram socket, held by python3 since JavaScript has none.

/** Whether this machine can hold one. */
export const canReceive = Bun.which("python3") !== null;

export interface NotifyReceiver {
  /** Everything that arrived, one entry a datagram. */
  readonly datagrams: readonly string[];
  /** Waits until a datagram holds `text`, and gives it. */
  next(text: string, limitMs?: number): Promise<string>;
  stop(): Promise<void>;
}

const PROGRAM = `
import json, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name.startswith("@") else name)
print("bound", flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** @param socket as in NOTIFY_SOCKET: a path, or `@` and an abstract name */
export async function receiveAt(socket: string): Promise<NotifyReceiver> {
  const child = Bun.spawn(["python3", "-c", PROGRAM, socket], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const datagrams: string[] = [];
  const { promise: bound, resolve } = Promise.withResolvers<void>();
  const reading = (async () => {
    let rest = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "bound") resolve();
        else datagrams.push(JSON.parse(line));
      }
    }
  })();
  await bound;
  let read = 0;
  return {
    datagrams,
    async next(text, limitMs = 10_000) {
      const limit = performance.now() + limitMs;
      for (;;) {
        const index = datagrams.findIndex((each, at) => at >= read && each.includes(text));
        const found = datagrams[index];
        if (found !== undefined) {
          read = index + 1;
          return found;
        }
        if (performance.now() > limit) throw new Error(`no ${text} came, only ${JSON.stringify(datagrams)}`);
        await Bun.sleep(10);
      }
    },
    async stop() {
      child.kill();
      await reading;
      await child.exited;
    },
  };
}
