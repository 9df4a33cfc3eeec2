// What every package says of itself, and what it is made for.
import packageJson from "../../package.json" with { type: "json" };

export const NAME = packageJson.name;
export const VERSION = packageJson.version;
export const MAINTAINER = packageJson.author;
export const SUMMARY = "rings the phone when the inbox changes";
export const DESCRIPTION = [
  "Inboxbell listens for push notifications of Exchange Web Services on a company's own server and tells its own mail app's phones, through Apple's APNs and Google's FCM, that the inbox has changed and how many messages are unread.",
  "It holds no mailbox credential, no mail content and no name: a device token, sealed, and a subscription id, as a keyed hash, are all it knows.",
] as const;

/** A machine that packages are made for, as each tool calls it. */
export interface Machine {
  readonly target: "linux-x64" | "linux-arm64";
  readonly debian: "amd64" | "arm64";
  readonly rpm: "x86_64" | "aarch64";
}

export const MACHINES: readonly Machine[] = [
  { target: "linux-x64", debian: "amd64", rpm: "x86_64" },
  { target: "linux-arm64", debian: "arm64", rpm: "aarch64" },
];

/** The oldest system libraries that everything in the executable can be loaded with; a test looks at what it asks for. */
export const GLIBC = "2.34";
/** By the newest symbols that are asked for. GCC 11 brought them. */
export const LIBSTDCXX = { symbols: "3.4.29", gcc: "11" } as const;

/** One build: what is the same in all of its packages. */
export interface Build {
  /** Root of the repository. */
  readonly root: string;
  /** Where the packages go. */
  readonly out: string;
  /** Where they are put together; removed at the end. */
  readonly work: string;
  /** The packaging's own number, raised where the version stays. */
  readonly release: string;
  /** SOURCE_DATE_EPOCH: every time in a package, seconds. */
  readonly epoch: number;
  readonly commit: string;
}

/** The build's time without the machine's time zone. */
export function dateOf({ epoch }: Build): Date {
  return new Date(epoch * 1000);
}

/** The description in lines of at most `width` characters, as package tools want it. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
