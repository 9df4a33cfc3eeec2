// Why a phone was rung or was silent: one readable answer from the facts, for somebody who knows NetScaler and
// PowerShell and has no idea of the providers' error words. Pure.

import { answerWords, providerName } from "../delivery/answer-words.ts";
import { stallHint } from "../delivery/hints.ts";
import type { Reason } from "../store/types.ts";
import type { PhoneFacts } from "./facts.ts";
import { page } from "./pages.ts";
import { ago, at, span } from "./times.ts";
import { waits } from "./waits.ts";

export interface WhyAnswer {
  /** One sentence: how it stands with this phone. */
  readonly verdict: string;
  /** What is known, by name. */
  readonly lines: readonly (readonly [name: string, text: string])[];
  /** What will happen next, without anybody's doing. */
  readonly next: string;
  /** What the administrator can do; empty where nothing has to be done. */
  readonly todo: readonly string[];
}

/** Explains one phone. */
export function explain(facts: PhoneFacts): WhyAnswer {
  switch (facts.standing) {
    case "unknown":
      return {
        verdict: "No registration has this id.",
        lines: [],
        next: "Nothing: a notification for it is answered OK and kept until such a registration arrives.",
        todo: [
          "Compare the id with the one that the app shows; `inboxbell registrations` lists those that there are.",
          "Open the app: it registers again if it lost its registration.",
        ],
      };
    case "deleted":
      return {
        verdict: `This registration was deleted${dated(facts.endedAt, facts.now)}. Its id is spent for good.`,
        lines: [],
        next: "Exchange's next notification for it is answered Unsubscribe, which ends the subscription. When the app registers, it is told to make a new id, and does.",
        todo: ["If the phone is still in use: open the app, and look for its new registration."],
      };
    case "idle":
      return {
        verdict: `This registration fell idle${dated(facts.endedAt, facts.now)}: its app had not renewed it for too long.`,
        lines: [],
        next: "The phone is not rung. Nothing was ended: a renewal brings the registration back under the same id.",
        todo: ["Open the app on the phone. The time is `retention.idle_registration`."],
      };
    case "present":
      return explainPresent(facts, facts.phone);
  }
}

function explainPresent(facts: PhoneFacts, phone: PhoneFacts["phone"]): WhyAnswer {
  if (phone === null) throw new Error("a registration that is present has a phone");
  for (const story of [dead, waiting, neverHeard, lost, rung]) {
    const told = story(facts, phone);
    if (told !== null) return { ...told, lines: linesOf(facts, phone) };
  }
  return { ...quiet(facts), lines: linesOf(facts, phone) };
}

type Phone = NonNullable<PhoneFacts["phone"]>;
type Story = (facts: PhoneFacts, phone: Phone) => Omit<WhyAnswer, "lines"> | null;

const NOT_RUNNING = "Nothing until the service runs: this was read from the database, no node is running.";
const SILENT_PHONE = `If the phone stayed silent although it was rung, the cause is on the phone: ${page("phone.md")} lists the causes by symptom. A test ring (\`inboxbell ring\`) with the phone in hand tells them apart.`;
const OPEN_APP = "Open the app on the phone: it registers again, with the token that it has now.";

const dead: Story = ({ lastRing, now, owed }, { dead: verdict, platform }) => {
  if (verdict === "no") return null;
  const name = providerName(platform);
  const why = lastRing === null ? "" : ` ${answerWords(platform, lastRing.outcome)}.`;
  const when = lastRing === null ? "" : dated(lastRing.at, now);
  const keeps = owed === null ? "" : " What is owed is kept for the token that it registers next.";
  return {
    verdict: `This phone is not rung: ${name} refused its token${when}.${why}`,
    next:
      verdict === "ended"
        ? `Nothing until its app registers again. Exchange's next notification is answered Unsubscribe.${keeps}`
        : `Nothing until its app registers again. Its subscription at Exchange lives on.${keeps}`,
    todo: [
      OPEN_APP,
      ...(platform === "apns" && lastRing?.outcome === "BadDeviceToken"
        ? [
            "If it happens to every phone of the app: apns.environment (production or sandbox) does not fit the app's build.",
          ]
        : []),
    ],
  };
};

const waiting: Story = (facts, { state }) => {
  const reason = waits(facts);
  // That a subscription is lost is the greater news than that the app is about to be told.
  const isOnlyAsked =
    facts.badge?.isOwed !== true &&
    facts.owed?.reasons.every((each) => each.reason === "resubscribe") === true;
  if (reason === null || (state === "resubscribe" && isOnlyAsked)) return null;
  return {
    verdict: `A ring is owed${facts.owed?.due ? ` since ${at(facts.owed.due.since)}` : ""} and waits: ${reason.because}.`,
    next: reason.next,
    todo: reason.todo,
  };
};

const neverHeard: Story = ({ folders, now, node }, { renewedAt }) => {
  if (folders.length === 0 || folders.some(({ state, lastHeardAt }) => state !== "expected" || lastHeardAt))
    return null;
  return {
    verdict: `The phone is registered, but Exchange has never been heard for it (registered or renewed ${ago(renewedAt, now)}).`,
    next:
      node === null
        ? NOT_RUNNING
        : "The first notification, which Exchange sends within 30 s of the app's Subscribe, proves the way. If none comes, the app is asked to subscribe again.",
    todo: [
      `See whether other phones are heard: \`inboxbell status\`, line Exchange. If none is, the way from Exchange to this server is broken: ${page("exchange.md")}.`,
      "If others are heard: the app's Subscribe did not reach Exchange or was refused. The app's log has Exchange's answer; EwsMaxSubscriptions of 0 refuses all.",
      "On the Exchange server the event log (source MSExchange Web Services, events 5 to 7) says whether it tried to post, and why it failed.",
    ],
  };
};

const lost: Story = (facts, { state }) => {
  const { folders, now } = facts;
  if (state !== "resubscribe") return null;
  const bad = folders.filter(({ state: each }) => each !== "live" && each !== "expected");
  const names = bad.map(({ name, state: each, troubledAt }) => `${name} ${each}${dated(troubledAt, now)}`);
  return {
    verdict: `The app has to subscribe again at Exchange (${names.join(", ")}): until then nothing is heard of it.`,
    next: askedNext(facts, Math.max(0, ...bad.map(({ askedAt }) => askedAt ?? 0))),
    todo: [
      `Open the app: it subscribes again. Phones let wake-ups through seldom, some not at all: ${page("phone.md")}.`,
      `If many phones fell silent together, Exchange was restarted or cannot reach this server: ${page("exchange.md")}.`,
    ],
  };
};

/** @param askedAt when the app was last asked to subscribe again, epoch milliseconds; 0 if it was not */
function askedNext(facts: PhoneFacts, askedAt: number): string {
  if (facts.node === null) return NOT_RUNNING;
  const wait = waits(facts);
  const asks = "The app is asked to subscribe again, by a ring that only wakes it.";
  if (wait !== null) return `${asks} That ring waits: ${wait.because}.`;
  if (askedAt === 0) return asks;
  return `The app was asked to subscribe again ${ago(askedAt, facts.now)}, and is asked again, ever more seldom. It also sees it when it is opened.`;
}

const rung: Story = ({ lastRing, now, node, newsAt }, { platform }) => {
  if (lastRing === null) return null;
  const isNewer = newsAt !== null && newsAt > lastRing.at;
  const what = `${WORDS[lastRing.reason]}, ${ago(lastRing.at, now)}`;
  const isGood = lastRing.outcome === "accepted";
  if (lastRing.outcome === "unknown") {
    return {
      verdict:
        "The database was restored from a backup, and nobody knows what this phone was rung with before.",
      next: node === null ? NOT_RUNNING : "The next notification of Exchange is rung.",
      todo: ["Send a test ring with `inboxbell ring`, and follow its answer."],
    };
  }
  return {
    verdict: isGood
      ? `The phone was rung (${what}) and ${providerName(platform)} took it. Nothing is owed.`
      : `The last ring (${what}) reached nobody: ${answerWords(platform, lastRing.outcome)}. Nothing is owed.`,
    next:
      node === null
        ? NOT_RUNNING
        : `The next notification of Exchange is rung.${isNewer ? " What came since the last ring called for none." : ""}`,
    todo: isGood ? [SILENT_PHONE] : ["Send a test ring with `inboxbell ring`, and follow its answer."],
  };
};

const quiet = ({ newsAt, folders, node }: PhoneFacts): Omit<WhyAnswer, "lines"> => ({
  verdict:
    newsAt === null && folders.some(({ lastHeardAt }) => lastHeardAt !== null)
      ? "Exchange is heard for this phone, and has told of nothing yet that calls for a ring."
      : "Nothing has called for a ring yet.",
  next: node === null ? NOT_RUNNING : "The next notification of new mail is rung.",
  todo: [
    "Send a test ring with `inboxbell ring`: it proves the way to the phone without waiting for a mail.",
  ],
});

/** Reasons in an administrator's words. */
export const WORDS: Readonly<Record<Reason, string>> = {
  mail: "new mail",
  changed: "read or changed elsewhere",
  calendar: "calendar",
  folder: "another folder",
  resubscribe: "asked to subscribe again",
  test: "a test ring",
};

function linesOf(facts: PhoneFacts, phone: Phone): WhyAnswer["lines"] {
  const { now, folders, newsAt, badge, owed, lastRing, node } = facts;
  const refused = node?.refused ?? null;
  const lines: [string, string][] = [
    ["app", `${phone.app} on ${phone.platform} (${providerName(phone.platform)})`],
    ["state", phone.state],
    [
      "registered",
      `${at(phone.createdAt)}, renewed ${ago(phone.renewedAt, now)}${phone.idleAt === null ? "" : `; falls idle on ${at(phone.idleAt)} unless its app renews it`}`,
    ],
    ...folders.map((folder): [string, string] => [
      `folder ${folder.name}`,
      [
        folder.state,
        folder.lastHeardAt === null ? "never heard" : `Exchange last heard ${ago(folder.lastHeardAt, now)}`,
        ...(folder.troubledAt === null ? [] : [`${folder.state} since ${at(folder.troubledAt)}`]),
        ...(folder.asks === 0 ? [] : [`asked ${folder.asks} times to subscribe again`]),
        ...(folder.rings ? [] : ["this app is not rung for it (ring_folders)"]),
      ].join(", "),
    ]),
    [
      "news",
      newsAt === null
        ? "none yet"
        : `${ago(newsAt, now)}${badge === null ? ", no unread count known" : `, unread count ${badge.count}`}`,
    ],
    ["owed", owedText(facts)],
  ];
  if (owed?.due && refused !== null) {
    lines.push([
      "last try",
      `${ago(refused.at, now)}, ${WORDS[refused.reason]}: ${answerWords(phone.platform, refused.outcome)}`,
    ]);
  }
  lines.push([
    "last ring",
    lastRing === null
      ? "none yet"
      : `${ago(lastRing.at, now)}, ${WORDS[lastRing.reason]}: ${answerWords(phone.platform, lastRing.outcome)}${lastRing.attempts > 1 ? ` (try ${lastRing.attempts})` : ""}`,
  ]);
  if (node?.stalled === true) lines.push(["STALLED", stallHint(phone.platform)]);
  return lines;
}

function owedText({ owed, badge, now }: PhoneFacts): string {
  if (owed === null) return "nothing";
  const reasons = owed.reasons.map(
    ({ reason, folder, since }) =>
      `${WORDS[reason]}${folder === null ? "" : ` (${folder})`} for ${span(now - since)}`,
  );
  const what = [...reasons, ...(badge?.isOwed === true ? ["the unread count"] : [])];
  const tries = owed.due === null || owed.due.attempt === 0 ? "" : `; ${owed.due.attempt} tries so far`;
  const when = owed.due !== null && owed.due.notBefore > now ? `; not before ${at(owed.due.notBefore)}` : "";
  return `${what.join(", ") || "a ring"}${tries}${when}`;
}

function dated(time: number | null, now: number): string {
  return time === null ? "" : ` on ${at(time)} (${ago(time, now)})`;
}
