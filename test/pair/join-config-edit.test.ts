// Changing single values in a configuration that somebody wrote by hand.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { isDelivered } from "../../src/config/delivered.ts";
import { isBellError } from "../../src/errors.ts";
import { type Edit, editConfiguration } from "../../src/pair/config-edit.ts";
import { joinedConfig, pairedConfig } from "../../src/pair/joined-config.ts";

const edit = (text: string, ...edits: Edit[]) => editConfiguration(text, edits, "inboxbell.yaml");
const delivered = readFileSync(join(import.meta.dir, "../../config/inboxbell.yaml"), "utf8");

describe("an edit", () => {
  test("changes the value and not a character besides", () => {
    const text = "a:   'x'   # why\n\n\nb: { c:  1,   d: two }  # here too\n";
    expect(edit(text, { path: ["a"], value: "y" })).toBe(
      "a:   y   # why\n\n\nb: { c:  1,   d: two }  # here too\n",
    );
    expect(edit(text, { path: ["b", "c"], value: 22 })).toBe(
      "a:   'x'   # why\n\n\nb: { c:  22,   d: two }  # here too\n",
    );
    expect(edit(text, { path: ["a"], value: "x" })).toBe(text);
  });

  test("puts a new key where the others of its section are, and leaves their comments with them", () => {
    expect(
      edit("listen:\n    # the first\n    a: 1\nend: 2\n", { path: ["listen", "port"], value: 7443 }),
    ).toBe("listen:\n    port: 7443\n    # the first\n    a: 1\nend: 2\n");
    expect(edit("listen: { a: 1 } # flow\n", { path: ["listen", "port"], value: 7443 })).toBe(
      "listen: { port: 7443, a: 1 } # flow\n",
    );
  });

  test("puts a new section at the end, whatever the end is like", () => {
    const pair: Edit = { path: ["pair"], value: { peer: "bell-b:7443" }, comment: "the other one" };
    const section = "\n# the other one\npair:\n  peer: bell-b:7443\n";
    for (const text of ["node: a\n", "node: a", "node: a\n# bye\n", "node: a\nlog:\n  level: info\n"]) {
      expect(edit(text, pair)).toBe(`${text}${text.endsWith("\n") ? "" : "\n"}${section}`);
    }
    for (const text of ["node: a\n...\n", "{ node: a }\n", "---\nnode: a\n", ""]) {
      expect([text, parse(edit(text, pair))]).toEqual([
        text,
        { ...(text === "" ? {} : { node: "a" }), pair: { peer: "bell-b:7443" } },
      ]);
    }
  });

  test("takes the place of the line that is commented out in the delivered file", () => {
    const text = edit(delivered, { path: ["node"], value: "bell-b" });
    expect(text).toBe(delivered.replace(/^#node: .*$/m, "node: bell-b"));
  });

  test("keeps the values right where anchors and merge keys stand in the way", () => {
    const text =
      "x-base: &base { address: 10.0.0.1, port: 1 }\nlisten:\n  one: *base\n  two:\n    <<: *base\n    tls: off\n";
    const changed = edit(
      text,
      { path: ["listen", "one", "port"], value: 2 },
      { path: ["listen", "two", "port"], value: 3 },
    );
    expect(parse(changed, { merge: true })).toEqual({
      "x-base": { address: "10.0.0.1", port: 1 },
      listen: { one: { address: "10.0.0.1", port: 2 }, two: { address: "10.0.0.1", port: 3, tls: "off" } },
    });
  });

  test("of what is no YAML is refused", () => {
    for (const text of ["node: [\n", "- a\n"]) {
      try {
        edit(text, { path: ["node"], value: "b" });
        throw new Error("it was taken");
      } catch (error) {
        expect([text, isBellError(error, "config_invalid")]).toEqual([text, true]);
      }
    }
  });
});

describe("the section of the pair", () => {
  const own = {
    node: "bell-a",
    listen: { address: "0.0.0.0", port: 7443 },
    peerName: "bell-b",
    peer: "10.0.0.9:7000",
    files: null,
  };

  test("names the other node where its host is called otherwise", () => {
    expect(parse(pairedConfig("node: bell-a\n", own, "f", "keep")).pair).toEqual({
      listen: { address: "0.0.0.0", port: 7443 },
      peer: "10.0.0.9:7000",
      peer_name: "bell-b",
    });
    const named = pairedConfig("node: bell-a\n", { ...own, peer: "bell-b:7443" }, "f", "keep");
    expect(parse(named).pair).not.toHaveProperty("peer_name");
  });

  test("that is there keeps what is this node's own, and its comments", () => {
    const text =
      "node: bell-a\npair:\n  # rack network\n  listen: { address: 10.0.0.8, port: 7001 }\n  peer: old:7443 # was\n  peer_name: old\n  takeover_after: 5s\n";
    const changed = pairedConfig(text, own, "f", "keep");
    expect(changed).toBe(
      text.replace("old:7443", "10.0.0.9:7000").replace("peer_name: old", "peer_name: bell-b"),
    );
  });

  test("is put into the delivered file, whose values are nobody's", () => {
    expect(isDelivered(parse(delivered))).toBe(true);
    const theirs =
      "node: bell-b\npublic: { registration_url: https://p.example }\nlisten: { admin: { port: 9999 } }\n";
    const { text } = joinedConfig(theirs, delivered, { ...own, node: "bell-c" }, "f", true);
    expect(parse(text)).toMatchObject({
      node: "bell-c",
      listen: { admin: { port: 9999 } },
      pair: { peer: own.peer },
    });
  });
});
