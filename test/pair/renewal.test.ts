// The certificates of the link renew by themselves, and the link goes on with the new ones.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createPublicKey, X509Certificate } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import type { CertifiedKey } from "../../src/keys/certificates.ts";
import { issueNodeCertificate, makeNodeKey, makePairAuthority, NODE_DAYS } from "../../src/pair/authority.ts";
import { dial, type LinkIdentity, secured } from "../../src/pair/dial.ts";
import { createPairRenewal, renewPairCertificate } from "../../src/pair/renewal.ts";
import { recordingLogger } from "./helpers.ts";

const DAY_MS = 86_400_000;
const made = Date.now();
let directory: string;
let authority: CertifiedKey;
let files: { readonly ca: string; readonly certificate: string; readonly key: string };

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "inboxbell-renewal-"));
  authority = await makePairAuthority(made);
  files = {
    ca: join(directory, "ca.pem"),
    certificate: join(directory, "node.pem"),
    key: join(directory, "node.key"),
  };
  const { certificate, key } = await issued("bell-a", made);
  writeFileSync(files.ca, authority.certificate);
  writeFileSync(join(directory, "ca.key"), authority.key, { mode: 0o600 });
  writeFileSync(files.certificate, certificate, { mode: 0o600 });
  writeFileSync(files.key, key, { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true }));

async function issued(node: string, now: number): Promise<LinkIdentity> {
  const key = await makeNodeKey();
  const publicKey = createPublicKey(key).export({ format: "pem", type: "spki" }).toString();
  return {
    ca: authority.certificate,
    certificate: await issueNodeCertificate(authority, node, publicKey, now),
    key,
  };
}

const shown = () => readFileSync(files.certificate, "utf8");

describe("the certificate of the link", () => {
  test("is left alone for two thirds of its life and renewed after them", async () => {
    const before = shown();
    expect(await renewPairCertificate(files, "bell-a", made + 58 * DAY_MS)).toBeNull();
    expect(shown()).toBe(before);
    const now = made + 60 * DAY_MS;
    const identity = await renewPairCertificate(files, "bell-a", now);
    expect(identity?.certificate).toBe(shown());
    const renewed = new X509Certificate(shown());
    expect(Date.parse(renewed.validTo)).toBeGreaterThan(now + (NODE_DAYS - 1) * DAY_MS);
    expect(renewed.subjectAltName).toBe("DNS:bell-a");
    expect(statSync(files.certificate).mode & 0o777).toBe(0o600);
    expect(await renewPairCertificate(files, "bell-a", now)).toBeNull();
  });

  test("is renewed once the clock is right again that was far ahead when it was made", async () => {
    const ahead = await issued("bell-a", made + 400 * DAY_MS);
    writeFileSync(files.certificate, ahead.certificate);
    writeFileSync(files.key, ahead.key);
    expect(await renewPairCertificate(files, "bell-a", made)).not.toBeNull();
    const renewed = new X509Certificate(shown());
    expect(Date.parse(renewed.validFrom)).toBeLessThan(made);
    expect(Date.parse(renewed.validTo)).toBeLessThan(made + 100 * DAY_MS);
  });

  test("is by an authority that is valid even where its maker's clock was years ahead", async () => {
    const certificate = new X509Certificate((await makePairAuthority(made + 3000 * DAY_MS)).certificate);
    expect(Date.parse(certificate.validFrom)).toBeLessThan(made);
    const long = new X509Certificate((await makePairAuthority(0)).certificate);
    expect(Date.parse(long.validFrom)).toBe(0);
  });

  test("is taken by the other node, which has not renewed its own yet", async () => {
    // As both are after a renewal now: this one was made long ago, the other one just now.
    const old = await issued("bell-a", made - 70 * DAY_MS);
    writeFileSync(files.certificate, old.certificate);
    writeFileSync(files.key, old.key);
    const renewed = await renewPairCertificate(files, "bell-a", made);
    if (renewed === null) throw new Error("it was not renewed");
    const server = createServer({ ...secured(await issued("bell-b", made)), requestCert: true }, (socket) => {
      socket.on("error", () => {});
      socket.end(socket.authorized ? "yes" : "no");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const call = dial({ host: "127.0.0.1", port, peerName: "bell-b", identity: renewed, timeoutMs: 5_000 });
    const socket = await call.done;
    if ("why" in socket) throw new Error(socket.detail);
    const answer = await new Promise<string>((resolve) =>
      socket.once("data", (bytes) => resolve(String(bytes))),
    );
    expect(answer).toBe("yes");
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  test("of an administrator's own authority, whose key is not here, is his to renew", async () => {
    rmSync(join(directory, "ca.key"));
    const before = shown();
    expect(await renewPairCertificate(files, "bell-a", made + 80 * DAY_MS)).toBeNull();
    expect(shown()).toBe(before);
  });

  test("is looked for where it is now, after another place was named", async () => {
    const lines: string[] = [];
    const place = join(directory, "elsewhere");
    mkdirSync(place);
    const others = { ...files, certificate: join(place, "node.pem"), key: join(place, "node.key") };
    copyFileSync(files.certificate, others.certificate);
    copyFileSync(files.key, others.key);
    const before = shown();
    let current = files;
    let now = made;
    const renewal = createPairRenewal({
      files: () => current,
      node: "bell-a",
      renewed: () => {},
      log: recordingLogger(lines),
      now: () => now,
      everyMs: 10,
    });
    renewal.start();
    await Bun.sleep(30);
    current = others;
    now = made + 70 * DAY_MS;
    for (let n = 0; n < 200 && lines.length < 1; n += 1) await Bun.sleep(10);
    await renewal.stop();
    expect([shown(), readFileSync(others.certificate, "utf8") === before]).toEqual([before, false]);
  });

  test("that cannot be renewed is told, and is tried again", async () => {
    const lines: string[] = [];
    const identities: LinkIdentity[] = [];
    const authorityKey = readFileSync(join(directory, "ca.key"));
    writeFileSync(join(directory, "ca.key"), await makeNodeKey());
    const renewal = createPairRenewal({
      files: () => files,
      node: "bell-a",
      renewed: (identity) => identities.push(identity),
      log: recordingLogger(lines),
      now: () => made + 70 * DAY_MS,
      everyMs: 20,
    });
    renewal.start();
    for (let n = 0; n < 200 && lines.length < 2; n += 1) await Bun.sleep(10);
    expect(lines[0]).toContain("cannot be renewed");
    expect(lines[0]).toContain("pair_authority");
    writeFileSync(join(directory, "ca.key"), authorityKey);
    for (let n = 0; n < 200 && identities.length === 0; n += 1) await Bun.sleep(10);
    expect(identities.map(({ certificate }) => certificate)).toEqual([shown()]);
    await renewal.stop();
  });
});
