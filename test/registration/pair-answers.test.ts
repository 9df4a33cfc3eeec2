// What a phone is told by a node of a pair: on how many nodes its registration is, or to come again.
import { afterEach, expect, test } from "bun:test";
import type { Durability, Store } from "../../src/store/types.ts";
import { type Api, newPhone, startApi } from "./helpers.ts";

let api: Api;
afterEach(() => api.stop());

/** A store that says so after each commit and read. */
const saying =
  (word: Durability) =>
  (store: Store): Store => ({
    ...store,
    async submit(request) {
      const result = await store.submit(request);
      request.onDurable?.(word);
      return result;
    },
    async read(ids, onDurable) {
      const views = await store.read(ids);
      onDurable?.(word);
      return views;
    },
  });

for (const word of ["pair", "node"] as const) {
  test(`each answer that rests on rows says \`${word}\` where that is so`, async () => {
    api = await startApi({ wrap: saying(word) });
    const phone = newPhone(api);
    const answers = [
      await phone.put(1),
      await phone.get(),
      await phone.ring(),
      await phone.delete(),
      await phone.put(2),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 202, 204, 410]);
    expect(answers.map(({ headers }) => headers.get("inboxbell-durable"))).toEqual(answers.map(() => word));
  });
}

test("a node that must not answer tells phones to come again", async () => {
  api = await startApi({ serving: () => false });
  const answer = await api.call("GET", "/v1/discovery");
  expect([answer.status, answer.json.code]).toEqual([503, "not_serving"]);
  expect(answer.headers.get("retry-after")).toBe("1");
});
