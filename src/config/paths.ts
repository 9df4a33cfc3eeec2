// Paths as the configuration writes them: relative to its file, or in systemd's credentials directory. Pure.
import { dirname, resolve, sep } from "node:path";

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

// biome-ignore lint/suspicious/noTemplateCurlyInString: the text as it stands in the configuration
const CREDENTIALS = "${CREDENTIALS_DIRECTORY}";

/** What is wrong with a path as text, or null. Whether the file exists is not asked here. */
export function pathComplaint(path: string, env: Environment): { message: string; hint?: string } | null {
  const rest = path.startsWith(CREDENTIALS) ? path.slice(CREDENTIALS.length) : path;
  if (rest !== path && !env.CREDENTIALS_DIRECTORY) {
    return {
      message: `${CREDENTIALS} is not set`,
      hint: "systemd sets it for a service whose unit has LoadCredential=; elsewhere set it by hand or write the path out",
    };
  }
  if (rest !== path && !rest.startsWith("/")) {
    return { message: `a slash and a name must follow ${CREDENTIALS}` };
  }
  if (rest.includes("${")) return { message: `only ${CREDENTIALS}, at the start, is expanded in a path` };
  if (path.startsWith("~")) return { message: "~ is not expanded; write the path out" };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing control characters is the purpose
  if (/[\u0000-\u001f\u007f]/.test(path)) return { message: "a path cannot have control characters" };
  return null;
}

/** The absolute path that a checked path means. `configFile` is absolute. */
export function absolutePath(path: string, configFile: string, env: Environment): string {
  const directory = env.CREDENTIALS_DIRECTORY;
  const expanded =
    path.startsWith(CREDENTIALS) && directory ? directory + path.slice(CREDENTIALS.length) : path;
  return resolve(dirname(configFile), expanded);
}

/** Whether the file is one of systemd's credentials, whose access systemd itself guards. */
export function isCredential(absolute: string, env: Environment): boolean {
  const directory = env.CREDENTIALS_DIRECTORY;
  return !!directory && absolute.startsWith(resolve(directory) + sep);
}
