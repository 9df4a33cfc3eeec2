// A peer of an older version, which does not say whether every row that it has answered for is here: then what was
// exchanged since the link came up has to do.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { until } from "./helpers.ts";
import { createTwoNodes, type TwoNodes } from "./nodes.ts";
import { GREETING, meetAsStranger, PASSIVE, type Stranger } from "./stranger.ts";

let nodes: TwoNodes;
let peer: Stranger | null = null;
beforeEach(async () => {
  nodes = await createTwoNodes();
  await nodes.a.start();
  await nodes.a.pair.wish("first");
  await until(() => nodes.a.pair.standing().role === "active", "it is active alone", 10_000);
});
afterEach(async () => {
  peer?.socket.destroy();
  await nodes.close();
});

test("this node may lack rows until it has all that such a peer had when they met, and no longer", async () => {
  const position = { feed: "of-the-older", seq: 1, commit: "c" };
  peer = await meetAsStranger(nodes.wires[1]?.target ?? 0, nodes.b.identity, {
    state: PASSIVE,
    ...GREETING,
    position,
  });
  const { pair } = nodes.a;
  await until(() => !pair.standing().alone && pair.status().link?.up === true, "they have met");
  expect(pair.mayLackRows()).toBe(true);
  const id = Buffer.alloc(16, 7);
  const row = { id, revision: 1, created_at: 1, renewed_at: 1, deleted_at: 1, version: Date.now() * 1024 };
  peer.say({
    kind: "rows",
    after: 0,
    upTo: position,
    head: 1,
    rows: [{ table: "registration", row, seq: 1 }],
  });
  await until(() => !pair.mayLackRows(), "it has the row");
});
