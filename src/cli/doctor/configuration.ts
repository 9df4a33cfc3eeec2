// The configuration and the files that it names, as `check` sees them, sorted by what an administrator has to do; and
// whose the files and directories are.
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ConfigReading } from "../../config/load.ts";
import type { FileRole } from "../../config/options.ts";
import { type ConfigProblem, formatProblem } from "../../config/problems.ts";
import { type FindingCode, found, good, type Result } from "./findings.ts";

export interface Checked {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

// What the look at the certificates tells better; of a push certificate only when it expires.
const CERTIFICATES: ReadonlySet<FileRole> = new Set(["tls_certificate", "tls_key"]);

/** What `check` found, as results. */
export function judgeConfiguration(reading: ConfigReading, { problems, warnings }: Checked): Result[] {
  const roles = new Map(reading.files.map(({ keyPath, role }) => [keyPath, role]));
  const isCertificate = ({ code, keyPath, message }: ConfigProblem) => {
    const role = roles.get(keyPath);
    if (role === "apns_certificate") return /the certificate expire[sd] on /.test(message);
    return code === "tls_invalid" && role !== undefined && CERTIFICATES.has(role);
  };
  const results = [
    ...problems
      .filter((one) => !isCertificate(one))
      .map((one) => found(problemCode(one), one.keyPath, text(one))),
    ...warnings
      .filter((one) => !isCertificate(one))
      .map((one) => found(warningCode(one), one.keyPath, text(one))),
  ];
  return results.length > 0
    ? results
    : [good("configuration", reading.file, "good, and so are the files that it names")];
}

function text(problem: ConfigProblem): string {
  return problem.keyPath === "" ? formatProblem(problem) : problem.message;
}

function problemCode({ code }: ConfigProblem): FindingCode {
  if (code === "secret_exposed") return "secret_exposed";
  return code === "secret_unreadable" ? "secret_unreadable" : "config_problem";
}

function warningCode({ keyPath }: ConfigProblem): FindingCode {
  if (keyPath.endsWith(".allow")) return "allow_empty";
  if (keyPath.endsWith(".tls")) return "tls_off";
  return keyPath.endsWith(".shared_route") ? "shared_route_on" : "config_warning";
}

// Write permission for others, without the sticky bit of /tmp.
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** Whose the node's own files are, and who may put files beside them. */
export function examineOwnership(reading: ConfigReading): Result[] {
  const store = reading.files.find(({ role }) => role === "store");
  const keys = reading.files.find(({ role }) => role === "keys");
  const directories = new Set([
    dirname(reading.file),
    ...[store, keys].flatMap((one) => (one === undefined ? [] : [dirname(one.path)])),
  ]);
  const open = [...directories].filter((directory) => {
    const mode = statOf(directory)?.mode ?? 0;
    return (mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0;
  });
  const results = open.map((directory) =>
    found("directory_writable", directory, "every user may write there"),
  );
  if (store === undefined || keys === undefined) return results;
  const directory = dirname(store.path);
  const owned = [directory, store.path, `${store.path}-wal`, keys.path].flatMap((path) => {
    const stat = statOf(path);
    return stat === null ? [] : [{ path, uid: stat.uid }];
  });
  const [first] = owned;
  const other = owned.find(({ uid }) => uid !== first?.uid);
  if (first !== undefined && other !== undefined) {
    const seen = `${first.path} is of user ${first.uid}, ${other.path} of user ${other.uid}`;
    results.push(found("owner_differs", directory, seen));
  }
  return results.length > 0 ? results : [good("permissions", directory, "owner and mode are right")];
}

function statOf(path: string) {
  return existsSync(path) ? statSync(path) : null;
}
