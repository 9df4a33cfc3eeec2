// Runs the tools that make packages. Every one of them is named with the Debian package that has it.

/** A step of packaging that cannot be done; the message is for whoever packages. */
export class PackagingError extends Error {}

/** Program to Debian package. */
const FROM: Readonly<Record<string, string>> = {
  "dpkg-deb": "dpkg",
  rpmbuild: "rpm",
  tar: "tar",
  minisign: "minisign",
};

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
}

/**
 * Runs a program to its end and gives its standard output.
 * @throws PackagingError with what it said, if it is missing or fails
 */
export async function runTool(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program = ""] = command;
  if (Bun.which(program) === null) {
    throw new PackagingError(
      `${program} is not installed; on Debian: apt-get install ${FROM[program] ?? program}`,
    );
  }
  const child = Bun.spawn([...command], {
    stdin: options.input ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // The same words and times whoever builds, wherever.
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: "C", TZ: "UTC", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new PackagingError(`${command.join(" ")} ended with ${code}:\n${err}${out}`);
  return out;
}
