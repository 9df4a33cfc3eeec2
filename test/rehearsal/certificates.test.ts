import { expect, test } from "bun:test";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { connect, createServer, type TLSSocket } from "node:tls";
import { createAuthority, expiresAt, issue, issueApnsCertificate } from "../../src/rehearsal/certificates.ts";
import {
  createApnsKey,
  createApnsToken,
  createEnrolmentSecret,
  createFcmToken,
  createServiceAccount,
  seededRandom,
} from "../../src/rehearsal/credentials.ts";

const DAY_MS = 86_400_000;
const authority = await createAuthority("An authority");

/** A TLS handshake between the two; undefined means that the client was content. */
async function handshake(certificate: string, key: string, ca: string, host: string) {
  const server = createServer({ cert: certificate, key }, (socket: TLSSocket) => socket.end());
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    return await new Promise<string | undefined>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1", ca, servername: host }, () => {
        socket.destroy();
        resolve(undefined);
      });
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

for (const kind of ["p256", "rsa-2048"] as const) {
  test(`a ${kind} certificate is trusted by those who trust its authority, for its names only`, async () => {
    const { certificate, key } = await issue(authority, { names: ["bell.example", "127.0.0.1"], kind });
    expect(await handshake(certificate, key, authority.certificate, "bell.example")).toBeUndefined();
    expect(await handshake(certificate, key, authority.certificate, "other.example")).toBeDefined();
    const stranger = await createAuthority("A stranger", { kind });
    expect(await handshake(certificate, key, stranger.certificate, "bell.example")).toBeDefined();
    const leaf = new X509Certificate(certificate);
    expect(leaf.publicKey.asymmetricKeyType).toBe(kind === "p256" ? "ec" : "rsa");
    expect(leaf.subjectAltName).toContain("127.0.0.1");
  });
}

test("a certificate can be made that has expired", async () => {
  const now = Date.now();
  const old = await issue(authority, { names: ["bell.example"], now: now - 40 * DAY_MS, days: 30 });
  expect(expiresAt(old.certificate)).toBeLessThan(now);
  expect(await handshake(old.certificate, old.key, authority.certificate, "bell.example")).toBe(
    "CERT_HAS_EXPIRED",
  );
});

test("a push certificate names its app and is for clients", async () => {
  const { certificate } = await issueApnsCertificate(authority, { topic: "com.example.mail" });
  const leaf = new X509Certificate(certificate);
  expect(leaf.subject).toContain("CN=Apple Push Services: com.example.mail");
  expect(leaf.subject).toContain("UID=com.example.mail");
  expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
});

test.skipIf(Bun.which("openssl") === null)("openssl reads the certificate (needs openssl)", async () => {
  const { certificate, key } = await issue(authority, { names: ["bell.example"] });
  const openssl = Bun.spawn(["openssl", "x509", "-noout", "-ext", "subjectAltName"], {
    stdin: new Blob([certificate]),
    stdout: "pipe",
  });
  expect(await new Response(openssl.stdout).text()).toContain("DNS:bell.example");
  expect(createPublicKey(createPrivateKey(key)).equals(new X509Certificate(certificate).publicKey)).toBe(
    true,
  );
});

test("the same seed gives the same tokens, another seed others", () => {
  const tokens = (seed: string) => {
    const random = seededRandom(seed);
    return [createApnsToken(random), createApnsToken(random), createFcmToken(random)];
  };
  expect(tokens("a")).toEqual(tokens("a"));
  expect(new Set([...tokens("a"), ...tokens("b")]).size).toBe(6);
});

test("tokens and secrets have the shape that the services give them", () => {
  const random = seededRandom("shape");
  expect(createApnsToken(random)).toMatch(/^[0-9a-f]{64}$/);
  expect(createFcmToken(random)).toMatch(/^[A-Za-z0-9_-]{22}:APA91b[A-Za-z0-9_-]{120,}$/);
  expect(createEnrolmentSecret(random)).toMatch(/^[A-Za-z0-9_-]{43}$/);
});

test("an APNs key and a service account come as the files that Apple and Google give out", async () => {
  const random = seededRandom("files");
  const apns = await createApnsKey(random);
  expect(apns.keyId).toMatch(/^[A-Z0-9]{10}$/);
  expect(createPrivateKey(apns.privateKey).asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  expect(apns.privateKey).toStartWith("-----BEGIN PRIVATE KEY-----");
  const { file } = await createServiceAccount(random, "some-project");
  expect(file.type).toBe("service_account");
  expect(file.client_email).toBe("inboxbell@some-project.iam.gserviceaccount.com");
  expect(createPrivateKey(file.private_key).asymmetricKeyDetails?.modulusLength).toBe(2048);
});
