// Whether a certificate file holds the whole chain.
import "reflect-metadata";
import { beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { incompleteChain, knownAuthorities } from "../../src/config/chain.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

interface Made {
  readonly pem: string;
  readonly keys: CryptoKeyPair;
  readonly name: string;
}

let serial = 1;
async function make(name: string, issuer: Made | null, isAuthority: boolean): Promise<Made> {
  const keys = (await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])) as CryptoKeyPair;
  serial += 1;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: `CN=${issuer?.name ?? name}`,
    serialNumber: `0${serial}`,
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    extensions: [new x509.BasicConstraintsExtension(isAuthority, undefined, true)],
  });
  return { pem: certificate.toString("pem"), keys, name };
}

let root: Made;
let upper: Made;
let lower: Made;
let leaf: Made;
let stranger: Made;
beforeAll(async () => {
  root = await make("Company Root", null, true);
  upper = await make("Company Policy", root, true);
  lower = await make("Company Issuing", upper, true);
  leaf = await make("bell.corp.example", lower, false);
  stranger = await make("Company Issuing", null, true);
});

const judge = (chain: readonly Made[], trusted: readonly Made[] = []) =>
  incompleteChain(
    "ews.pem",
    chain.map(({ pem }) => new X509Certificate(pem)),
    () => trusted.map(({ pem }) => pem),
  );

describe("a chain", () => {
  test("is complete up to the root, or up to an authority that the machine trusts", () => {
    expect(judge([leaf, lower, upper, root])).toBeNull();
    expect(judge([leaf, lower, upper], [root])).toBeNull();
    expect(judge([leaf], [stranger, lower])).toBeNull();
    expect(judge([root])).toBeNull();
  });

  test("may come in any order after the server's own", () => {
    expect(judge([leaf, root, upper, lower])).toBeNull();
  });

  test("without an intermediate authority names the one that is missing", () => {
    expect(judge([leaf], [root])).toContain('issuer "CN=Company Issuing" is neither in the file');
    expect(judge([leaf, lower], [root])).toContain(
      'ends with "CN=Company Issuing", and its issuer "CN=Company Policy"',
    );
    expect(judge([leaf, upper, root])).toContain('issuer "CN=Company Issuing"');
    expect(judge([leaf, lower, upper])).toContain('issuer "CN=Company Root"');
  });

  test("is not completed by another authority of the same name", () => {
    expect(judge([leaf, stranger], [root])).toContain('ends with "CN=bell.corp.example"');
  });

  test("is judged without the machine's authorities where the file says it all", () => {
    const chain = [leaf, lower, upper, root].map(({ pem }) => new X509Certificate(pem));
    const never = () => {
      throw new Error("asked");
    };
    expect(incompleteChain("ews.pem", chain, never)).toBeNull();
  });
});

test("what the machine trusts can be read, and a certificate that cannot harms nobody", () => {
  expect(knownAuthorities().length).toBeGreaterThan(0);
  const chain = [new X509Certificate(leaf.pem)];
  expect(incompleteChain("ews.pem", chain, () => ["nonsense", lower.pem])).toBeNull();
});
