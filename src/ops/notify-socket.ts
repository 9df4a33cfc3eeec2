// Datagrams to the service manager, as sd_notify(3) sends them. JavaScript has no Unix datagram sockets, so this asks
// the C library; where foreign calls are refused (MemoryDenyWriteExecute=), it asks systemd-notify(1). Nothing here
// ever fails the process: a service that cannot speak to its manager still rings.
import { dlopen, ptr } from "bun:ffi";
import type { Logger } from "./log.ts";

/** Sends assignments such as `READY=1`, in this order. Never throws. */
export interface NotifySocket {
  send(assignments: readonly string[]): void;
  /** CLOCK_MONOTONIC in microseconds, which JavaScript has only since the process's start; null if it cannot be had. */
  monotonicMicroseconds(): bigint | null;
}

// <sys/socket.h> and <time.h> of Linux, the same on x86-64 and arm64.
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const CLOCK_MONOTONIC = 1;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sun_path, unix(7). Bytes. */
const LONGEST_NAME = 108;
// A helper that hangs is ended; milliseconds.
const HELPER_LIMIT_MS = 5_000;
// A manager that is busy (its queue is full) is tried again this often and this many times, milliseconds.
const AGAIN_MS = 100;
const TRIES = 50;

/**
 * The address as the kernel takes it: a family and a name. Pure.
 * @param socket of NOTIFY_SOCKET: an absolute path, or `@` and a name in the abstract namespace
 * @returns null for what is neither, such as `vsock:…`
 */
export function socketAddress(socket: string): Uint8Array | null {
  const isAbstract = socket.startsWith("@");
  if (!isAbstract && !socket.startsWith("/")) return null;
  // An abstract name begins with a zero byte and ends with the address; a path ends with a zero byte.
  const name = Buffer.from(isAbstract ? `\0${socket.slice(1)}` : `${socket}\0`);
  if (name.length > LONGEST_NAME) return null;
  const family = Buffer.alloc(2);
  // Both machines that Inboxbell is built for are little-endian.
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}

/**
 * The socket of the service manager that started this process; null if none did.
 * @param env the process's environment
 */
export function openNotifySocket(
  env: Readonly<Record<string, string | undefined>>,
  log: Logger,
): NotifySocket | null {
  const socket = env.NOTIFY_SOCKET;
  if (socket === undefined || socket === "") return null;
  let told = false;
  const complain = (reason: string): void => {
    if (told) return;
    told = true;
    log.warn({ reason }, "The service manager cannot be told how this node is; the node works all the same.");
  };
  const address = socketAddress(socket);
  if (address === null) {
    complain(`NOTIFY_SOCKET is neither a path nor an abstract name: ${socket}`);
    return null;
  }
  try {
    const { send, monotonicMicroseconds } = createSender(address);
    return {
      send: inOrder(send, () => complain(`nobody takes datagrams on ${socket}`)),
      monotonicMicroseconds,
    };
  } catch (error) {
    log.info(
      { reason: error instanceof Error ? error.message : String(error) },
      "Foreign calls are refused here; systemd-notify speaks to the service manager instead.",
    );
    return createHelper(complain);
  }
}

/** @throws if the C library cannot be called from here */
function createSender(address: Uint8Array) {
  const { symbols } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  });
  function send(assignments: readonly string[]): boolean {
    const message = Buffer.from(assignments.join("\n"));
    const descriptor = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    try {
      // Never waits: a manager that does not read must not stop the node.
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const size = BigInt(message.length);
      const sent = symbols.sendto(descriptor, ptr(message), size, flags, ptr(address), address.length);
      return Number(sent) === message.length;
    } finally {
      symbols.close(descriptor);
    }
  }
  function monotonicMicroseconds(): bigint | null {
    // A struct timespec: seconds and nanoseconds, 64 bits each.
    const time = new BigInt64Array(2);
    if (symbols.clock_gettime(CLOCK_MONOTONIC, ptr(time)) !== 0) return null;
    const [seconds = 0n, nanoseconds = 0n] = time;
    return seconds * 1_000_000n + nanoseconds / 1_000n;
  }
  return { send, monotonicMicroseconds };
}

/** Keeps the order of what could not be sent at once, and gives it up after a while. */
function inOrder(
  send: (assignments: readonly string[]) => boolean,
  givenUp: () => void,
): NotifySocket["send"] {
  const waiting: (readonly string[])[] = [];
  let triesLeft = TRIES;
  function sendWaiting(): void {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (!send(next)) {
        triesLeft -= 1;
        if (triesLeft > 0) {
          setTimeout(sendWaiting, AGAIN_MS).unref();
          return;
        }
        givenUp();
      }
      triesLeft = TRIES;
      waiting.shift();
    }
  }
  return (assignments) => {
    waiting.push(assignments);
    if (waiting.length === 1) sendWaiting();
  };
}

/** By the program of the same purpose, one message after the other. The unit has to say `NotifyAccess=all`. */
function createHelper(complain: (reason: string) => void): NotifySocket {
  let last: Promise<unknown> = Promise.resolve();
  return {
    monotonicMicroseconds: () => null,
    send(assignments) {
      last = last.then(async () => {
        try {
          const helper = Bun.spawn(["systemd-notify", ...assignments], {
            stdio: ["ignore", "ignore", "ignore"],
          });
          const timer = setTimeout(() => helper.kill("SIGKILL"), HELPER_LIMIT_MS);
          const code = await helper.exited;
          clearTimeout(timer);
          if (code !== 0) complain(`systemd-notify ended with ${code}`);
        } catch (error) {
          complain(error instanceof Error ? error.message : String(error));
        }
      });
    },
  };
}
