// What the verbs of the pair say on a terminal.
import { describe, expect, test } from "bun:test";
import { pairStatusText } from "../../src/cli/pair-status.ts";
import { inviteText, joinedText, planText, writtenText } from "../../src/cli/pair-text.ts";
import { alarmText, reasonText } from "../../src/cli/pair-words.ts";
import { isPairStatus, type PairStatus } from "../../src/pair/status.ts";

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;

const good: PairStatus = {
  paired: true,
  here: {
    name: "bell-a",
    role: "active",
    why: "peer_silent",
    forSeconds: 10_800,
    epoch: 4,
    seeding: "seeded",
    ready: true,
    serving: true,
    rings: true,
  },
  peer: {
    name: "bell-b",
    role: "passive",
    why: "started",
    forSeconds: 60,
    epoch: 4,
    seeding: "seeded",
    ready: true,
    address: "bell-b:7443",
    heardSecondsAgo: 0.2,
  },
  peerAddress: "bell-b:7443",
  link: { up: true, why: null, detail: null, certificateExpiresAt: NOW + 80 * DAY_MS },
  waiting: true,
  protected: true,
  lagRows: 0,
  behindRows: 0,
  clockSkewMs: -12,
  roundTripMs: 0.42,
  lastTakeover: {
    by: "bell-a",
    epoch: 4,
    why: "peer_silent",
    secondsAgo: 10_800,
    at: "2027-01-15T05:00:00.000Z",
  },
  takeovers: 1,
  alarms: [],
};

describe("pair status", () => {
  test("shows both nodes side by side, and that the pair is protected", () => {
    expect(isPairStatus(good)).toBe(true);
    expect(pairStatusText(good, NOW)).toBe(
      [
        "PROTECTED: everything that was answered is on both nodes.",
        "",
        "            bell-a (this node)          bell-b",
        "role        active for 3 h              passive for 60 s",
        "because     the other node fell silent  it started and the other node was active",
        "epoch       4                           4",
        "rows        complete                    complete",
        "state       answers and rings           answers; ready to take over",
        "to receive  0 rows                      0 rows",
        "",
        "link           up, round trip 0.4 ms; last heard 0.2 s ago",
        "certificate    good for another 80 days; renews by itself",
        "clocks         0.012 s apart",
        "last takeover  bell-a at 2027-01-15T05:00:00.000Z (3 h ago), epoch 4: the other node fell silent",
      ].join("\n"),
    );
  });

  test("says in plain words what is not protected, and why", () => {
    const down = {
      up: false,
      why: "refused",
      detail: "Nobody listens there.",
      certificateExpiresAt: NOW - DAY_MS * 3,
    };
    const lines = pairStatusText(
      {
        ...good,
        protected: false,
        waiting: false,
        link: down,
        behindRows: null,
        lagRows: 7,
        alarms: ["alone"],
      },
      NOW,
    );
    expect(lines).toContain(
      "NOT PROTECTED: there is no link to bell-b. What is answered now is on bell-a only.",
    );
    expect(lines).toContain("link           DOWN (refused): Nobody listens there; last heard 0.2 s ago");
    expect(lines).toContain("EXPIRED 3 days ago");
    expect(lines).toContain("not heard at present");
    expect(lines).toContain(`!! ${alarmText("alone")}`);
    expect(pairStatusText({ ...good, protected: false, lagRows: 7 }, NOW)).toContain(
      "7 rows are on bell-a only",
    );
    expect(pairStatusText({ ...good, protected: false, waiting: false, lagRows: 7 }, NOW)).toContain(
      "catches up",
    );
  });

  test("of a node that has never heard the other one names where it looks for it", () => {
    const lines = pairStatusText(
      {
        ...good,
        peer: null,
        protected: false,
        link: { up: false, why: "silent", detail: "No answer.", certificateExpiresAt: NOW + DAY_MS },
        here: {
          ...good.here,
          seeding: "unseeded",
          serving: false,
          role: "passive",
          why: "unseeded",
          ready: false,
        },
        alarms: ["no_active"],
      },
      NOW,
    );
    expect(lines).toContain("(bell-b:7443)");
    expect(lines).toContain("EMPTY: being filled by the other node");
    expect(lines).toContain("NOT SERVING: answers 503");
    expect(lines).toContain("not heard since the start");
    expect(lines).toContain("inboxbell pair first");
  });

  test("of a single node says that it is one", () => {
    const single = { ...good, paired: false, peer: null, link: null, peerAddress: null, protected: false };
    expect(pairStatusText(single, NOW)).toStartWith("bell-a is a single node");
  });

  test("has words for a reason of a newer version", () => {
    expect(reasonText("unknown")).toContain("newer version");
  });
});

describe("joining", () => {
  const code = Array.from({ length: 15 }, (_, n) => `AAA${String(n).padStart(2, "0")}`).join("-");

  test("shows the code in a line of its own, so that it can be pasted at a prompt, and how long it works", () => {
    const text = inviteText({ code, node: "bell-a", valid: "15m", link: "bell-a:7443" });
    expect(text.split("\n")).toContain(code);
    expect(text).toContain("for 15m");
    // Not as an argument, which others see.
    expect(text).toContain("inboxbell pair join\n");
  });

  test("tells the order of the restarts, and of a first node without a database what it needs", () => {
    const facts = {
      node: "bell-a",
      peer: "bell-b",
      address: "bell-b:7443",
      written: ["/etc/x"],
      hasDatabase: true,
    };
    const text = joinedText(facts);
    expect(text.indexOf("here, on bell-a")).toBeLessThan(text.indexOf("then on bell-b"));
    expect(text).not.toContain("pair first");
    expect(joinedText({ ...facts, hasDatabase: false })).toContain("inboxbell pair first");
  });

  test("lists every file with what becomes of it before it is written, and where the old ones are after", () => {
    const text = planText({
      first: "bell-a",
      node: "bell-b",
      address: "bell-b:7443",
      files: [
        { path: "/var/lib/inboxbell/keys.json", state: "new", what: "sealing keys" },
        { path: "/etc/inboxbell/fcm.json", state: "same", what: "apps[0].fcm.service_account" },
        { path: "/etc/inboxbell/inboxbell.yaml", state: "changed", what: "configuration" },
      ],
      own: ["node: bell-b"],
      notes: ["The clocks differ."],
    });
    expect(text).toContain("  new      /var/lib/inboxbell/keys.json   sealing keys");
    expect(text).toContain("  same     /etc/inboxbell/fcm.json ");
    expect(text).toContain("  CHANGED  /etc/inboxbell/inboxbell.yaml  configuration");
    expect(text).toContain(".before-join");
    expect(text).toContain("Note: The clocks differ.");
    const aside = "/etc/inboxbell/inboxbell.yaml.before-join";
    expect(
      writtenText({
        first: "bell-a",
        node: "bell-b",
        written: [{ path: "/etc/inboxbell/inboxbell.yaml", aside }],
      }),
    ).toContain(aside);
  });
});
