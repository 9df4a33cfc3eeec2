// What Exchange is told by a node of a pair: how many nodes hold what the answer rests on, and no end that is not on both.
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Durability, Store } from "../../src/store/types.ts";
import { folder, id } from "../store/helpers.ts";
import { inboxOf, openExchange, statusOf, wireBody } from "./helpers.ts";

let word: Durability | null;
let starting: boolean;
let serving: boolean;
let scene: Awaited<ReturnType<typeof openExchange>>;

beforeEach(async () => {
  [word, starting, serving] = ["pair", false, true];
  const submit: Store["submit"] = async (request) => {
    const result = await scene.store.submit(request);
    if (word !== null) request.onDurable?.(word);
    return result;
  };
  scene = await openExchange({
    store: { submit, findSubscription: (mac) => scene.store.findSubscription(mac) },
    starting: () => starting,
    serving: () => serving,
  });
  await scene.put(1, 10, [folder("inbox", 10)]);
});
afterEach(() => scene.close());

const durable = (answer: Awaited<ReturnType<typeof scene.post>>) =>
  "rendered" in answer
    ? (/Inboxbell-Durable: (\w+)/.exec(answer.rendered.close.toString("latin1"))?.[1] ?? null)
    : null;

test("an accepted notification says on how many nodes it is", async () => {
  for (const [given, said] of [
    ["pair", "pair"],
    ["node", "node"],
    [null, "node"],
  ] as const) {
    word = given;
    // Not a word that can be read: that takes a commit each time.
    const answer = await scene.post(inboxOf(1, 10), Buffer.from("x"));
    expect([statusOf(answer), durable(answer)]).toEqual(["OK", said]);
  }
});

test("the end of a subscription is told once it is on both nodes, and by a single node at once", async () => {
  await scene.store.submit({
    registrationId: id(1),
    decide: () => ({ change: { delete: { at: 1 } }, result: null }),
  });
  const told = async () => statusOf(await scene.post(inboxOf(1, 10), wireBody()));
  word = "node";
  expect(await told()).toBe("OK");
  word = "pair";
  expect(await told()).toBe("Unsubscribe");
  word = null;
  expect(await told()).toBe("Unsubscribe");
  // A node that is not the active one, or may lack rows, ends nothing.
  starting = true;
  expect(await told()).toBe("OK");
});

test("a node that must not answer says so, whatever is asked, and Exchange tries again", async () => {
  serving = false;
  expect(statusOf(await scene.post(inboxOf(1, 10), wireBody()))).toBe("503");
  expect(statusOf(await scene.ask({ path: "/ews/forged", body: wireBody() }))).toBe("503");
  expect(await scene.count("answers", "503")).toBe(2);
  expect(await scene.nextRing(1)).toBeNull();
});
