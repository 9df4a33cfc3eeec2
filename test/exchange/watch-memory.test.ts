// What the watch over subscriptions keeps in memory: when folders and servers were heard, allowances, counts.
import { describe, expect, test } from "bun:test";
import { createCensus, LEAST_SILENT, WINDOW_MS } from "../../src/exchange/census.ts";
import { createHeardTimes } from "../../src/exchange/heard-times.ts";
import { serverName } from "../../src/exchange/server-name.ts";
import { createServerTimes } from "../../src/exchange/server-times.ts";
import { createSpread, SPREAD_MS } from "../../src/exchange/spread.ts";
import { subscriptionId } from "../../src/rehearsal/ews/ids.ts";
import { id } from "../store/helpers.ts";
import { SAMPLE } from "./helpers.ts";

const of = (n: number, name = "inbox") => ({ registrationId: id(n), name });

describe("when a folder was heard", () => {
  test("is remembered for each folder of each registration", () => {
    const times = createHeardTimes([1, 2]);
    times.heard(of(1), 10);
    times.heard(of(1, "calendar"), 20);
    times.heard(of(2), 30);
    times.heard(of(1), 40);
    expect(times.lastHeard(of(1), 7, 99)).toBe(40);
    expect(times.lastHeard(of(1, "calendar"), 7, 99)).toBe(20);
    expect(times.lastHeard(of(2), 7, 99)).toBe(30);
    expect(times.size).toBe(3);
  });

  test("begins with the first look at it, and anew with each generation that is asked for", () => {
    const times = createHeardTimes([1, 2]);
    expect(times.lastHeard(of(1), 7, 100)).toBe(100);
    expect(times.lastHeard(of(1), 7, 200)).toBe(100);
    expect(times.lastHeard(of(1), 8, 300)).toBe(300);
    // An older generation that is heard meanwhile counts: the phone is served.
    times.heard(of(1), 350);
    expect(times.lastHeard(of(1), 8, 400)).toBe(350);
  });

  test("is forgotten with the folder", () => {
    const times = createHeardTimes([1, 2]);
    for (let n = 0; n < 3000; n += 1) times.lastHeard(of(n), 1, n);
    times.endLook();
    for (let n = 0; n < 1000; n += 1) times.lastHeard(of(n), 1, 9999);
    times.heard(of(2999), 5000);
    times.endLook();
    expect(times.size).toBe(1001);
    // What it was kept in is used again, and the others are as they were.
    for (let n = 5000; n < 7000; n += 1) times.lastHeard(of(n), 1, n);
    expect(times.lastHeard(of(500), 1, 9999)).toBe(500);
    expect(times.lastHeard(of(6999), 1, 9999)).toBe(6999);
    expect(times.lastHeard(of(2000), 1, 7777)).toBe(7777);
  });

  test("needs little memory for 200 000 folders, however often they are heard", () => {
    const times = createHeardTimes([1, 2]);
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < 200_000; n += 1) times.heard(of(n), round * 1e6 + n);
    }
    Bun.gc(true);
    const megabytes = (process.memoryUsage().rss - before) / 1e6;
    expect(times.size).toBe(200_000);
    expect(megabytes).toBeLessThan(60);
    expect(times.lastHeard(of(199_999), 1, 0)).toBe(2_199_999);
  });
});

test("when a server was heard is kept for the thousand that spoke last", () => {
  const times = createServerTimes(2);
  times.heard("a", 1);
  times.heard("b", 2);
  times.heard("a", 3);
  times.heard("c", 4);
  expect(times.lastHeard("a")).toBe(3);
  expect(times.lastHeard("c")).toBe(4);
  expect(times.lastHeard("b")).toBe(Number.NEGATIVE_INFINITY);
});

describe("the server's name in a SubscriptionId", () => {
  test("is its first part, whatever its case", () => {
    expect(serverName(SAMPLE.subscription)).toBe("ex01.corp.example");
    const made = subscriptionId("EX02.Corp.Example", Buffer.alloc(16, 1), 0, Buffer.alloc(16, 2));
    expect(serverName(made)).toBe("ex02.corp.example");
    const longest = `${"a".repeat(250)}.corp`;
    expect(serverName(subscriptionId(longest, Buffer.alloc(16), 0, Buffer.alloc(16)))).toBe(longest);
  });

  test("is none in an id of another shape", () => {
    const withLength = (length: number, text: string) =>
      Buffer.concat([Buffer.of(length % 256, Math.floor(length / 256)), Buffer.from(text)]).toString(
        "base64",
      );
    for (const other of [
      "",
      "A",
      "subscription-1",
      "0f6f2a5e-3c0e-4a53-9d0a-5f1f4f1c2b7a",
      withLength(0, "abc"),
      withLength(200, "too short"),
      withLength(300, "a".repeat(300)),
      withLength(4, "a b\n"),
      withLength(3, "é.x"),
      withLength(5, ".a.b."),
    ]) {
      expect(serverName(other)).toBeNull();
    }
  });
});

describe("asks of one server's phones", () => {
  const spreadOf = (random = () => 0.5) => createSpread(random);

  test("go out at once while they are few, and are spread over a minute when they are many", () => {
    const spread = spreadOf();
    const delays = Array.from({ length: 1300 }, () => spread.take("a", 0));
    expect(delays.filter((delay) => delay === 0)).toHaveLength(20);
    expect(delays.filter((delay) => delay === SPREAD_MS / 2)).toHaveLength(1180);
    expect(delays.filter((delay) => delay === null)).toHaveLength(100);
    // Another server's phones do not wait for these.
    expect(spread.take("b", 0)).toBe(0);
  });

  test("are never more than twenty a second in the long run", () => {
    const spread = spreadOf(Math.random);
    let taken = 0;
    for (let minute = 0; minute < 30; minute += 1) {
      for (let n = 0; n < 5000; n += 1) if (spread.take("a", minute * 60_000) !== null) taken += 1;
    }
    expect(taken).toBe(30 * 1200);
  });

  test("get the whole minute's jitter from the given randomness", () => {
    let at = 0;
    const spread = spreadOf(() => {
      at = (at + 1) % 100;
      return at / 100;
    });
    const delays = Array.from({ length: 120 }, () => spread.take("a", 0)).slice(20);
    expect(Math.min(...delays.map(Number))).toBe(0);
    expect(Math.max(...delays.map(Number))).toBe(0.99 * SPREAD_MS);
  });

  test("are remembered for a thousand servers only", () => {
    const spread = spreadOf();
    for (let n = 0; n < 1300; n += 1) spread.take("first", 0);
    expect(spread.take("first", 0)).toBeNull();
    for (let n = 0; n < 1000; n += 1) spread.take(`stranger ${n}`, 0);
    expect(spread.take("first", 0)).toBe(0);
  });
});

describe("a server that forgot its subscriptions", () => {
  /** One look: so many subscriptions of a server, of which so many fell silent. */
  function look(census: ReturnType<typeof createCensus>, atMs: number, all: number, silent: number) {
    census.beginLook();
    for (let n = 0; n < all; n += 1) census.count("ex01");
    for (let n = 0; n < 100; n += 1) census.count("ex02");
    for (let n = 0; n < silent; n += 1) census.fellSilent("ex01");
    return census.endLook(atMs);
  }

  test("raises one alarm, also when its subscriptions fall silent one by one, and ends it once they do no more", () => {
    const census = createCensus();
    let began = 0;
    for (let minute = 0; minute < 15; minute += 1) {
      const { began: now } = look(census, minute * 60_000, 60, 4);
      began += now.length;
      if (now.length > 0) expect(now).toEqual([{ server: "ex01", silent: 16, subscriptions: 60 }]);
    }
    expect(began).toBe(1);
    expect(census.alarms).toBe(1);
    expect(look(census, 14 * 60_000 + WINDOW_MS - 1, 60, 0).ended).toEqual([]);
    expect(look(census, 14 * 60_000 + WINDOW_MS, 60, 0).ended).toEqual(["ex01"]);
    expect(census.alarms).toBe(0);
    expect(look(census, 3 * WINDOW_MS, 60, 16).began).toHaveLength(1);
  });

  test("is none while few or a small share fell silent, or they did so in different hours", () => {
    const census = createCensus();
    expect(look(census, 0, 4, LEAST_SILENT - 1).began).toEqual([]);
    const large = createCensus();
    expect(look(large, 0, 100, 25).began).toEqual([]);
    expect(look(large, 1, 100, 1).began).toHaveLength(1);
    const slow = createCensus();
    for (let hour = 0; hour < 10; hour += 1) expect(look(slow, hour * WINDOW_MS, 10, 3).began).toEqual([]);
  });
});
