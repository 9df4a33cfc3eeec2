// The packages as an administrator or a distribution's tools see them: the same bytes from every build, nothing to
// complain about, complete, and the executable in them works.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import packageJson from "../../../package.json" with { type: "json" };
import { embeddedPackages } from "../../../scripts/package/embedded.ts";
import { licenceText } from "../../../scripts/package/licences.ts";
import { freshDirectory, run } from "../helpers.ts";
import { canUnpackDebian, copyDebian } from "./debian-tree.ts";
import { documentLinks } from "./document-links.ts";
import {
  allPackages,
  canPackage,
  laterPackages,
  makePackages,
  missing,
  packageFile,
  tool,
} from "./packages.ts";

const repository = join(import.meta.dir, "..", "..", "..");
const BUILD_MS = 400_000;
const directories: ReturnType<typeof freshDirectory>[] = [];
/** A directory for the time of these tests. */
function workDirectory(name: string): string {
  const directory = freshDirectory(name);
  directories.push(directory);
  return directory.path;
}
afterAll(() => {
  for (const directory of directories.splice(0)) directory.remove();
});
const isX64 = process.arch === "x64";

/** Unpacks a .deb; gives the directory. */
async function unpackedDeb(): Promise<string> {
  const to = join(workDirectory("deb"), "files");
  await tool(["dpkg-deb", "-x", packageFile(await allPackages(), "_amd64.deb"), to]);
  return to;
}

describe.skipIf(!canPackage)("packages (needs dpkg-deb, rpmbuild and git)", () => {
  let out: string;
  let deb: string;
  beforeAll(async () => {
    out = await allPackages();
    deb = await unpackedDeb();
  }, BUILD_MS);

  test("are there for both machines, with their checksums", async () => {
    const version = packageJson.version;
    expect(readdirSync(out).sort()).toEqual([
      "SHA256SUMS",
      `inboxbell-${version}-1.aarch64.rpm`,
      `inboxbell-${version}-1.x86_64.rpm`,
      `inboxbell-${version}-linux-arm64.tar.gz`,
      `inboxbell-${version}-linux-x64.tar.gz`,
      `inboxbell_${version}-1_amd64.deb`,
      `inboxbell_${version}-1_arm64.deb`,
    ]);
    const check = await run(["sh", "-c", 'cd "$1" && sha256sum --check --strict SHA256SUMS', "sh", out]);
    expect([check.code, check.out.match(/: OK/g)?.length]).toEqual([0, 6]);
  });

  test(
    "are the same bytes from another build in the same directory, which says that checksums are unsigned where no key is given",
    async () => {
      const before = readFileSync(join(out, "SHA256SUMS"), "utf8");
      const made = await makePackages(out);
      expect(made.out).toContain("\nMade SHA256SUMS, unsigned: no --sign-key was given.\n");
      expect(readFileSync(join(out, "SHA256SUMS"), "utf8")).toBe(before);
    },
    BUILD_MS,
  );

  test.skipIf(missing("minisign").length > 0)(
    "have their checksums signed with a key from outside, whose password comes from a file (needs minisign)",
    async () => {
      const directory = workDirectory("sign");
      const [secret, open, password] = ["key", "key.pub", "password"].map((name) =>
        join(directory, name),
      ) as [string, string, string];
      writeFileSync(password, "throw-away\n", { mode: 0o600 });
      await tool(["sh", "-c", `printf 'throw-away\\nthrow-away\\n' | minisign -G -p ${open} -s ${secret}`]);
      const signed = join(directory, "out");
      const some = ["--kind", "tar", "--machine", isX64 ? "linux-x64" : "linux-arm64"];
      const made = await makePackages(signed, ...some, "--sign-key", secret, "--password-file", password);
      expect(made.out).not.toContain("unsigned");
      const verify = () => run(["minisign", "-V", "-p", open, "-m", join(signed, "SHA256SUMS")]);
      expect((await verify()).code).toBe(0);
      writeFileSync(join(signed, "SHA256SUMS"), "something else\n");
      expect((await verify()).code).not.toBe(0);
    },
    BUILD_MS,
  );

  test("are not made by options that are not known", async () => {
    const directory = workDirectory("refused");
    const script = join(repository, "scripts", "package.ts");
    for (const options of [["--machine", "sparc"], ["--kind", "zip"], ["--release", "0"], ["--unknown"]]) {
      const { code, err } = await run([
        process.execPath,
        script,
        "--out",
        join(directory, "out"),
        ...options,
      ]);
      expect([options, code, err.includes("\n    at ")]).toEqual([options, 1, false]);
      expect(existsSync(join(directory, "out"))).toBe(false);
    }
  });

  test.skipIf(missing("lintian").length > 0)(
    "leave lintian nothing to say but what is overridden with a reason (needs lintian)",
    async () => {
      const debs = ["amd64", "arm64"].map((machine) => packageFile(out, `_${machine}.deb`));
      const { code, out: said } = await run(["lintian", "--no-cfg", "-I", ...debs], { limitMs: 180_000 });
      expect([code, said]).toEqual([0, ""]);
    },
    200_000,
  );

  test.skipIf(missing("rpmlint").length > 0)(
    "leave rpmlint nothing to say but what is filtered with a reason (needs rpmlint)",
    async () => {
      const rpms = ["x86_64", "aarch64"].map((machine) => packageFile(out, `.${machine}.rpm`));
      const filters = join(repository, "systemd", "rpm", "rpmlint.toml");
      const { code, out: said } = await run(["rpmlint", "-c", filters, ...rpms], { limitMs: 180_000 });
      expect([
        code,
        /^inboxbell.*: [EW]: .*/m.exec(said)?.[0] ?? "",
        said.includes("0 errors, 0 warnings"),
      ]).toEqual([0, "", true]);
    },
    200_000,
  );

  test("hold the executable as it was built, configuration as a conffile, and everything that belongs to it", async () => {
    const file = packageFile(out, "_amd64.deb");
    const field = async (name: string) => (await tool(["dpkg-deb", "-f", file, name])).trim();
    expect(await field("Maintainer")).toBe("The Inboxbell authors <maintainers@inboxbell.example>");
    const control = join(workDirectory("control"), "control");
    await tool(["dpkg-deb", "-e", file, control]);
    expect(readFileSync(join(control, "conffiles"), "utf8")).toBe("/etc/inboxbell/inboxbell.yaml\n");
    await tool(["sh", "-c", `cd ${deb} && md5sum --check --quiet ${control}/md5sums`]);
    for (const path of [
      "usr/share/man/man1/inboxbell.1.gz",
      "usr/share/man/man5/inboxbell.yaml.5.gz",
      "usr/share/bash-completion/completions/inboxbell",
      "usr/share/zsh/vendor-completions/_inboxbell",
      "usr/share/fish/vendor_completions.d/inboxbell.fish",
      "usr/lib/sysusers.d/inboxbell.conf",
      "usr/lib/tmpfiles.d/inboxbell.conf",
      "lib/systemd/system/inboxbell.service",
      "usr/share/inboxbell/inboxbell.schema.json",
      "usr/share/inboxbell/drop-ins/stricter.conf",
      "usr/share/doc/inboxbell/changelog.gz",
      "usr/share/doc/inboxbell/copyright",
      "usr/share/doc/inboxbell/docs/install.md",
    ]) {
      expect([path, existsSync(join(deb, path))]).toEqual([path, true]);
    }
    const [schema] = readFileSync(join(deb, "etc/inboxbell/inboxbell.yaml"), "utf8").split("\n");
    expect(schema).toEndWith("$schema=/usr/share/inboxbell/inboxbell.schema.json");
  });

  test.skipIf(!isX64)("hold an executable that works where it is installed (needs x86-64)", async () => {
    const { code, out: said } = await run([join(deb, "usr/bin/inboxbell"), "version", "--json"], {
      temporary: workDirectory("bun"),
    });
    expect(code).toBe(0);
    expect(JSON.parse(said)).toMatchObject({ version: packageJson.version, platform: "linux-x64" });
  });

  test("have the same files in the tarball, below one directory, but no configuration to overwrite yours", async () => {
    const listed = await tool(["tar", "-tzf", packageFile(out, "-linux-x64.tar.gz")]);
    const names = listed.trim().split("\n");
    const top = `inboxbell-${packageJson.version}-linux-x64/`;
    expect(names.filter((name) => !name.startsWith(top))).toEqual([]);
    for (const path of [
      "usr/bin/inboxbell",
      "usr/lib/systemd/system/inboxbell.service",
      "usr/share/doc/inboxbell/config/inboxbell.yaml",
    ]) {
      expect(names).toContain(`${top}${path}`);
    }
    expect(names.filter((name) => name !== top && !name.startsWith(`${top}usr/`))).toEqual([]);
  });

  test("hold documents whose links lead to what is installed beside them", async () => {
    const tarball = join(workDirectory("tar"), "files");
    mkdirSync(tarball);
    await tool([
      "tar",
      "-xzf",
      packageFile(out, "-linux-x64.tar.gz"),
      "-C",
      tarball,
      "--strip-components=1",
      "--exclude=*/usr/bin",
    ]);
    for (const [kind, tree] of [
      ["deb", deb],
      ["tarball", tarball],
    ] as const) {
      const { documents, followed, broken } = documentLinks(tree);
      expect([kind, broken]).toEqual([kind, []]);
      expect(documents).toContain("usr/share/doc/inboxbell/README.md");
      expect(documents).toContain("usr/share/doc/inboxbell/docs/upgrade.md");
      expect(followed).toBeGreaterThan(50);
    }
    const read = (name: string) => readFileSync(join(deb, "usr/share/doc/inboxbell", name), "utf8");
    expect(read("README.md")).toContain("| CONTRIBUTING.md in the sources |");
    expect(read("README.md")).toContain("[CHANGELOG.md](changelog.gz)");
    expect(read("docs/configuration.md")).toContain("](../../../inboxbell/inboxbell.schema.json)");
  });

  test.skipIf(missing("mandoc").length > 0)(
    "have manual pages without a mistake (needs mandoc)",
    async () => {
      for (const page of ["man1/inboxbell.1", "man5/inboxbell.yaml.5"]) {
        const text = gunzipSync(readFileSync(join(deb, `usr/share/man/${page}.gz`)));
        const file = join(workDirectory("man"), "page");
        writeFileSync(file, text);
        const { out: said } = await run(["mandoc", "-T", "lint", "-W", "warning", file]);
        expect([page, said]).toEqual([page, ""]);
        expect(text.toString()).not.toContain("undefined");
      }
    },
  );

  describe("name what is inside:", () => {
    test("the bill of materials has every embedded package, the runtime with its TLS and SQLite, and how they depend", async () => {
      const bill = JSON.parse(readFileSync(join(deb, "usr/share/doc/inboxbell/inboxbell.cdx.json"), "utf8"));
      expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1 });
      expect(bill.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      const components: {
        name: string;
        version?: string;
        purl: string;
        "bom-ref": string;
        licenses: unknown[];
      }[] = bill.components;
      const refs = components.map((component) => component["bom-ref"]);
      expect(new Set(refs).size).toBe(refs.length);
      const known = new Set([...refs, bill.metadata.component["bom-ref"]]);
      for (const { ref, dependsOn } of bill.dependencies) {
        expect([ref, ...dependsOn].filter((each: string) => !known.has(each))).toEqual([]);
      }
      expect(components.every(({ licenses, purl }) => licenses.length > 0 && purl.startsWith("pkg:"))).toBe(
        true,
      );
      const versionOf = (ref: string) => components.find((each) => each["bom-ref"] === ref)?.version;
      expect(versionOf("runtime/bun")).toBe(Bun.version);
      expect(versionOf("runtime/boringssl")).toBe(process.versions.boringssl);
      expect(versionOf("addon/sqlite")).toMatch(/^3\.\d+\.\d+$/);
      for (const { name, version } of await embeddedPackages(repository)) {
        expect(versionOf(`npm/${name}@${version}`)).toBe(version);
      }
      const [hash] = bill.metadata.component.hashes;
      expect(hash.content).toBe((await tool(["sha256sum", join(deb, "usr/bin/inboxbell")])).split(" ")[0]);
    });

    test("every dependency that the sources import is embedded, with its licence", async () => {
      const notices = readFileSync(join(deb, "usr/share/doc/inboxbell/THIRD-PARTY-NOTICES"), "utf8");
      const embedded = await embeddedPackages(repository);
      for (const name of Object.keys(packageJson.dependencies)) {
        expect([name, embedded.some((each) => each.name === name)]).toEqual([name, true]);
      }
      for (const each of embedded) {
        expect(notices).toContain(`\n${each.name} ${each.version} (${each.licence})\n`);
        expect(notices).toContain(licenceText(each));
      }
      expect(notices).toContain("webkit");
    });

    test("a package without a licence text stops packaging", async () => {
      const directory = workDirectory("unlicensed");
      const unlicensed = {
        name: "unlicensed",
        version: "1.0.0",
        licence: "Custom",
        author: "Somebody",
        directory,
        integrity: null,
        dependsOn: [],
      };
      expect(() => licenceText(unlicensed)).toThrow("unlicensed 1.0.0 (Custom) has no licence text");
      writeFileSync(join(directory, "COPYING"), "Do as you please.\n");
      expect(licenceText(unlicensed)).toBe("Do as you please.");
    });
  });
});

describe.skipIf(!canPackage || !canUnpackDebian || !isX64)(
  "the rpm in a fresh system (needs root, x86-64, debootstrap and rpm)",
  () => {
    let tree: string;
    let rpm: (...options: readonly string[]) => ReturnType<typeof run>;
    const inside = (path: string) => join(tree, path);
    const told = async (options: readonly string[]) => {
      const { code, err, out } = await rpm(...options);
      expect([options, code, err]).toEqual([options, 0, ""]);
      return out;
    };
    beforeAll(async () => {
      tree = join(workDirectory("rpm"), "tree");
      await copyDebian(tree);
      // rpm runs a package's scripts with the tree as their root. Dependencies are named as rpm's systems have them.
      rpm = (...options) => run(["rpm", `--root=${tree}`, "--force-debian", ...options], { limitMs: 60_000 });
      mkdirSync(inside("root/rpm"), { recursive: true });
      copyFileSync(packageFile(await allPackages(), ".x86_64.rpm"), inside("root/rpm/1.rpm"));
      copyFileSync(packageFile(await laterPackages(), ".x86_64.rpm"), inside("root/rpm/2.rpm"));
    }, BUILD_MS);

    test("installs: the user is made, the modes are right, the next steps are told", async () => {
      expect(await told(["-i", "--nodeps", inside("root/rpm/1.rpm")])).toContain("inboxbell setup");
      expect(readFileSync(inside("etc/passwd"), "utf8")).toMatch(/^inboxbell:.*:\/usr\/sbin\/nologin$/m);
      const stat = await tool([
        "chroot",
        tree,
        "stat",
        "-c",
        "%a %U %G",
        "/etc/inboxbell",
        "/etc/inboxbell/inboxbell.yaml",
        "/var/lib/inboxbell",
      ]);
      expect(stat).toBe("750 root inboxbell\n640 root inboxbell\n700 inboxbell inboxbell\n");
      expect(await told(["-V", "--nodeps", "inboxbell"])).toBe("");
      // Stripped it would be the bare runtime, which knows no such verb. It finds itself by /proc.
      const inTree = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"';
      const said = await tool(["unshare", "--mount", "sh", "-c", inTree, tree, "inboxbell", "version"]);
      expect(said).toStartWith(`inboxbell ${packageJson.version} (`);
    });

    test("upgrades: a changed configuration stays", async () => {
      writeFileSync(inside("etc/inboxbell/inboxbell.yaml"), "# mine\n");
      await told(["-U", "--nodeps", inside("root/rpm/2.rpm")]);
      expect(readFileSync(inside("etc/inboxbell/inboxbell.yaml"), "utf8")).toBe("# mine\n");
      expect(await told(["-q", "inboxbell"])).toContain("-2.x86_64");
    });

    test("is removed: what the administrator and the service wrote stays", async () => {
      writeFileSync(inside("var/lib/inboxbell/inboxbell.db"), "");
      const { code } = await rpm("-e", "--nodeps", "inboxbell");
      expect(code).toBe(0);
      expect(existsSync(inside("usr/bin/inboxbell"))).toBe(false);
      expect(existsSync(inside("var/lib/inboxbell/inboxbell.db"))).toBe(true);
      expect(readFileSync(inside("etc/inboxbell/inboxbell.yaml.rpmsave"), "utf8")).toBe("# mine\n");
    });
  },
);
