// The bill of materials in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): the npm packages that are embedded,
// the runtime with its libraries, and the SQLite of the addon.
import { createHash } from "node:crypto";
import type { Embedded } from "./embedded.ts";
import { type Build, dateOf, MAINTAINER, type Machine, NAME, VERSION } from "./facts.ts";
import { RUNTIME_PARTS, runtimeVersion } from "./runtime-parts.ts";

interface Component {
  readonly type: "application" | "library" | "platform";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version?: string;
  readonly licenses?: readonly (
    | { readonly license: { readonly id: string } }
    | { readonly expression: string }
  )[];
  readonly purl?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly externalReferences?: readonly { readonly type: string; readonly url: string }[];
}

export interface BomInput {
  readonly build: Build;
  readonly machine: Machine;
  readonly packages: readonly Embedded[];
  /** Of the addon that writes the database. */
  readonly sqliteVersion: string;
  /** SHA-256 of the executable, hexadecimal. */
  readonly executableSha256: string;
}

/** The bill as JSON. Two builds of a commit give the same: its serial number is made of what is in it. */
export function billOfMaterials({
  build,
  machine,
  packages,
  sqliteVersion,
  executableSha256,
}: BomInput): string {
  const self: Component = {
    type: "application",
    "bom-ref": NAME,
    name: NAME,
    version: VERSION,
    licenses: [{ license: { id: "Apache-2.0" } }],
    purl: `pkg:generic/${NAME}@${VERSION}?arch=${machine.debian}`,
    hashes: [{ alg: "SHA-256", content: executableSha256 }],
  };
  const runtime = RUNTIME_PARTS.map(({ name, licence, source, key }): Component => {
    const version = runtimeVersion(key);
    return {
      type: name === "bun" ? "platform" : "library",
      "bom-ref": `runtime/${name}`,
      name,
      ...(version === null ? {} : { version }),
      licenses: licences(licence),
      purl: `pkg:generic/${name}${version === null ? "" : `@${version}`}`,
      externalReferences: [{ type: "website", url: source }],
    };
  });
  const sqlite: Component = {
    type: "library",
    "bom-ref": "addon/sqlite",
    name: "sqlite",
    version: sqliteVersion,
    licenses: licences("blessing"),
    purl: `pkg:generic/sqlite@${sqliteVersion}`,
  };
  const npm = packages.map(npmComponent);
  const refs = new Map(packages.map((each) => [each.name, refOf(each)]));
  const refsOf = (names: readonly string[]) =>
    [...new Set(names.flatMap((name) => refs.get(name) ?? []))].sort();
  const dependencies = [
    { ref: NAME, dependsOn: ["runtime/bun", ...packages.map(refOf)] },
    {
      ref: "runtime/bun",
      dependsOn: runtime.map((each) => each["bom-ref"]).filter((ref) => ref !== "runtime/bun"),
    },
    ...packages.map((each) => ({
      ref: refOf(each),
      dependsOn: each.name === "better-sqlite3" ? ["addon/sqlite"] : refsOf(each.dependsOn),
    })),
  ];
  const body = {
    metadata: {
      timestamp: dateOf(build).toISOString(),
      component: self,
      supplier: { name: MAINTAINER.replace(/\s*<.*/, "") },
    },
    components: [...runtime, sqlite, ...npm],
    dependencies,
  };
  const whole = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(body))}`,
    version: 1,
    ...body,
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

function refOf({ name, version }: Embedded): string {
  return `npm/${name}@${version}`;
}

function npmComponent(each: Embedded): Component {
  const [algorithm, digest] = each.integrity?.split("-") ?? [];
  const isKnown = algorithm === "sha512" && digest !== undefined;
  return {
    type: "library",
    "bom-ref": refOf(each),
    name: each.name,
    version: each.version,
    licenses: licences(each.licence),
    // The scope's @ is written %40 (package-url, type npm).
    purl: `pkg:npm/${each.name.replace("@", "%40")}@${each.version}`,
    ...(isKnown
      ? { hashes: [{ alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") }] }
      : {}),
  };
}

function licences(expression: string): NonNullable<Component["licenses"]> {
  return /^[A-Za-z0-9.-]+$/.test(expression) ? [{ license: { id: expression } }] : [{ expression }];
}

/** A UUID made of a text, version 8 (RFC 9562, section 5.8). */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
