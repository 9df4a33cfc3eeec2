// Joining two nodes by a one-time code: who gets in, and what each node has on its disk afterwards.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chownSync, existsSync, lstatSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { parse } from "yaml";
import type { ErrorCode } from "../../src/errors.ts";
import { isBellError } from "../../src/errors.ts";
import { generateKeys, readKeyFile, writeKeyFile } from "../../src/keys/key-file.ts";
import { createKeyring } from "../../src/keys/keyring.ts";
import { makeDoorCertificate } from "../../src/pair/authority.ts";
import { decodeInvitation, encodeInvitation } from "../../src/pair/invitation.ts";
import { writePlan } from "../../src/pair/join-plan.ts";
import { createStore } from "../../src/store/sqlite-store.ts";
import { createScene, FIRST_CONFIG, type Machine, type Scene, SECRETS } from "./join-scene.ts";

let scene: Scene;
beforeEach(() => {
  scene = createScene();
});
afterEach(() => scene.close());

async function refusal(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  try {
    await work;
  } catch (error) {
    if (isBellError(error)) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** All files below a directory. */
function filesOf({ directory }: Machine): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** Another code for the same place. */
function changed(code: string, part: "secret" | "fingerprint"): string {
  const invitation = decodeInvitation(code);
  if (typeof invitation === "string") throw new Error(invitation);
  const bytes = Buffer.from(invitation[part]);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return encodeInvitation({ ...invitation, [part]: bytes });
}

describe("a node that joins", () => {
  test("has the keys, the secret files at the same places, and nobody else can read them", async () => {
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    const end = await invitation.ended;
    expect(end).toEqual({ kind: "joined", peer: { name: "bell-b", address: "bell-b:7443" } });
    expect(filesOf(scene.second)).toEqual(
      [
        ...Object.keys(SECRETS),
        "data/keys.json",
        ...["ca.key", "ca.pem", "node.key", "node.pem"].map((name) => `data/pair/${name}`),
        "inboxbell.yaml",
      ].sort(),
    );
    for (const [name, content] of Object.entries(SECRETS)) expect(scene.second.read(name)).toBe(content);
    expect(scene.second.read("data/keys.json")).toBe(scene.first.read("data/keys.json"));
    for (const name of [...filesOf(scene.second)].filter((each) => /key|secret|json|pair/i.test(each))) {
      expect([name, scene.second.mode(name)]).toEqual([name, 0o600]);
    }
    expect(scene.second.mode("data/pair")).toBe(0o700);
  });

  test("and the first one have certificates by the same authority, each with its own name and key", async () => {
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    await invitation.ended;
    const [a, b] = [scene.first, scene.second].map((machine) => {
      const certificate = new X509Certificate(machine.read("data/pair/node.pem"));
      const authority = new X509Certificate(machine.read("data/pair/ca.pem"));
      return { certificate, authority, signed: certificate.verify(authority.publicKey) };
    });
    expect([a?.signed, b?.signed]).toEqual([true, true]);
    expect(a?.authority.fingerprint256).toBe(b?.authority.fingerprint256 ?? "none");
    expect([a?.certificate.subjectAltName, b?.certificate.subjectAltName]).toEqual([
      "DNS:bell-a",
      "DNS:bell-b",
    ]);
    expect(scene.first.read("data/pair/node.key")).not.toBe(scene.second.read("data/pair/node.key"));
    expect(a?.certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  });

  test("keeps the first node's configuration with its comments, and has its own name and the first node as its peer", async () => {
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    await invitation.ended;
    const config = scene.second.loaded();
    expect(config.node).toBe("bell-b");
    expect(config.pair).toMatchObject({ peer: { host: "bell-a", port: 7443 }, peerName: "bell-a" });
    expect(config.apps.map(({ id }) => id)).toEqual(["com.example.bell"]);
    // An address of the first node's machine is none of the second one's.
    expect(config.listen.registration.address).toBe("0.0.0.0");
    const text = scene.second.read("inboxbell.yaml");
    const comments = FIRST_CONFIG.match(/#.*/g) ?? [];
    expect(comments.length).toBeGreaterThan(5);
    for (const comment of comments) expect(text).toContain(comment);
  });

  test("leaves the first node's configuration as it was, but for the section of the pair", async () => {
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    await invitation.ended;
    const text = scene.first.read("inboxbell.yaml");
    expect(text.startsWith(FIRST_CONFIG)).toBe(true);
    expect(text.slice(FIRST_CONFIG.length)).toBe(
      [
        "",
        "# The other node of the pair, written when the two were joined.",
        "pair:",
        "  listen:",
        "    address: 0.0.0.0",
        "    port: 7443",
        "  peer: bell-b:7443",
        "",
      ].join("\n"),
    );
    expect(scene.first.mode("inboxbell.yaml")).toBe(0o640);
  });

  test("keeps its own listeners, database and name where its configuration has them", async () => {
    scene.second.put(
      "inboxbell.yaml",
      FIRST_CONFIG.replace("node:   bell-a ", "node: bell-right ")
        .replace("address: 192.0.2.10, port: 8443", "address: 192.0.2.20, port: 8444")
        .replace("data/inboxbell.db", "elsewhere/own.db"),
    );
    const invitation = await scene.invite();
    await scene.join(invitation.code, { node: "bell-right", address: "10.0.0.9:7000" });
    const { listen, store, node } = scene.second.loaded();
    expect(node).toBe("bell-right");
    expect(listen.registration).toMatchObject({ address: "192.0.2.20", port: 8444 });
    expect(store.path).toBe(join(scene.second.directory, "elsewhere/own.db"));
    const end = await invitation.ended;
    expect(end).toMatchObject({ kind: "joined", peer: { name: "bell-right" } });
    expect(scene.first.loaded().pair).toMatchObject({
      peer: { host: "10.0.0.9", port: 7000 },
      peerName: "bell-right",
    });
  });

  test("keeps what it replaces, and says where; what is the same it leaves alone", async () => {
    scene.second.put("enrolment.secret", "an older secret\n", 0o640);
    scene.second.put("fcm.json", SECRETS["fcm.json"]);
    const invitation = await scene.invite();
    const { joining, plan } = await scene.ask(invitation.code);
    const states = new Map(
      plan.files.map(({ path, state }) => [path.slice(scene.second.directory.length + 1), state]),
    );
    expect([states.get("enrolment.secret"), states.get("fcm.json"), states.get("AuthKey.p8")]).toEqual([
      "changed",
      "same",
      "new",
    ]);
    // Nothing is written by planning.
    expect(filesOf(scene.second)).toEqual(["enrolment.secret", "fcm.json"]);
    joining.leave();
    const again = await scene.invite();
    const asides = (await scene.join(again.code)).filter((aside) => aside !== null);
    expect(asides).toEqual([join(scene.second.directory, "enrolment.secret.before-join")]);
    expect(scene.second.read("enrolment.secret.before-join")).toBe("an older secret\n");
    expect(scene.second.read("enrolment.secret")).toBe(SECRETS["enrolment.secret"]);
  });

  test("may join again, with the same authority and nothing put aside that has not changed", async () => {
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    await invitation.ended;
    const before = scene.first.read("inboxbell.yaml");
    const authority = scene.first.read("data/pair/ca.pem");
    const certificate = scene.first.read("data/pair/node.pem");
    const again = await scene.invite();
    const asides = (await scene.join(again.code)).filter((aside) => aside !== null);
    await again.ended;
    // Its certificate and key are new each time.
    expect(asides.map((aside) => aside.slice(scene.second.directory.length + 1))).toEqual([
      "data/pair/node.pem.before-join",
      "data/pair/node.key.before-join",
    ]);
    expect(scene.first.read("inboxbell.yaml")).toBe(before);
    expect(scene.first.read("data/pair/ca.pem")).toBe(authority);
    expect(scene.first.read("data/pair/node.pem")).toBe(certificate);
  });

  test("without certificates keeps its own ones of the listeners", async () => {
    scene.second.put("inboxbell.yaml", FIRST_CONFIG.replaceAll("tls/reg", "own/reg"));
    const invitation = await scene.invite();
    const { joining, plan } = await scene.ask(invitation.code, { certificates: false });
    expect(
      joining.parcel.files.map(({ keyPath }) => keyPath).filter((key) => key.startsWith("listen.")),
    ).toEqual([]);
    const { tls } = plan.config.listen.registration;
    expect(tls?.certificate).toBe(join(scene.second.directory, "own/reg.pem"));
    expect(plan.notes.join(" ")).toContain("own/reg.pem, which is not here");
    joining.leave();
  });

  test("whose database was written with other keys is refused, and nothing is written", async () => {
    const file = join(scene.second.directory, "data/foreign.json");
    writeKeyFile(file, generateKeys(Date.now()));
    const path = join(scene.second.directory, "data/inboxbell.db");
    const store = createStore({ path, keyring: createKeyring(readKeyFile(file)), now: Date.now });
    await store.start();
    await store.stop();
    const before = filesOf(scene.second);
    const invitation = await scene.invite();
    const { code, message } = await refusal(scene.join(invitation.code));
    expect(code).toBe("pair_other_keys");
    expect(message).toContain(path);
    expect(filesOf(scene.second)).toEqual(before);
    expect(await invitation.ended).toEqual({ kind: "declined", name: "bell-b" });
    expect(existsSync(join(scene.first.directory, "data/pair"))).toBe(false);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "can be read by the service's user and by nobody else, also where the directory is root's (root)",
    async () => {
      const service = { uid: 54_321, gid: 54_322 };
      chownSync(join(scene.second.directory, "data"), service.uid, service.gid);
      rmSync(join(scene.second.directory, "tls"), { recursive: true });
      scene.second.put("fcm.json", "an older account\n", 0o604);
      const invitation = await scene.invite();
      const { joining, plan } = await scene.ask(invitation.code);
      writePlan(plan, {}, service);
      await joining.written();
      const owned = (name: string) => {
        const { uid, gid, mode } = statSync(join(scene.second.directory, name));
        return [name, uid, gid, (mode & 0o777).toString(8)];
      };
      for (const name of ["data/keys.json", "data/pair/node.key", "data/pair/ca.key"]) {
        expect(owned(name)).toEqual([name, service.uid, service.gid, "600"]);
      }
      expect(owned("data/pair")).toEqual(["data/pair", service.uid, service.gid, "700"]);
      expect(owned("tls")).toEqual(["tls", 0, service.gid, "750"]);
      for (const name of ["enrolment.secret", "tls/reg.key", "inboxbell.yaml"]) {
        expect(owned(name)).toEqual([name, 0, service.gid, "640"]);
      }
      // What is there keeps its owner, and loses what others could do.
      expect(owned("fcm.json")).toEqual(["fcm.json", 0, 0, "600"]);
    },
  );

  test("keeps a symbolic link to its configuration, and what it replaces there", async () => {
    scene.second.put("managed.yaml", FIRST_CONFIG.replace("bell-a ", "bell-b "));
    symlinkSync("managed.yaml", scene.second.config);
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    expect(lstatSync(scene.second.config).isSymbolicLink()).toBe(true);
    expect(scene.second.loaded().pair?.peerName).toBe("bell-a");
    expect(scene.second.read("inboxbell.yaml.before-join")).toBe(FIRST_CONFIG.replace("bell-a ", "bell-b "));
  });

  test("keeps a database that was written with the pair's keys", async () => {
    const path = join(scene.second.directory, "data/inboxbell.db");
    const keys = readKeyFile(join(scene.first.directory, "data/keys.json"));
    const store = createStore({ path, keyring: createKeyring(keys), now: Date.now });
    await store.start();
    await store.stop();
    const invitation = await scene.invite();
    await scene.join(invitation.code);
    expect((await invitation.ended).kind).toBe("joined");
  });
});

describe("an invitation", () => {
  test("is closed to a wrong secret without a word, and void after five", async () => {
    const invitation = await scene.invite();
    const wrong = changed(invitation.code, "secret");
    for (let n = 1; n <= 5; n += 1) expect((await refusal(scene.ask(wrong))).code).toBe("pair_refused");
    expect(await invitation.ended).toEqual({ kind: "void" });
    expect(scene.told.length).toBe(5);
    expect((await refusal(scene.ask(invitation.code))).code).toBe("pair_unreachable");
  });

  test("still admits the right node after four wrong secrets", async () => {
    const invitation = await scene.invite();
    const wrong = changed(invitation.code, "secret");
    for (let n = 1; n <= 4; n += 1) await refusal(scene.ask(wrong));
    await scene.join(invitation.code);
    expect((await invitation.ended).kind).toBe("joined");
  });

  test("admits the right node among hundreds that only knock", async () => {
    const invitation = await scene.invite();
    const idle = Array.from({ length: 200 }, () => connectTcp(invitation.port, "127.0.0.1"));
    for (const socket of idle) socket.on("error", () => {});
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    await scene.join(invitation.code);
    for (const socket of idle) socket.destroy();
    expect((await invitation.ended).kind).toBe("joined");
  });

  test("writes no address of the second node that the configuration would not take", async () => {
    const invitation = await scene.invite();
    for (const address of ["bell-b", "bell-b:0", "bell b:7443", "bell-b:7443\nnode: x"]) {
      expect((await refusal(scene.ask(invitation.code, { address }))).message).toContain("no host and port");
    }
    await scene.join(invitation.code);
    expect(scene.first.loaded().pair?.peer.host).toBe("bell-b");
  });

  test("takes no node's name of digits for its address, though it can be looked up as one", async () => {
    const invitation = await scene.invite({ resolves: () => Promise.resolve(true) });
    await scene.join(invitation.code, { node: "123", address: null });
    // Here it is this machine's own address, at which no node would take another for its peer: so not loaded.
    expect(parse(scene.first.read("inboxbell.yaml")).pair).toMatchObject({
      peer: expect.stringMatching(/^127\.0\.0\.1:/),
      peer_name: "123",
    });
  });

  test("is opened again after a joining that ended in the middle, on either node", async () => {
    const written = ["ca.key", "ca.pem", "node.key", "node.pem"].map((name) => `data/pair/${name}`);
    for (const count of [1, 2, 3]) {
      const invitation = await scene.invite();
      await scene.join(invitation.code);
      // As a kill leaves it: files are written one after the other, the configuration last.
      for (const name of written.slice(count)) rmSync(join(scene.first.directory, name));
      scene.first.put("inboxbell.yaml", FIRST_CONFIG);
      await scene.join((await scene.invite()).code);
      expect(scene.first.read("data/pair/ca.pem")).toBe(scene.second.read("data/pair/ca.pem"));
      expect(scene.first.loaded().pair?.peerName).toBe("bell-b");
    }
  });

  test("expires", async () => {
    const invitation = await scene.invite({ validMs: 50 });
    expect(await invitation.ended).toEqual({ kind: "expired" });
    expect((await refusal(scene.ask(invitation.code))).code).toBe("pair_unreachable");
    expect(existsSync(join(scene.first.directory, "data/pair"))).toBe(false);
  });

  test("works once, even while the first one that used it still decides", async () => {
    const invitation = await scene.invite();
    const { joining } = await scene.ask(invitation.code);
    expect((await refusal(scene.ask(invitation.code))).code).toBe("pair_unreachable");
    joining.leave();
    expect(await invitation.ended).toEqual({ kind: "declined", name: "bell-b" });
    expect((await refusal(scene.ask(invitation.code))).code).toBe("pair_unreachable");
  });

  test("is not fooled by a man in the middle: the second node sends nothing to another certificate", async () => {
    const invitation = await scene.invite();
    let heard = 0;
    const { certificate, key } = await makeDoorCertificate(Date.now());
    const man = createServer({ cert: certificate, key }, (socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        heard += bytes.length;
      });
    });
    await new Promise<void>((resolve) => man.listen(0, "127.0.0.1", resolve));
    const { port } = man.address() as AddressInfo;
    const code = decodeInvitation(invitation.code);
    if (typeof code === "string") throw new Error(code);
    const { code: refused } = await refusal(scene.ask(encodeInvitation({ ...code, port })));
    expect(refused).toBe("pair_impostor");
    await new Promise((resolve) => man.close(resolve));
    expect(heard).toBe(0);
    // The invitation has heard nothing of it.
    await scene.join(invitation.code);
    expect((await invitation.ended).kind).toBe("joined");
  });

  test("refuses a node of the same name and one of another line of versions, before it gives anything", async () => {
    const invitation = await scene.invite();
    expect((await refusal(scene.ask(invitation.code, { node: "Bell-A" }))).code).toBe("pair_same_name");
    expect((await refusal(scene.ask(invitation.code, { version: "2.0.0" }))).code).toBe("pair_versions");
    // Neither used it up.
    await scene.join(invitation.code, { version: "1.1.0" });
    expect((await invitation.ended).kind).toBe("joined");
  });

  test("refuses a node that one of the two was told to forget, and says which file remembers it", async () => {
    const database = join(scene.first.directory, "data/inboxbell.db");
    const invitation = await scene.invite({ forgotten: { name: "bell-b", database } });
    const here = await refusal(scene.ask(invitation.code));
    expect([here.code, here.message]).toEqual([
      "pair_forgotten",
      expect.stringContaining(`${database}.pair`),
    ]);
    // Another one may join, if it has not forgotten the first node itself.
    scene.second.put("data/inboxbell.db.pair", JSON.stringify({ forgotten: "bell-a" }));
    const there = await refusal(scene.ask(invitation.code, { node: "bell-c" }));
    expect([there.code, there.message]).toEqual(["pair_forgotten", expect.stringContaining("bell-c")]);
    expect((await invitation.ended).kind).toBe("declined");
  });

  test("asks for TLS 1.3 and takes nothing that is no hello", async () => {
    const invitation = await scene.invite();
    const old = connect({
      host: "127.0.0.1",
      port: invitation.port,
      rejectUnauthorized: false,
      maxVersion: "TLSv1.2",
    });
    await new Promise<void>((resolve) => {
      old.once("error", () => resolve());
      old.once("close", () => resolve());
    });
    const odd = connect({ host: "127.0.0.1", port: invitation.port, rejectUnauthorized: false });
    odd.on("error", () => {});
    odd.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1]));
    await new Promise<void>((resolve) => odd.once("close", () => resolve()));
    expect(scene.told).toEqual([]);
    await scene.join(invitation.code);
    expect((await invitation.ended).kind).toBe("joined");
  });

  test("tells the other node when the first one could not write its part", async () => {
    const invitation = await scene.invite({
      settle() {
        throw new Error("the disk is full");
      },
    });
    const { code, message } = await refusal(scene.join(invitation.code));
    expect(code).toBe("pair_refused");
    expect(message).toContain("the disk is full");
    expect((await invitation.ended).kind).toBe("failed");
  });

  test("finds the other node's link where it came from when its name cannot be looked up", async () => {
    const [unknown, known] = [
      await scene.invite(),
      await scene.invite({ resolves: () => Promise.resolve(true) }),
    ];
    const addresses: string[] = [];
    for (const invitation of [unknown, known]) {
      const { joining } = await scene.ask(invitation.code, { address: null });
      addresses.push(joining.parcel.yours);
      joining.leave();
    }
    expect(addresses).toEqual(["127.0.0.1:7443", "bell-b:7443"]);
  });

  test("in a directory that cannot be made is told, and the configuration stays as it was", async () => {
    // A file where the directory would be.
    scene.second.put("data/pair", "in the way\n");
    const invitation = await scene.invite();
    expect((await refusal(scene.join(invitation.code))).code).toBe("pair_unwritable");
    expect(existsSync(scene.second.config)).toBe(false);
  });
});
