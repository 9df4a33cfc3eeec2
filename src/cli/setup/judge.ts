// Whether an answer can be used, asked of the very schema, rules and loaders that the service reads its files with.
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { basename } from "node:path";
import { KindGuard, type TSchema, type TUnion } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { nameComplaint } from "../../config/certificate-names.ts";
import { describeExpected } from "../../config/describe.ts";
import { checkLeaf } from "../../config/leaf-rules.ts";
import { apnsCertificate, apnsKey, serviceAccount } from "../../config/push-credentials.ts";
import { ConfigSchema } from "../../config/schema.ts";
import { authorities, enrolmentSecret, readPublicFile, secretLine } from "../../config/secret-files.ts";
import type { TlsFiles } from "../../config/types.ts";
import { notesOf } from "../../config/walk.ts";
import { BellError } from "../../errors.ts";
import { loadTls } from "../../net/tls.ts";

/** A path in the configuration; lists are stepped into by 0. */
export type KeyPath = readonly (string | number)[];

/**
 * Checks a value against the option that it is for.
 * @param configFile absolute
 * @throws BellError `setup_answer`, naming the flag
 */
export function checkValue(flag: string, path: KeyPath, value: unknown, configFile: string): void {
  const schema = schemaAt(path);
  const notes = notesOf(schema);
  const refuse = (message: string, hint?: string) =>
    new BellError("setup_answer", `${flag}: ${message}${hint === undefined ? "" : `; ${hint}`}.`);
  if (!Value.Check(schema, value)) {
    const { expected, hint } = describeExpected(schema, value);
    throw refuse(`expected ${expected}`, hint ?? undefined);
  }
  if (notes.rule === undefined || typeof value !== "string") return;
  const complaint = checkLeaf(notes.rule, value, notes, { configFile, env: {} });
  if (complaint !== null) throw refuse(complaint.message, complaint.hint);
}

function schemaAt(path: KeyPath): TSchema {
  return path.reduce<TSchema>((schema, step) => {
    const within: TSchema = KindGuard.IsUnion(schema)
      ? ((schema as TUnion).anyOf.find((member) => KindGuard.IsObject(member)) ?? schema)
      : schema;
    const next: unknown = KindGuard.IsArray(within)
      ? within.items
      : KindGuard.IsObject(within)
        ? within.properties[step]
        : undefined;
    if (next === undefined) throw new BellError("internal", `The configuration has no ${path.join(".")}.`);
    return next as TSchema;
  }, ConfigSchema);
}

/** A host or an address becomes a URL with the listener's port; a URL stays. */
export function urlOf(answer: string, port: number): string {
  // Its colons are no port's.
  if (isIP(answer) === 6) return `https://[${answer}]:${port}`;
  return answer.includes("://") ? answer : `https://${answer}${/:\d+$/.test(answer) ? "" : `:${port}`}`;
}

/** A file that an answer names, read to be copied: how others may read the original is its owner's business. */
export interface Source {
  readonly path: string;
  readonly bytes: Buffer;
}

/** @param stdin what came on standard input, for `-` */
export function readSource(path: string, stdin: Buffer | null): Source {
  if (path === "-") return { path: "standard input", bytes: stdin ?? Buffer.alloc(0) };
  return { path, bytes: readPublicFile(path) };
}

/** @throws BellError `secret_invalid` or `secret_unreadable`, as every function below */
export function checkApnsKey({ path, bytes }: Source): void {
  apnsKey(path, bytes);
}

/** Apple writes the key's ID into the file's name: AuthKey_ABC123DEFG.p8. */
export function keyIdIn(path: string): string | null {
  return /^AuthKey_([A-Z0-9]{10})\.p8$/.exec(basename(path))?.[1] ?? null;
}

export function checkApnsCertificate({ path, bytes }: Source, password: Source | null): void {
  apnsCertificate(path, bytes, password === null ? "" : secretLine(password.path, password.bytes));
}

export function checkServiceAccount({ path, bytes }: Source): void {
  serviceAccount(path, bytes);
}

export function checkEnrolmentSecret({ path, bytes }: Source): void {
  enrolmentSecret(path, bytes);
}

export function checkPassword({ path, bytes }: Source): void {
  if (secretLine(path, bytes) === "") {
    throw new BellError("secret_invalid", `${path}: expected a password in one line.`);
  }
}

export function checkAuthorities(path: string): void {
  authorities(path);
}

/**
 * Checks a certificate and its key.
 * @param now epoch milliseconds
 * @returns what is not wrong and may surprise: its chain, its names
 */
export function checkTls(files: TlsFiles, url: string, option: string, now: number): readonly string[] {
  const { incomplete, certificate } = loadTls(files, now);
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
  const name = nameComplaint(new X509Certificate(certificate), host, option);
  return [
    ...(incomplete === null ? [] : [incomplete]),
    ...(name === null ? [] : [`${files.certificate}: ${name}.`]),
  ];
}
