import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { type Answer, type Api, newPhone, START, startApi } from "./helpers.ts";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const KINDS = ["inbox", "calendar", "other"] as const;

const wishes = fc
  .uniqueArray(
    fc.record({
      revision: fc.integer({ min: START, max: START + 1000 }),
      digit: fc.integer({ min: 0, max: 15 }),
      kinds: fc.subarray([...KINDS], { minLength: 1 }),
      again: fc.boolean(),
      locale: fc.option(fc.constantFrom("de", "pt-BR", "ja"), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 6, selector: (wish) => wish.revision },
  )
  .chain((list) =>
    // Every wish is sent at least once; the tunnel repeats and reorders them as it likes.
    fc.tuple(fc.constant(list), fc.array(fc.nat(list.length - 1), { maxLength: 8 })).chain(([all, extra]) => {
      const sent = [...all.keys(), ...extra];
      return fc.tuple(
        fc.constant(all),
        fc.shuffledSubarray(sent, { minLength: sent.length, maxLength: sent.length }),
        fc.boolean(),
      );
    }),
  );

function bodyOf(wish: {
  digit: number;
  kinds: readonly string[];
  again: boolean;
  locale: string | undefined;
}) {
  return {
    token: wish.digit.toString(16).repeat(64),
    folders: wish.kinds.map((kind) => ({ kind, ...(wish.again ? { new_subscription: true } : {}) })),
    ...(wish.locale === undefined ? {} : { locale: wish.locale }),
  };
}

test("whatever order wishes arrive in, however often, alone or at once: the highest revision wins", async () => {
  await fc.assert(
    fc.asyncProperty(wishes, async ([list, order, atOnce]) => {
      const phone = newPhone(api);
      const send = (index: number) => phone.put(list[index]!.revision, bodyOf(list[index]!));
      const answers: Answer[] = [];
      if (atOnce) answers.push(...(await Promise.all(order.map(send))));
      else for (const index of order) answers.push(await send(index));

      // Each revision is taken or refused as stale; taken twice, it is answered with the same bytes.
      const byRevision = new Map<number, string>();
      let created = 0;
      for (const [at, answer] of answers.entries()) {
        const { revision } = list[order[at]!]!;
        expect([200, 201, 409]).toContain(answer.status);
        if (answer.status === 409) {
          expect(answer.json.code).toBe("stale_revision");
          expect(answer.json.stored_revision).toBeGreaterThan(revision);
          continue;
        }
        if (answer.status === 201) created += 1;
        expect(answer.json.revision).toBe(revision);
        expect(answer.text).toBe(byRevision.get(revision) ?? answer.text);
        byRevision.set(revision, answer.text);
      }
      expect(created).toBe(1);

      const newest = list.reduce((left, right) => (left.revision > right.revision ? left : right));
      const [view] = await api.store.read([phone.id]);
      if (view?.state.kind !== "present") throw new Error("not registered");
      const { registration, folders } = view.state;
      expect(registration.revision).toBe(newest.revision);
      expect(registration.locale).toBe(newest.locale ?? null);
      expect(registration.tokenMac).toEqual(api.keyring.mac("token", bodyOf(newest).token));
      expect(folders.map((folder) => folder.kind).sort()).toEqual([...newest.kinds].sort());
      for (const folder of folders) {
        expect(folder.generation).toBeLessThanOrEqual(newest.revision);
        if (newest.again) expect(folder.generation).toBe(newest.revision);
      }
      expect((await phone.renew(newest.revision)).text).toBe(byRevision.get(newest.revision)!);
    }),
    { numRuns: 40 },
  );
}, 20_000);
