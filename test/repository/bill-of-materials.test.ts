// The bill of materials against CycloneDX's own schema, which names every licence of SPDX too.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import Ajv from "ajv";
import addFormats from "ajv-formats";
import { embeddedPackages } from "../../scripts/package/embedded.ts";
import { MACHINES } from "../../scripts/package/facts.ts";
import { billOfMaterials } from "../../scripts/package/sbom.ts";

const root = join(import.meta.dir, "..", "..");
const library = dirname(createRequire(import.meta.url).resolve("@cyclonedx/cyclonedx-library/package.json"));
const schema = (name: string) =>
  JSON.parse(readFileSync(join(library, "res", "schema", `${name}.SNAPSHOT.schema.json`), "utf8"));

// Addresses of people, and URLs with letters of any alphabet: there are none of the first, and a URI is one of the second.
const ajv = new Ajv({ strict: false, formats: { "idn-email": true, "iri-reference": true } });
addFormats(ajv, ["date-time", "email", "uri"]);
// By the names under which the one refers to the others.
for (const name of ["spdx", "jsf-0.82"]) {
  ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
}
const validate = ajv.compile(schema("bom-1.6"));
const wrongIn = (text: string) => {
  validate(JSON.parse(text));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
};

const packages = await embeddedPackages(root);
const [machine] = MACHINES;
const bill = billOfMaterials({
  build: { root, out: "", work: "", release: "1", epoch: 1_700_000_000, commit: "0123456789ab" },
  machine: machine!,
  packages,
  sqliteVersion: "3.50.4",
  executableSha256: "ab".repeat(32),
});

test("the bill of materials is what the schema of CycloneDX 1.6 asks for", () => {
  expect(wrongIn(bill)).toEqual([]);
  expect(JSON.parse(bill).components.length).toBeGreaterThan(packages.length);
});

test("the schema finds an unknown licence, a hash of another length and a field that there is none of", () => {
  const spoilt = (change: (component: Record<string, unknown>) => void) => {
    const whole = JSON.parse(bill);
    change(whole.components[0]);
    return wrongIn(JSON.stringify(whole)).join("\n");
  };
  expect(spoilt((component) => (component.licenses = [{ license: { id: "MIT-ish" } }]))).toContain(
    "allowed values",
  );
  expect(spoilt((component) => (component.hashes = [{ alg: "SHA-512", content: "ab" }]))).toContain(
    "pattern",
  );
  expect(spoilt((component) => (component.colour = "red"))).toContain("additional properties");
});
