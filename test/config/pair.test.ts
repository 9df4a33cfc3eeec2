// `pair`: what two nodes need in their configurations, and the files of their link.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { examineFiles } from "../../src/config/examine.ts";
import { hostAndPort, hostPortText } from "../../src/config/host-port.ts";
import { readConfigText } from "../../src/config/load.ts";
import { readPairFiles } from "../../src/config/pair-files.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { createAuthority, type NodeCertificate, nodeCertificate } from "../pair/certificates.ts";
import { GOOD, problemsOf, read } from "./helpers.ts";

const withPair = (pair: string) => `${GOOD}\npair: ${pair}\n`;

test("the other node's address is enough: everything else has a default", () => {
  const { config, problems } = read(withPair("{ peer: bell-b:7443 }"));
  expect(problems).toEqual([]);
  const directory = join(config!.keys.file, "..", "pair");
  expect(config!.pair).toEqual({
    listen: { address: "0.0.0.0", port: 7443 },
    peer: { host: "bell-b", port: 7443 },
    peerName: "bell-b",
    tls: {
      ca: join(directory, "ca.pem"),
      certificate: join(directory, "node.pem"),
      key: join(directory, "node.key"),
    },
    takeoverAfterMs: 3_000,
    aloneAfterMs: 2_000,
  });
  expect(read(GOOD).config!.pair).toBeNull();
});

test("where the key file is a credential of systemd, the link's files are beside the database", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text as it stands in the configuration
  const keys = "keys: { file: '${CREDENTIALS_DIRECTORY}/keys' }";
  const text = withPair("{ peer: bell-b:7443 }").replace(/keys: .*/, keys);
  const { config, problems } = read(text, { CREDENTIALS_DIRECTORY: "/run/credentials/x" });
  expect(problems).toEqual([]);
  expect(config!.pair!.tls.ca).toBe(join(config!.store.path, "..", "pair", "ca.pem"));
});

const OWN = (peer: string, address: string) =>
  `{ peer: "${peer}", peer_name: bell-b, listen: { address: "${address}" } }`;

test("another port of this machine, or a tunnel to the other node, is taken", () => {
  for (const pair of [
    OWN("127.0.0.1:7444", "0.0.0.0"),
    OWN("127.0.0.1:7443", "10.0.0.5"),
    OWN("127.0.0.2:7443", "127.0.0.1"),
  ]) {
    expect(read(withPair(pair)).problems).toEqual([]);
  }
});

describe("is refused", () => {
  const cases: readonly (readonly [what: string, pair: string, problem: string])[] = [
    ["no other node", "{ takeover_after: 3s }", "pair.peer: missing"],
    ["an address without a port", "{ peer: bell-b }", "append the port"],
    ["a URL", '{ peer: "https://bell-b:7443" }', "leave out the scheme"],
    ["an IPv6 address without brackets", '{ peer: "fd00::5" }', "write an IPv6 address in brackets"],
    ["an address without the name that it has to prove", "{ peer: 10.0.0.5:7443 }", "pair.peer_name beside"],
    ["this node's own name", "{ peer: bell-a:7443 }", "that is this node's own name"],
    ["this node's own address", OWN("10.0.0.5:7443", "10.0.0.5"), "where this node itself listens"],
    [
      "its own address written otherwise",
      OWN("[fd00:0::5]:7443", "fd00::5"),
      "where this node itself listens",
    ],
    ["its own port on loopback", OWN("127.0.0.1:7443", "0.0.0.0"), "where this node itself listens"],
    ["its own port on localhost", OWN("localhost:7443", "::"), "where this node itself listens"],
    ["its own port on every address", OWN("0.0.0.0:7443", "0.0.0.0"), "where this node itself listens"],
    [
      "this node's own name, written out",
      "{ peer: 10.0.0.5:7443, peer_name: BELL-A }",
      "pair.peer_name: that is this",
    ],
    [
      "to wait for longer than for a takeover",
      "{ peer: bell-b:7443, takeover_after: 2s }",
      "expected less than pair",
    ],
    [
      "a takeover sooner than a beat is late",
      "{ peer: bell-b:7443, takeover_after: 500ms }",
      "from 1s to 60s",
    ],
    ["a listener's port", "{ peer: bell-b:7443, listen: { port: 9443 } }", "are those of listen.exchange"],
  ];
  for (const [what, pair, problem] of cases) {
    test(what, () => {
      const problems = problemsOf(withPair(pair));
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(problem);
    });
  }

  test("the host name as the other node's, where `node` is left out", () => {
    const text = withPair(`{ peer: "10.0.0.5:7443", peer_name: ${JSON.stringify(hostname())} }`);
    expect(problemsOf(text.replace(/^node: .*$/m, ""))[0]).toContain("that is this node's own name");
  });
});

test("hosts and ports are read as they are written, and nothing else is one", () => {
  for (const text of ["bell-b:7443", "bell-b.corp.example:1", "10.0.0.5:65535", "[fd00::5]:7443"]) {
    expect(hostPortText(hostAndPort(text)!)).toBe(text);
  }
  for (const text of [
    "",
    "bell-b",
    ":7443",
    "bell-b:0",
    "bell-b:65536",
    "a b:1",
    "[10.0.0.5]:1",
    "999.0.0.1:1",
    "[x]:1",
  ]) {
    expect([text, hostAndPort(text)]).toEqual([text, null]);
  }
});

describe("the link's files", () => {
  let directory: string;
  let own: NodeCertificate;
  let others: NodeCertificate;
  const files = () => ({
    ca: join(directory, "ca.pem"),
    certificate: join(directory, "node.pem"),
    key: join(directory, "node.key"),
  });
  const write = (change: Partial<NodeCertificate> = {}) => {
    const { ca, certificate, key } = { ...own, ...change };
    writeFileSync(files().ca, ca);
    writeFileSync(files().certificate, certificate);
    writeFileSync(files().key, key, { mode: 0o600 });
    chmodSync(files().key, 0o600);
  };
  const refusal = (node = "bell-a") => {
    try {
      readPairFiles(files(), node, {}, Date.now());
    } catch (error) {
      return String(error);
    }
    return null;
  };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "inboxbell-pair-files-"));
    own = await nodeCertificate(await createAuthority("One"), "bell-a");
    others = await nodeCertificate(await createAuthority("Other"), "bell-a");
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("that belong together are taken", () => {
    write();
    expect(readPairFiles(files(), "bell-a", {}, Date.now())).toMatchObject({ ca: own.ca, outOfDate: null });
    expect(readPairFiles(files(), "bell-a", {}, Date.now() + 2 * 86_400_000).outOfDate).toContain(
      "expired on",
    );
  });

  test("that do not are told apart", () => {
    write({ key: others.key });
    expect(refusal()).toContain("node.key is not the key of");
    write({ ca: others.ca });
    expect(refusal()).toContain("the two are of different pairs");
    write();
    expect(refusal("bell-c")).toContain('is not a certificate for "bell-c" (it names DNS:bell-a)');
    chmodSync(files().key, 0o644);
    expect(refusal()).toContain("can be read or changed by other users");
  });

  test("are examined by check, whose words say what makes them", () => {
    const text = withPair(
      `{ peer: bell-b:7443, tls: { ca: none.pem, certificate: none.pem, key: none.key } }`,
    );
    const reading = readConfigText(text, join(directory, "i.yaml"), {});
    const told = (named: typeof reading) =>
      examineFiles(named, {}, Date.now())
        .problems.filter(({ keyPath }) => keyPath.startsWith("pair"))
        .map((each) => formatProblem({ file: "i.yaml", ...each }));
    expect(told(reading)).toHaveLength(1);
    expect(told(reading)[0]).toContain("Run `inboxbell pair invite`");
    write({ key: others.key });
    const { ca, certificate, key } = files();
    const there = withPair(
      `{ peer: bell-b:7443, tls: { ca: ${ca}, certificate: ${certificate}, key: ${key} } }`,
    );
    expect(told(readConfigText(there, "i.yaml", {}))[0]).toContain("is not the key of");
    write();
    expect(told(readConfigText(there, "i.yaml", {}))).toEqual([]);
  });
});
