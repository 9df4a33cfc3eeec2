import { afterAll, beforeEach, expect, test } from "bun:test";
import { type Answer, type Api, ENROLMENT, newPhone, START, startApi, wish } from "./helpers.ts";

let api: Api | null = null;
beforeEach(async () => {
  await api?.stop();
  api = await startApi();
});
afterAll(() => api?.stop());

function started(): Api {
  return api!;
}

function withoutDate({ status, text, headers }: Answer) {
  return { status, text, challenge: headers.get("www-authenticate"), headers: [...headers.keys()] };
}

test("a new registration needs an enrolment secret", async () => {
  const api = started();
  const phone = newPhone(api);
  for (const bearer of [
    "wrong",
    `${ENROLMENT}x`,
    ENROLMENT.slice(0, -1),
    ENROLMENT.toUpperCase(),
    phone.secret,
  ]) {
    const answer = await phone.put(START, {}, bearer);
    expect([answer.status, answer.json.code]).toEqual([401, "unauthorized"]);
  }
  const without = await phone.renew(START);
  expect(without.status).toBe(401);
  expect(without.headers.get("www-authenticate")).toBe('Bearer realm="inboxbell"');
  const basic = await api.call("PUT", phone.path, {
    body: wish(phone.secret, START),
    headers: { Authorization: `Basic ${ENROLMENT}` },
  });
  expect(basic.status).toBe(401);
  const lower = await api.call("PUT", phone.path, {
    body: wish(phone.secret, START),
    headers: { Authorization: `bearer ${ENROLMENT}` },
  });
  expect(lower.status).toBe(201);
});

test("an existing registration needs its own secret, and the enrolment secret does not replace it", async () => {
  const api = started();
  const phone = newPhone(api);
  await phone.put(START);
  const stranger = await api.call("PUT", phone.path, {
    body: wish("another-secret-of-22-chars", START + 1, { token: "ee".repeat(32) }),
    bearer: ENROLMENT,
  });
  expect(stranger.status).toBe(401);
  for (const [method, path] of [
    ["GET", phone.path],
    ["DELETE", phone.path],
    ["POST", `${phone.path}/ring`],
  ] as const) {
    expect((await api.call(method, path)).status).toBe(401);
    expect((await api.call(method, path, { bearer: ENROLMENT })).status).toBe(401);
  }
  expect(api.due).toHaveLength(0);
  expect((await phone.get()).json.revision).toBe(START);
});

test("an unknown id and a wrong secret look the same", async () => {
  const api = started();
  const [known, unknown] = [newPhone(api), newPhone(api)];
  await known.put(START);
  for (const [method, suffix] of [
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/ring"],
  ] as const) {
    const bearer = "not-the-secret-of-anyone";
    const right = await api.call(method, known.path + suffix, { bearer });
    const wrong = await api.call(method, unknown.path + suffix, { bearer });
    expect(withoutDate(right)).toEqual(withoutDate(wrong));
    expect(right.status).toBe(401);
  }
  const body = wish("not-the-secret-of-anyone", START);
  const right = await api.call("PUT", known.path, { body });
  const wrong = await api.call("PUT", unknown.path, { body });
  expect(withoutDate(right)).toEqual(withoutDate(wrong));
});

test("wrong attempts are limited, alike for known and unknown ids, and never delay the right secret", async () => {
  const api = started();
  const [known, unknown] = [newPhone(api), newPhone(api)];
  await known.put(START);
  const statuses: Record<string, number[]> = { known: [], unknown: [] };
  for (let i = 0; i < 14; i++) {
    for (const [name, phone] of [
      ["known", known],
      ["unknown", unknown],
    ] as const) {
      const answer = await api.call("GET", phone.path, { bearer: `guess-number-${i}` });
      statuses[name]!.push(answer.status);
      if (answer.status === 429) {
        expect(answer.json.code).toBe("rate_limited");
        expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      }
      expect((await known.get()).status).toBe(200);
    }
  }
  expect(statuses.known).toEqual(statuses.unknown!);
  expect(statuses.known!.filter((status) => status === 401)).toHaveLength(10);
  expect((await known.renew(START + 1)).status).toBe(200);
  api.time.now += 10_000;
  expect((await api.call("GET", known.path, { bearer: "guess-again" })).status).toBe(401);
  expect((await api.call("GET", known.path, { bearer: "guess-again" })).status).toBe(429);
});

test("wrong enrolment secrets are limited for an address, and the right one still passes", async () => {
  const api = started();
  const statuses: number[] = [];
  for (let i = 0; i < 110; i++) statuses.push((await newPhone(api).put(START, {}, `guess-${i}`)).status);
  expect(statuses.slice(0, 100).every((status) => status === 401)).toBe(true);
  // A slow machine takes so long over them that one more is let through meanwhile.
  expect(statuses.slice(100).filter((status) => status === 429).length).toBeGreaterThanOrEqual(8);
  expect((await newPhone(api).put(START)).status).toBe(201);
});

test("requests are counted by registration and secret: who repeats one without end slows down no other phone", async () => {
  const api = started();
  const [busy, calm] = [newPhone(api), newPhone(api)];
  await busy.put(START);
  await calm.put(START);
  const seen = await Promise.all(Array.from({ length: 80 }, async () => (await busy.get()).status));
  // One more a second is let through meanwhile.
  expect(seen.filter((status) => status === 200).length).toBeLessThan(65);
  expect(new Set(seen)).toEqual(new Set([200, 429]));
  const limited = await busy.renew(START + 1);
  expect([limited.status, limited.json.code]).toEqual([429, "rate_limited"]);
  expect(Number(limited.headers.get("retry-after"))).toBe(1);
  // From the same address, as behind a gateway.
  expect((await calm.get()).status).toBe(200);
  // Who knows the id but not the secret has an allowance of its own, and takes nothing from the phone's.
  for (let i = 0; i < 80; i++) await api.call("GET", calm.path, { bearer: "one-and-the-same-guess" });
  expect((await calm.get()).status).toBe(200);
});

test("a test ring is owed once asked for, at most six times a minute", async () => {
  const api = started();
  const phone = newPhone(api);
  await phone.put(START);
  const first = await phone.ring();
  expect(first.status).toBe(202);
  expect(first.json).toEqual({ id: phone.id, reason: "test" });
  expect(first.headers.get("inboxbell-durable")).toBe("node");
  expect(api.due.map((news) => news.registrationId)).toEqual([phone.id]);
  expect(api.due[0]?.origin?.correlationId).toMatch(/^\w+$/);
  expect((await api.store.begin([phone.id]))[0]?.reason).toBe("test");
  for (let i = 0; i < 5; i++) expect((await phone.ring()).status).toBe(202);
  const limited = await phone.ring();
  expect(limited.status).toBe(429);
  expect(limited.headers.get("retry-after")).toBe("10");
  api.time.now += 10_000;
  expect((await phone.ring()).status).toBe(202);
});

test("a database that cannot be written is 503 with Retry-After, and a phone's secret is not judged", async () => {
  const api = started();
  const phone = newPhone(api);
  await phone.put(START);
  await api.store.stop();
  for (const answer of [
    await phone.renew(START + 1),
    await phone.get(),
    await phone.delete(),
    await phone.ring(),
  ]) {
    expect(answer.status).toBe(503);
    expect(answer.json.code).toBe("store_unavailable");
    expect(answer.json.correlation_id).toMatch(/^\w+$/);
    expect(answer.headers.get("retry-after")).toBe("5");
    expect(answer.headers.get("inboxbell-durable")).toBeNull();
  }
  await api.store.start();
  expect((await phone.renew(START + 1)).status).toBe(200);
});
