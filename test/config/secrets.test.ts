// Secrets are read from files, and only from files that hold what they should and that nobody else can read.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import type { ApnsCredential } from "../../src/config/types.ts";
import { createWorkshop, furnish, GOOD, MATERIAL, refusal, type Workshop } from "./helpers.ts";

let workshop: Workshop;
beforeEach(() => {
  workshop = createWorkshop();
  furnish(workshop);
});
afterEach(() => workshop.remove());

function load(text = GOOD, env: Record<string, string> = {}) {
  return loadSecrets(loadConfig(workshop.write("i.yaml", text), env), env);
}

const WITH_CERTIFICATE = GOOD.replace(
  /key: \{ file: AuthKey.p8[^}]+\}/,
  "certificate: { file: push.cert, password_file: push.password }",
);
const WITHOUT_PASSWORD = WITH_CERTIFICATE.replace(", password_file: push.password", "");

function certificate(text = WITH_CERTIFICATE): ApnsCredential | null | undefined {
  return load(text).apps.get("com.example.mail")?.apns;
}

const fixture = (name: string) => readFileSync(join(import.meta.dir, "fixtures", name));

test("every secret of a good configuration is read", () => {
  workshop.write("extra.pem", MATERIAL.ca, 0o644);
  const secrets = load(`${GOOD}egress: { ca_file: extra.pem }\n`);
  const account = MATERIAL.serviceAccount;
  expect(secrets.enrolmentSecrets).toEqual([MATERIAL.enrolmentSecret]);
  expect(secrets.egressCa).toBe(MATERIAL.ca);
  expect(secrets.apps.get("com.example.mail")).toEqual({
    apns: { type: "key", privateKey: MATERIAL.apnsKey, keyId: "ABC123DEFG", teamId: "DEF123GHIJ" },
    fcm: {
      projectId: account.project_id,
      clientEmail: account.client_email,
      privateKey: account.private_key,
      privateKeyId: account.private_key_id,
    },
  });
});

test("several enrolment secrets are read, so that one can be changed without a gap", () => {
  workshop.write("next.secret", "another-secret-of-some-length\r\n");
  const entry = "  - { type: enrolment_secret, file: enrolment.secret }\n";
  const secrets = load(GOOD.replace(entry, `${entry}${entry.replace("enrolment.secret", "next.secret")}`));
  expect(secrets.enrolmentSecrets).toEqual([MATERIAL.enrolmentSecret, "another-secret-of-some-length"]);
});

describe("a file that others can read or change", () => {
  for (const mode of [0o644, 0o604, 0o602, 0o601]) {
    test(`with mode ${mode.toString(8)} is refused`, () => {
      const path = workshop.write("enrolment.secret", MATERIAL.enrolmentSecret, mode);
      expect(refusal(() => load())).toEqual({
        code: "secret_exposed",
        message: `${path} can be read or changed by other users. Run: chmod 0600 ${path}`,
      });
    });
  }

  test("is accepted when only its group can read it", () => {
    workshop.write("enrolment.secret", MATERIAL.enrolmentSecret, 0o640);
    expect(load().enrolmentSecrets).toHaveLength(1);
  });

  test("is judged by the file that a link leads to", () => {
    workshop.write("real.secret", MATERIAL.enrolmentSecret, 0o644);
    symlinkSync("real.secret", workshop.path("link.secret"));
    expect(refusal(() => load(GOOD.replace("file: enrolment.secret", "file: link.secret"))).code).toBe(
      "secret_exposed",
    );
  });

  test("is accepted among systemd's credentials, which systemd guards", () => {
    const directory = workshop.path("credentials");
    workshop.write("credentials/enrolment", MATERIAL.enrolmentSecret, 0o444);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text as it stands in the configuration
    const text = GOOD.replace("file: enrolment.secret", 'file: "${CREDENTIALS_DIRECTORY}/enrolment"');
    expect(load(text, { CREDENTIALS_DIRECTORY: directory }).enrolmentSecrets).toHaveLength(1);
    // The same directory, spelt in another way.
    const respelt = { CREDENTIALS_DIRECTORY: `${directory}/../credentials/` };
    expect(load(text, respelt).enrolmentSecrets).toHaveLength(1);
    // A directory beside it whose name only starts the same is not among them.
    workshop.write("credentials-2/enrolment", MATERIAL.enrolmentSecret, 0o444);
    const beside = GOOD.replace("file: enrolment.secret", "file: credentials-2/enrolment");
    expect(refusal(() => load(beside, { CREDENTIALS_DIRECTORY: directory })).code).toBe("secret_exposed");
  });
});

describe("a file that cannot be read", () => {
  test("because it is missing is named", () => {
    expect(refusal(() => load(GOOD.replace("fcm.json", "other.json")))).toEqual({
      code: "secret_unreadable",
      message: `${workshop.path("other.json")} cannot be read: there is no such file.`,
    });
  });

  test("because it is a directory is named", () => {
    mkdirSync(workshop.path("dir"));
    expect(refusal(() => load(GOOD.replace("fcm.json", "dir"))).code).toBe("secret_unreadable");
  });

  test("because it is a named pipe does not hold up the start", async () => {
    const made = Bun.spawn(["mkfifo", "-m", "0600", workshop.path("pipe")], { stderr: "ignore" });
    expect(await made.exited).toBe(0);
    expect(refusal(() => load(GOOD.replace("fcm.json", "pipe")))).toEqual({
      code: "secret_unreadable",
      message: `${workshop.path("pipe")} is not a regular file.`,
    });
  });

  test("because it is far too large is refused", () => {
    workshop.write("fcm.json", Buffer.alloc(1_100_000));
    expect(refusal(() => load()).message).toContain("larger than 1 MiB");
  });
});

describe("a token key", () => {
  const pkcs8 = (curve: string) =>
    generateKeyPairSync("ec", { namedCurve: curve })
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString();
  const wrong: readonly (readonly [string, () => string])[] = [
    ["of another curve", () => pkcs8("P-384")],
    [
      "of RSA",
      () =>
        generateKeyPairSync("rsa", { modulusLength: 2048 })
          .privateKey.export({ type: "pkcs8", format: "pem" })
          .toString(),
    ],
    [
      "in another encoding",
      () => createPrivateKey(pkcs8("P-256")).export({ type: "sec1", format: "pem" }).toString(),
    ],
    ["that is public", () => MATERIAL.registration.certificate],
    ["that is damaged", () => MATERIAL.apnsKey.replace(/\n.{8}/, "\nAAAAAAAA")],
    ["that is something else", () => "hunter2hunter2"],
    ["that is empty", () => ""],
  ];
  for (const [name, content] of wrong) {
    test(`${name} is refused with what was expected`, () => {
      workshop.write("AuthKey.p8", content());
      const { code, message } = refusal(() => load());
      expect(code).toBe("secret_invalid");
      expect(message).toContain(`${workshop.path("AuthKey.p8")}: expected Apple's AuthKey`);
      expect(message).not.toContain("hunter2");
    });
  }
});

describe("a push certificate", () => {
  for (const name of ["push-modern.p12", "push-legacy.p12"]) {
    test(`in PKCS #12 is opened with its password (${name})`, () => {
      workshop.write("push.cert", fixture(name));
      workshop.write("push.password", "fixture\n");
      const credential = certificate();
      expect(credential).toEqual({ type: "p12", pfx: fixture(name), passphrase: "fixture" });
    });
  }

  test("is refused when the password does not open it", () => {
    workshop.write("push.cert", fixture("push-modern.p12"));
    workshop.write("push.password", "swordfish\n");
    const { code, message } = refusal(() => certificate());
    expect([code, message]).toEqual([
      "secret_invalid",
      `${workshop.path("push.cert")}: expected a PKCS #12 file with certificate and private key, to be opened with the configured password.`,
    ]);
    expect(refusal(() => certificate(WITHOUT_PASSWORD)).message).toContain(
      "no password (none is configured)",
    );
  });

  test("is refused without a private key in it", () => {
    workshop.write("push.cert", fixture("no-key.p12"));
    workshop.write("push.password", "fixture");
    expect(refusal(() => certificate()).code).toBe("secret_invalid");
  });

  test("in PEM has its own certificate first, whatever the order in the file", () => {
    const { key } = MATERIAL.registration;
    const [leaf, authority] = MATERIAL.registration.certificate.split(/(?<=-----END CERTIFICATE-----\n)/);
    workshop.write("push.cert", `Bag Attributes\n${authority}\n${key}\nmore\n${leaf}`);
    const credential = certificate(WITHOUT_PASSWORD);
    if (credential?.type !== "pem") throw new Error("not read as PEM");
    expect(new X509Certificate(credential.certificate).fingerprint256).toBe(
      new X509Certificate(leaf!).fingerprint256,
    );
    expect(credential.expiresAt).toBe(Date.parse(new X509Certificate(leaf!).validTo));
    createSecureContext({ cert: credential.certificate, key: credential.privateKey });
  });

  test("in PEM may have an encrypted key", () => {
    const encrypted = createPrivateKey(MATERIAL.registration.key)
      .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "swordfish" })
      .toString();
    workshop.write("push.cert", MATERIAL.registration.certificate + encrypted);
    workshop.write("push.password", "swordfish");
    const credential = certificate();
    if (credential?.type !== "pem") throw new Error("not read as PEM");
    createSecureContext({ cert: credential.certificate, key: credential.privateKey });
    workshop.write("push.password", "wrong");
    expect(refusal(() => certificate()).code).toBe("secret_invalid");
    expect(refusal(() => certificate(WITHOUT_PASSWORD)).code).toBe("secret_invalid");
  });

  test("in PEM is refused with another certificate's key, and without a key or a certificate", () => {
    const { registration, exchange } = MATERIAL;
    for (const content of [
      registration.certificate + exchange.key,
      registration.certificate,
      registration.key,
      "0",
    ]) {
      workshop.write("push.cert", content);
      expect(refusal(() => certificate(WITHOUT_PASSWORD)).code).toBe("secret_invalid");
    }
  });

  test("that has expired does not keep the other apps from being rung", () => {
    workshop.write("push.cert", MATERIAL.expired.certificate + MATERIAL.expired.key);
    expect(certificate(WITHOUT_PASSWORD)?.type).toBe("pem");
  });

  test("is refused with a password of several lines", () => {
    workshop.write("push.cert", fixture("push-modern.p12"));
    workshop.write("push.password", "fixture\nfixture\n");
    expect(refusal(() => certificate()).message).toContain("expected a single line");
  });
});

describe("a service account", () => {
  const account = MATERIAL.serviceAccount;
  const wrong: readonly (readonly [string, unknown, string])[] = [
    ["of another type", { ...account, type: "authorized_user" }, 'whose "type" is "service_account"'],
    ["that is the app's own file", { project_info: {}, client: [] }, "google-services.json is another file"],
    ["without a project", { ...account, project_id: undefined }, '"project_id" is missing'],
    ["with a path for a project", { ...account, project_id: "../other" }, '"project_id" is not a project'],
    ["without an address", { ...account, client_email: "" }, '"client_email" is missing'],
    ["without a key", { ...account, private_key: 5 }, '"private_key" is missing'],
    [
      "with a damaged key",
      { ...account, private_key: "hunter2" },
      '"private_key" is not a private key in PEM',
    ],
    ["with a key of another kind", { ...account, private_key: MATERIAL.apnsKey }, "is not an RSA key"],
    ["that is a list", [account], "a Google service account's JSON key file"],
    ["that is null", null, "a Google service account's JSON key file"],
  ];
  for (const [name, content, expected] of wrong) {
    test(`${name} is refused`, () => {
      workshop.write("fcm.json", JSON.stringify(content));
      const { code, message } = refusal(() => load());
      expect(code).toBe("secret_invalid");
      expect(message).toContain(expected);
      expect(message).not.toContain("hunter2");
    });
  }

  test("that is no JSON is refused without a word of what it is, not even as a cause", () => {
    workshop.write("fcm.json", "hunter2hunter2 = swordfish");
    try {
      load();
      throw new Error("it was accepted");
    } catch (error) {
      expect(Bun.inspect(error)).toContain("a Google service account's JSON key file");
      expect(Bun.inspect(error)).not.toContain("swordfish");
    }
  });
});

describe("an enrolment secret", () => {
  const wrong: readonly (readonly [string, string, string])[] = [
    ["that is short", "fifteen-letters\n", "at least 16 characters, because a shorter one can be guessed"],
    ["with a space", "correct horse battery staple", "printable ASCII characters without spaces"],
    ["with an umlaut", "schlüsselschlüssel", "printable ASCII characters without spaces"],
    ["of two lines", "correct-horse-battery\nstaple-staple-staple\n", "a single line"],
    ["with two newlines", "correct-horse-battery-staple\n\n", "a single line"],
    ["that is empty", "", "at least 16 characters"],
  ];
  for (const [name, content, expected] of wrong) {
    test(`${name} is refused with the reason`, () => {
      workshop.write("enrolment.secret", content);
      const { code, message } = refusal(() => load());
      expect(code).toBe("secret_invalid");
      expect(message).toContain(expected);
      expect(message).not.toContain("horse");
    });
  }
});

test("a file of certificate authorities holds certificates", () => {
  const text = `${GOOD}egress: { ca_file: extra.pem }\n`;
  for (const content of [
    "",
    "hunter2",
    MATERIAL.registration.key,
    MATERIAL.ca.replace(/\n.{20}/, "\nAAAA"),
  ]) {
    workshop.write("extra.pem", content, 0o644);
    expect(refusal(() => load(text)).code).toBe("secret_invalid");
  }
});
