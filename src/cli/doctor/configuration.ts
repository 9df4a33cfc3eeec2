// The configuration and the files that it names, as `check` sees them, sorted by what an administrator has to do; and
// whose the files and directories are.
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ConfigReading } from "../../config/load.ts";
import type { FileRole } from "../../config/options.ts";
import { type ConfigProblem, formatProblem, sentence } from "../../config/problems.ts";
import { type FindingCode, found, good, type Result } from "./findings.ts";
import { linkCertificate } from "./pair.ts";

export interface Checked {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

// What the look at the certificates tells better; of a push certificate only when it expires.
const CERTIFICATES: ReadonlySet<FileRole> = new Set(["tls_certificate", "tls_key"]);

const LINK_EXPIRY = / (expired|expires) on (\d{4}-\d{2}-\d{2})/;

/** What `check` found, as results. */
export function judgeConfiguration(reading: ConfigReading, { problems, warnings }: Checked): Result[] {
  const roles = new Map(reading.files.map(({ keyPath, role }) => [keyPath, role]));
  const isCertificate = ({ code, keyPath, message }: ConfigProblem) => {
    const role = roles.get(keyPath);
    if (role === "apns_certificate") return /the certificate expire[sd] on /.test(message);
    return code === "tls_invalid" && role !== undefined && CERTIFICATES.has(role);
  };
  const isLink = ({ keyPath, message }: ConfigProblem) =>
    roles.get(keyPath) === "pair_certificate" && LINK_EXPIRY.test(message);
  const told = [
    ...problems.filter((one) => !isCertificate(one)).map((one) => [one, problemCode(one)] as const),
    ...warnings.filter((one) => !isCertificate(one)).map((one) => [one, warningCode(one)] as const),
  ];
  const links = told.flatMap(([one]) => (isLink(one) ? linkExpiry(one) : []));
  const others = told.flatMap(([one, code]) =>
    isLink(one) ? [] : [found(code, one.keyPath, text(one), remedyOf(one))],
  );
  const fine = good("configuration", reading.file, "good, and so are the files that it names");
  return [...(others.length === 0 ? [fine] : others), ...links];
}

/** As the look at the link says it, so that the same is not said twice. */
function linkExpiry({ message }: ConfigProblem): Result[] {
  const [, word, day = ""] = LINK_EXPIRY.exec(message) ?? [];
  return [linkCertificate(word === "expired" ? "certificate_expired" : "certificate_expires_soon", day)];
}

// What the service has against files; their hint is what to do.
const OF_SERVICE: ReadonlySet<ConfigProblem["code"]> = new Set(["service_denied", "service_hidden"]);

/** A more particular remedy than the catalogue's, or undefined. */
function remedyOf({ code, hint }: ConfigProblem): string | undefined {
  if (OF_SERVICE.has(code) && hint !== undefined) return `${hint[0]?.toUpperCase()}${hint.slice(1)}`;
  return code === "config_unreadable"
    ? "Run doctor as root or as the service's user, or name another file with --config; `inboxbell setup` makes one."
    : undefined;
}

/** What is wrong, and at which place of the configuration. */
function text(problem: ConfigProblem): string {
  const { file, line, column, keyPath, code, message } = problem;
  const isOfService = OF_SERVICE.has(code);
  if (keyPath === "") return isOfService ? message : formatProblem(problem);
  const said = isOfService ? message : sentence(problem);
  return line === undefined ? said : `${said} (${file}:${line}:${column})`;
}

function problemCode({ code }: ConfigProblem): FindingCode {
  if (code === "secret_exposed" || code === "service_denied") return code;
  return code === "secret_unreadable" ? "secret_unreadable" : "config_problem";
}

function warningCode({ code, keyPath }: ConfigProblem): FindingCode {
  if (code === "service_hidden") return code;
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
  if (results.length > 0 || first === undefined) return results;
  return [good("permissions", directory, "owner and mode are right")];
}

function statOf(path: string) {
  return existsSync(path) ? statSync(path) : null;
}
