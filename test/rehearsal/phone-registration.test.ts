// The simulated phone as a strict client of the registration API, against a server that can be told what to answer.
import { afterEach, expect, test } from "bun:test";
import { createAuthority, issue } from "../../src/rehearsal/certificates.ts";
import { seededRandom } from "../../src/rehearsal/credentials.ts";
import type { EventKind } from "../../src/rehearsal/ews/notification.ts";
import { createPhone, type PhoneOptions } from "../../src/rehearsal/phone/phone.ts";
import type { TunnelFault } from "../../src/rehearsal/phone/registration-client.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly bearer: string | null;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

const EWS = { event_types: ["NewMailEvent", "ModifiedEvent"], status_frequency_minutes: 15 };
// In the order in which the simulated Exchange lists them.
const EVENTS: EventKind[] = ["Modified", "NewMail"];
const APP = "com.example.mail";

/** What a correct server answers. */
function correct(seen: Seen): Response {
  if (seen.path === "/v1/discovery") {
    const apps = [{ id: APP, platforms: ["apns", "fcm"] }];
    return Response.json({ version: 1, apps, auth: ["enrolment_secret"], ews: EWS });
  }
  if (seen.method === "DELETE") return new Response(null, { status: 204 });
  if (seen.method === "POST") return Response.json({}, { status: 202 });
  const folders = (seen.body.folders ?? []) as { kind: string }[];
  return Response.json({
    id: seen.path.split("/").at(-1),
    revision: seen.body.revision,
    folders: folders.map(({ kind }) => ({
      name: kind,
      kind,
      state: "expected",
      callback_url: `https://bell.corp.example/ews/${kind}-${seen.body.revision}`,
    })),
    renew_before: "2030-01-01T00:00:00.000Z",
    ews: EWS,
  });
}

async function start(options: Partial<PhoneOptions> = {}, answering = correct) {
  const authority = await createAuthority("Phone test CA");
  const { certificate, key } = await issue(authority, { names: ["127.0.0.1"] });
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert: certificate, key },
    development: false,
    async fetch(request) {
      const text = await request.text();
      const { pathname } = new URL(request.url);
      const bearer = request.headers.get("authorization")?.replace("Bearer ", "") ?? null;
      const body = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
      const entry = { method: request.method, path: pathname, bearer, body, text };
      seen.push(entry);
      return answering(entry);
    },
  });
  stops.push(() => server.stop(true));
  const subscribed: Parameters<PhoneOptions["exchange"]["subscribe"]>[0][] = [];
  const phone = createPhone({
    name: "phone-1",
    platform: "apns",
    app: APP,
    mailbox: "mailbox-1",
    folders: ["inbox", "calendar"],
    token: "ab".repeat(32),
    registrationUrl: `https://127.0.0.1:${server.port}`,
    ca: authority.certificate,
    enrolmentSecret: "an-enrolment-secret",
    exchange: {
      subscribe(request) {
        subscribed.push(request);
        return { subscriptionId: `subscription-${subscribed.length}` };
      },
    },
    random: seededRandom("phone"),
    now: () => 1_700_000_000_000,
    ...options,
  });
  stops.push(() => phone.stop());
  const puts = () => seen.filter((request) => request.method === "PUT");
  return { phone, seen, puts, subscribed, authority };
}

/** A tunnel that does these things to the next requests, one after the other. */
function tunnelOf(...faults: (TunnelFault | null)[]) {
  return () => faults.shift() ?? null;
}

test("reads discovery, registers with the enrolment secret, and subscribes with the callback URL of each folder", async () => {
  const { phone, puts, subscribed } = await start();
  await phone.enrol();
  expect(puts()).toHaveLength(1);
  expect(puts()[0]!.bearer).toBe("an-enrolment-secret");
  expect(puts()[0]!.path).toMatch(
    /^\/v1\/registrations\/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  expect(puts()[0]!.body).toEqual({
    app: APP,
    platform: "apns",
    token: "ab".repeat(32),
    secret: expect.stringMatching(/^[\w-]{22,128}$/),
    revision: 1_700_000_000_000,
    folders: [
      { kind: "inbox", new_subscription: true },
      { kind: "calendar", new_subscription: true },
    ],
  });
  const common = { mailbox: "mailbox-1", eventTypes: EVENTS, statusFrequencyMinutes: 15 };
  expect(subscribed).toEqual([
    { ...common, folders: ["inbox"], url: "https://bell.corp.example/ews/inbox-1700000000000" },
    { ...common, folders: ["calendar"], url: "https://bell.corp.example/ews/calendar-1700000000000" },
  ]);
  expect(phone.complaints).toEqual([]);
});

test("sends the very same PUT again when the tunnel loses the request or its answer, and subscribes once", async () => {
  // The first is discovery; the PUT is lost on its way, then its answer, then all is well.
  const { phone, puts, subscribed } = await start({ tunnel: tunnelOf(null, "request", "answer") });
  await phone.enrol();
  expect(puts().map((put) => put.text)).toEqual([puts()[0]!.text, puts()[0]!.text]);
  expect([puts().length, subscribed.length, phone.repeats]).toEqual([2, 2, 2]);
});

test("raises its revision with every wish, even while its clock stands still or goes back", async () => {
  let clock = 5000;
  const { phone, puts, subscribed } = await start({ now: () => clock });
  await phone.enrol();
  await phone.renew();
  clock = 1000;
  await phone.changeToken("cd".repeat(32));
  clock = 9000;
  await phone.renew();
  expect(puts().map((put) => put.body.revision)).toEqual([5000, 5001, 5002, 9000]);
  expect(puts().map((put) => put.body.token)).toEqual([
    "ab".repeat(32),
    "ab".repeat(32),
    "cd".repeat(32),
    "cd".repeat(32),
  ]);
  // Renewing is no reason for a new subscription.
  expect(subscribed).toHaveLength(2);
});

test("goes above the stored revision when its own is called stale", async () => {
  const { phone, puts } = await start({}, (seen) =>
    seen.method === "PUT" && Number(seen.body.revision) <= 1_800_000_000_000
      ? Response.json({ code: "stale_revision", stored_revision: 1_800_000_000_000 }, { status: 409 })
      : correct(seen),
  );
  await phone.enrol();
  expect(puts().map((put) => put.body.revision)).toEqual([1_700_000_000_000, 1_800_000_000_001]);
  expect(phone.complaints).toEqual([]);
});

test("makes a new id and a new secret when its id is spent, and subscribes to everything again", async () => {
  let spent = "";
  const { phone, puts, subscribed } = await start({}, (seen) =>
    seen.path === spent ? Response.json({ code: "spent" }, { status: 410 }) : correct(seen),
  );
  await phone.enrol();
  spent = puts()[0]!.path;
  await phone.renew();
  const [first, , third] = puts();
  expect(third!.path).not.toBe(first!.path);
  expect(third!.body.secret).not.toBe(first!.body.secret);
  expect(third!.path).toBe(`/v1/registrations/${phone.registrationId}`);
  expect(subscribed).toHaveLength(4);
});

test("stops asking when a server calls everything stale or spent", async () => {
  const answers = [
    () => Response.json({ code: "stale_revision", stored_revision: 1 }, { status: 409 }),
    () => Response.json({ code: "spent" }, { status: 410 }),
  ];
  for (const answer of answers) {
    const { phone, puts } = await start({}, (seen) => (seen.method === "PUT" ? answer() : correct(seen)));
    await expect(phone.enrol()).rejects.toThrow();
    expect(puts().length).toBeLessThan(5);
  }
});

test("subscribes again to the folder that a resubscribe push names, with a new revision and a new URL", async () => {
  const { phone, puts, subscribed } = await start();
  await phone.enrol();
  const push = { badge: null, visible: false, at: 0, wrong: null };
  phone.receive({ ...push, reason: "resubscribe", folder: "calendar" });
  await phone.settled();
  expect(puts()[1]!.body.folders).toEqual([{ kind: "inbox" }, { kind: "calendar", new_subscription: true }]);
  expect(subscribed.slice(2).map(({ folders, url }) => [folders, url])).toEqual([
    [["calendar"], "https://bell.corp.example/ews/calendar-1700000000001"],
  ]);
  phone.receive({ ...push, reason: "resubscribe", folder: "tasks" });
  await phone.settled();
  expect(phone.complaints).toEqual(["phone-1: resubscribe names a folder that the phone does not have"]);
});

test("keeps the last badge that a push carried", async () => {
  const { phone } = await start();
  const push = { reason: "mail", folder: null, visible: false, at: 0, wrong: null };
  expect(phone.badge).toBeNull();
  for (const badge of [4, null, 0, null]) phone.receive({ ...push, badge });
  expect([phone.badge, phone.pushes.length]).toEqual([0, 4]);
});

test("tells a late repeat of its first PUT, a test ring and a deletion as they were answered", async () => {
  const { phone, seen } = await start({}, (request) =>
    request.method === "PUT" && request.body.revision === 1_700_000_000_000 && seen.length > 3
      ? Response.json({ code: "stale_revision", stored_revision: 1_700_000_000_001 }, { status: 409 })
      : correct(request),
  );
  await phone.enrol();
  await phone.renew();
  expect(await phone.repeatFirstPut()).toBe(409);
  expect(await phone.askForTestRing()).toBe(202);
  await phone.unregister();
  const secret = seen[1]!.body.secret;
  expect(seen.slice(-2).map(({ method, bearer }) => [method, bearer])).toEqual([
    ["POST", String(secret)],
    ["DELETE", String(secret)],
  ]);
});

test("trusts no registration listener with a certificate of another authority", async () => {
  const other = await createAuthority("Someone else");
  const { phone, seen } = await start({ ca: other.certificate });
  const enrolled = phone.enrol();
  const outcome = enrolled.then(
    () => "registered",
    () => "refused",
  );
  // The phone would try for a while; one refusal is enough here.
  for (let look = 0; look < 500 && phone.repeats === 0; look++) await Bun.sleep(10);
  expect(phone.repeats).toBeGreaterThan(0);
  await phone.stop();
  expect([await outcome, seen.length]).toEqual(["refused", 0]);
});

const wrongAnswers: [string, (seen: Seen) => Response | Promise<Response>, string][] = [
  [
    "discovery without its app",
    () => Response.json({ version: 1, apps: [], auth: [], ews: EWS }),
    "this app",
  ],
  ["a redirect", () => Response.redirect("https://127.0.0.1/", 302), "discovery"],
  [
    "another revision",
    async (seen) => Response.json({ ...((await correct(seen).json()) as object), revision: 1 }),
    "another revision",
  ],
  [
    "a folder too few",
    async (seen) => {
      const body = (await correct(seen).json()) as { folders: unknown[] };
      return Response.json({ ...body, folders: body.folders.slice(1) });
    },
    "other folders",
  ],
  ["a refusal", () => Response.json({ code: "unauthorized" }, { status: 401 }), "401 (unauthorized)"],
];

test.each(wrongAnswers)("complains about %s", async (name, answer, complaint) => {
  const early = name.startsWith("discovery") || name === "a redirect";
  const { phone, subscribed } = await start({}, (seen) =>
    seen.path === "/v1/discovery" && !early ? correct(seen) : (answer(seen) as Response),
  );
  await expect(phone.enrol()).rejects.toThrow();
  expect(phone.complaints.join()).toContain(complaint);
  expect(subscribed).toEqual([]);
});
