import { expect, test } from "bun:test";
import { decidePut } from "../../src/registration/decide.ts";
import type { Wish } from "../../src/registration/wish.ts";
import type { Folder } from "../../src/store/types.ts";
import { UNHEARD } from "../../src/store/unheard.ts";

const NOW = 1_760_000_000_000;
const circumstances = { enrolled: true, now: NOW, statusFrequencyMinutes: 15 };
const heard: Folder = {
  ...UNHEARD,
  name: "inbox",
  kind: "inbox",
  generation: NOW,
  boundGeneration: NOW,
  subscriptionMac: Buffer.from("subscription"),
  lastHeardAt: NOW,
  statusFrequencyMinutes: 30,
};
const wish: Wish = {
  id: "00000000-0000-4000-8000-000000000001",
  app: "com.example.mail",
  platform: "apns",
  token: "ab",
  secretHash: Buffer.from("hash"),
  revision: NOW,
  locale: null,
  folders: [{ name: "inbox", kind: "inbox", folderMac: null, newSubscription: false, subscription: null }],
};

test("folders heard of before their registration came are taken over as older ones", () => {
  const other = { ...heard, name: "calendar" };
  const { change, result } = decidePut(wish, circumstances, { kind: "missing", folders: [heard, other] }, []);
  expect(result.kind).toBe("created");
  // A new registration always opens a generation, above all that were heard; what was heard stays known.
  expect(change?.folders).toEqual([{ ...heard, generation: NOW + 1, statusFrequencyMinutes: 15 }]);
  expect(change?.removeFolders).toEqual(["calendar"]);
});

test("an unknown id is refused without an enrolment credential, heard of or not", () => {
  const stranger = { ...circumstances, enrolled: false };
  for (const state of [{ kind: "missing" }, { kind: "missing", folders: [heard] }] as const) {
    expect(decidePut(wish, stranger, state, [])).toEqual({ result: { kind: "unauthorized" } });
  }
});

test("a generation that a callback URL raised above the stored revision is never lowered", () => {
  const { id, app, platform, secretHash, revision, locale } = wish;
  const registration = {
    ...{ id, app, platform, secretHash, locale, subjectMac: null, tokenMac: Buffer.from("mac") },
    ...{ revision: revision - 10, createdAt: NOW, renewedAt: NOW },
  };
  const raised = { ...heard, generation: NOW + 5, boundGeneration: NOW + 5 };
  const state = { kind: "present", registration, folders: [raised], dead: "no" } as const;
  const again = { ...wish, folders: wish.folders.map((folder) => ({ ...folder, newSubscription: true })) };
  const { change } = decidePut(again, circumstances, state, []);
  expect(change?.folders?.[0]?.generation).toBe(NOW + 6);
});
