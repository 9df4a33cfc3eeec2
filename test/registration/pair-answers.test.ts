// What a phone is told by a node of a pair: on how many nodes its registration is, or to come again.
import { afterEach, expect, test } from "bun:test";
import type { Durability, Store } from "../../src/store/types.ts";
import { type Api, newPhone, startApi, wish } from "./helpers.ts";

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

/** Everything that a stranger could tell apart. */
const seen = (answers: readonly Awaited<ReturnType<Api["call"]>>[]) =>
  answers.map(({ status, json, headers }) => [status, json, headers.get("retry-after")]);

test("a node that may lack rows refuses no phone for good, and tells no known id from an unknown one", async () => {
  let lacks = true;
  api = await startApi({ mayLackRows: () => lacks });
  const known = newPhone(api);
  await known.put(1);
  const secret = "another-secret-than-the-right-one";
  const attempts = async ({ path }: Pick<typeof known, "path">) => [
    await api.call("GET", path, { bearer: secret }),
    await api.call("POST", `${path}/ring`, { bearer: secret }),
    await api.call("DELETE", path, { bearer: secret }),
    // A renewal, which needs no enrolment secret.
    await api.call("PUT", path, { body: wish(secret, 2) }),
  ];
  const unknown = newPhone(api);
  const told = seen(await attempts(known));
  expect(told.map(([status, , retry]) => [status, retry])).toEqual(told.map(() => [503, "5"]));
  expect(told.map(([, json]) => (json as { code: string }).code)).toEqual(told.map(() => "not_known_yet"));
  expect(seen(await attempts(unknown))).toEqual(told);
  // Who is known is answered, who may register registers, and nobody is blamed for a wrong secret in the log.
  expect((await known.get()).status).toBe(200);
  expect((await newPhone(api).put(1)).status).toBe(201);
  expect(api.lines.join("\n")).not.toContain("Phones were refused");
  // Without any credential there is nothing to look up.
  expect((await api.call("GET", unknown.path)).status).toBe(401);
  lacks = false;
  for (const phone of [known, newPhone(api)]) {
    const after = seen(await attempts(phone));
    expect(after.map(([status]) => status)).toEqual([401, 401, 401, 401]);
  }
});

test("what arrives while a node looks for it is not taken for unknown", async () => {
  let lacks = true;
  api = await startApi({
    mayLackRows: () => lacks,
    wrap: (store) => ({
      ...store,
      async read(ids, onDurable) {
        const views = await store.read(ids, onDurable);
        lacks = !lacks;
        return views;
      },
    }),
  });
  const phone = newPhone(api);
  expect((await phone.get()).status).toBe(503);
  expect((await phone.get()).status).toBe(503);
});
