// TLS of the listeners: which versions and ciphers they speak, reading a certificate and its key from files, and
// replacing them while a socket listens.
import { constants, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, createServer, type SecureVersion } from "node:tls";
import type { Socket, SocketHandler, SocketListener, TLSOptions } from "bun";
import { incompleteChain } from "../config/chain.ts";
import { closingCommand, exposedText } from "../config/closing.ts";
import type { TlsFiles } from "../config/types.ts";
import { BellError } from "../errors.ts";

/** A certificate chain and its key, checked. */
export interface TlsIdentity {
  /** PEM, the server's certificate first. */
  readonly certificate: string;
  /** PEM. Never logged. */
  readonly key: string;
  /** End of the certificate's validity, epoch milliseconds. */
  readonly expiresAt: number;
  /** A sentence for the log if the certificate is not in date, or null. */
  readonly outOfDate: string | null;
  /** A sentence for the log if the file leaves out an authority that clients may need, or null. */
  readonly incomplete: string | null;
  /** For people: `CN=bell.corp.example`. */
  readonly subject: string;
}

// TLS 1.2 in this order; those of TLS 1.3 are not configurable. All have forward secrecy. The CBC suites at the
// end are for Exchange on Windows Server 2012 R2, whose ECDHE-RSA suites are CBC only.
const CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES128-SHA256",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
].join(":");

// Bun takes the version as the protocol's number and ignores names such as "TLSv1.2".
const TLS_1_2 = 0x0303;

/** The options of a TLS socket that listens with this identity. */
export function serverTls(identity: Pick<TlsIdentity, "certificate" | "key">) {
  return {
    cert: identity.certificate,
    key: identity.key,
    minVersion: TLS_1_2,
    ciphers: CIPHERS,
    // Without it the client's order wins, and old clients put CBC suites first.
    secureOptions: constants.SSL_OP_CIPHER_SERVER_PREFERENCE,
  };
}

// The same for node:tls, which takes the name only.
const OLDEST_VERSION: SecureVersion = "TLSv1.2";

function contextOptions(identity: Pick<TlsIdentity, "certificate" | "key">) {
  return { ...serverTls(identity), minVersion: OLDEST_VERSION };
}

/**
 * Gives a listening socket another certificate. Handshakes that begin afterwards get it, connections that exist go on
 * with theirs, and since the socket itself stays, none that waits to be accepted is lost. Sessions of the old
 * certificate are not resumed.
 * @param socket of `Bun.listen`, made with `serverTls`
 * @throws what OpenSSL has against the certificate or key; the old one then stays in use
 */
export function replaceIdentity<Data>(
  socket: SocketListener<Data>,
  identity: Pick<TlsIdentity, "certificate" | "key">,
): void {
  // In Bun 1.4.5 `reload` of a socket of its own ignores `tls` without a word; only servers of node:tls can do it,
  // and they do it for the listening socket that they hold in `_handle`. A second socket on the port would lose what
  // waits at the first one when that is closed. test/net/tls-reload.test.ts tells when another Bun needs another way.
  const holder = Object.assign(createServer(), { _handle: socket });
  holder.setSecureContext(contextOptions(identity));
}

/** Throws what OpenSSL has against a certificate or key. */
export function checkIdentity(identity: Pick<TlsIdentity, "certificate" | "key">): void {
  createSecureContext(contextOptions(identity));
}

// What Bun 1.4.5 takes and its types do not tell; its own node:tls relies on it.
interface ServerUpgrade<Data> {
  readonly isServer: true;
  readonly tls: TLSOptions;
  readonly initialData?: Buffer;
  readonly socket: SocketHandler<Data>;
}
interface Upgradable<Data> {
  upgradeTLS(options: ServerUpgrade<Data>): [raw: Socket<Data>, tls: Socket<Data>] | undefined;
}

/**
 * Begins TLS, as a server, on a socket that was accepted without. Bun keeps one context for equal options, so sessions
 * are resumed as on a socket that does TLS by itself.
 * @param rest the client's first bytes, read already
 * @param handlers of the TLS socket; `open` is called before this returns, and the plain socket must be left alone
 * @returns false if the socket could not be taken over
 */
export function upgradeToTls<Data>(
  socket: Socket<Data>,
  identity: Pick<TlsIdentity, "certificate" | "key">,
  rest: Buffer,
  handlers: SocketHandler<Data>,
): boolean {
  const upgradable = socket as unknown as Upgradable<Data>;
  const upgraded = upgradable.upgradeTLS({
    isServer: true,
    tls: serverTls(identity),
    ...(rest.length === 0 ? {} : { initialData: rest }),
    socket: handlers,
  });
  return upgraded !== undefined;
}

// Any access for others. The group may read: the service's own group, or that of the certificate tool.
const OTHERS = 0o007;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/**
 * Reads and checks a certificate chain and its key.
 * @param now epoch milliseconds, for the validity
 * @param ifOutOfDate `tell` at a start: clients judge the date themselves, and a certificate that expired overnight
 *   must not keep the other listeners, and the rings that are owed, from working. `refuse` where another one works.
 * @throws BellError tls_invalid or secret_exposed, naming the file
 */
export function loadTls(
  files: TlsFiles,
  now: number = Date.now(),
  ifOutOfDate: "refuse" | "tell" = "refuse",
): TlsIdentity {
  const certificate = readPem(files.certificate, "certificate");
  const key = readPem(files.key, "key");
  const stat = statSync(files.key);
  if ((stat.mode & OTHERS) !== 0) {
    const text = exposedText(`The TLS key file ${files.key}`, closingCommand(files.key, stat));
    throw new BellError("secret_exposed", text);
  }
  const chain = readChain(certificate, files.certificate);
  const [leaf] = chain;
  if (!leaf.checkPrivateKey(readKey(key, files.key))) {
    throw new BellError(
      "tls_invalid",
      `The TLS key ${files.key} does not belong to the first certificate in ${files.certificate}.`,
    );
  }
  const expiresAt = Date.parse(leaf.validTo);
  const subject = leaf.subject.split("\n").join(", ");
  const wrongDate = outOfDate(leaf, files.certificate, now);
  if (wrongDate !== null && ifOutOfDate === "refuse") throw new BellError("tls_invalid", wrongDate);
  checkTogether(files, { certificate, key });
  const incomplete = incompleteChain(files.certificate, chain);
  return { certificate, key, expiresAt, outOfDate: wrongDate, incomplete, subject };
}

/** What the parts are is known; whether a listener can serve them (a key that is too short, say) OpenSSL decides. */
function checkTogether(files: TlsFiles, identity: Pick<TlsIdentity, "certificate" | "key">): void {
  try {
    checkIdentity(identity);
  } catch (error) {
    const what = `The TLS certificate ${files.certificate} with its key ${files.key} cannot be served.`;
    throw new BellError("tls_invalid", what, error);
  }
}

function outOfDate(leaf: X509Certificate, file: string, now: number): string | null {
  const expiresAt = Date.parse(leaf.validTo);
  if (expiresAt <= now) {
    return `The TLS certificate ${file} expired on ${day(expiresAt)}: no client will connect until it is renewed.`;
  }
  const validFrom = Date.parse(leaf.validFrom);
  if (validFrom > now) {
    return `The TLS certificate ${file} is not valid before ${day(validFrom)}: check it, and this server's clock.`;
  }
  return null;
}

function readPem(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new BellError("tls_invalid", `The TLS ${what} file ${file} cannot be read (${code}).`, error);
  }
}

/** Reads every certificate of the chain; the server's own comes first. */
function readChain(pem: string, file: string): readonly [X509Certificate, ...X509Certificate[]] {
  const chain: X509Certificate[] = [];
  for (const [block] of pem.matchAll(CERTIFICATE)) {
    try {
      chain.push(new X509Certificate(block));
    } catch (error) {
      throw new BellError(
        "tls_invalid",
        `The TLS certificate file ${file} has a certificate that cannot be read.`,
        error,
      );
    }
  }
  const [leaf, ...others] = chain;
  if (leaf === undefined) {
    throw new BellError("tls_invalid", `The TLS certificate file ${file} holds no certificate in PEM form.`);
  }
  return [leaf, ...others];
}

function readKey(pem: string, file: string): KeyObject {
  // "BEGIN ENCRYPTED PRIVATE KEY" (PKCS #8) and "Proc-Type: 4,ENCRYPTED" (the older form).
  if (pem.includes("ENCRYPTED")) {
    throw new BellError(
      "tls_invalid",
      `The TLS key file ${file} is encrypted; a service has nobody to type its password. Decrypt it with openssl pkey.`,
    );
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new BellError("tls_invalid", `The TLS key file ${file} holds no private key in PEM form.`, error);
  }
  // Windows (Exchange) verifies these two kinds only.
  if (key.asymmetricKeyType !== "rsa" && key.asymmetricKeyType !== "ec") {
    throw new BellError(
      "tls_invalid",
      `The TLS key ${file} is neither an RSA nor an elliptic-curve (ECDSA) key.`,
    );
  }
  return key;
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
