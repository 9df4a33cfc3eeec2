// Killed at random moments, two hundred times: every notification answered OK is followed by a ring with a badge at
// least as new. The checker reads what Exchange was answered and what both push services accepted, and it has to
// find a loss in a build that is broken on purpose.
import { afterEach, expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import type { Phone } from "../../../src/rehearsal/phone/phone.ts";
import {
  binary,
  type Running,
  type Scene,
  setScene,
  start,
  testBinary,
  until,
  untilReady,
} from "../helpers.ts";

// Each phone has its turn every tenth round only, so that no phone's ring waits for its allowance.
const PHONES = 100;
const ATTEMPTED_A_ROUND = 10;
const MAILS_MS = 150;
const KILL_WITHIN_MS = 250;
// Exchange waits a minute before it posts again; here a second.
const TIME_SCALE = 60;
// How long a ring may take after the restart: a second try at Google comes up to 20 s later.
const ARRIVE_MS = 45_000;

const scenes: Scene[] = [];
afterEach(async () => {
  for (const scene of scenes.splice(0)) await scene.stop();
});

/** What is checked: for each phone the highest count that Exchange was answered OK for. Counts only ever rise here. */
function watchAnswers(scene: Scene): Map<string, number> {
  const answered = new Map<string, number>();
  scene.exchange.observe({
    onVerdict(post, verdict) {
      if (verdict.kind !== "ok" || post.kind !== "events") return;
      for (const event of post.events) {
        if (event.kind !== "Modified" || event.unreadCount === undefined) continue;
        answered.set(post.mailbox, Math.max(answered.get(post.mailbox) ?? 0, event.unreadCount));
      }
    },
  });
  return answered;
}

function shown(scene: Scene, phone: Phone): number {
  const last =
    phone.platform === "apns" ? scene.apns.lastBadge(phone.token) : scene.fcm.lastUnread(phone.token);
  return last ?? 0;
}

/** The phones whose last accepted ring is older than what Exchange was answered OK for. */
function lost(scene: Scene, phones: readonly Phone[], answered: ReadonlyMap<string, number>): string[] {
  return phones.flatMap((phone) => {
    const owed = answered.get(phone.mailbox) ?? 0;
    const last = shown(scene, phone);
    return last >= owed ? [] : [`${phone.name} was rung with ${last}, and ${owed} was answered OK`];
  });
}

/**
 * Kills the appliance in each round while notifications come in and rings go out.
 * @returns what was lost in the first round in which something was, or null
 */
async function killRounds(
  program: string,
  rounds: number,
  env: Record<string, string>,
): Promise<string | null> {
  const scene = await setScene("kill", { timeScale: TIME_SCALE });
  scenes.push(scene);
  const command = [program, "serve", "--config", scene.props.configFile];
  const options = { env };
  let appliance: Running = await scene.up(command, options);
  const phones = Array.from({ length: PHONES }, (_, n) =>
    scene.addPhone({ platform: n % 2 === 0 ? "apns" : "fcm", mailbox: `mailbox-${n}`, tellsInbox: true }),
  );
  for (const phone of phones) await phone.enrol();
  const answered = watchAnswers(scene);
  // Rings take a while, so that a kill finds some of them on their way.
  scene.apns.misbehave({ kind: "delay", ms: 30 }, { every: 1 });
  scene.fcm.misbehave({ kind: "delay", ms: 30 }, { every: 1 });
  for (let round = 0; round < rounds; round += 1) {
    const from = (round * ATTEMPTED_A_ROUND) % PHONES;
    const turn = phones.slice(from, from + ATTEMPTED_A_ROUND);
    const mails = turn.map(async (phone) => {
      await Bun.sleep(randomInt(MAILS_MS));
      scene.exchange.mailbox(phone.mailbox).deliver();
    });
    await Bun.sleep(randomInt(KILL_WITHIN_MS));
    appliance.kill("SIGKILL");
    await Promise.all(mails);
    await appliance.exited;
    if (randomInt(5) === 0) {
      const starting = start(command, { ...options, temporary: `${scene.directory}/tmp` });
      await Bun.sleep(randomInt(400));
      starting.kill("SIGKILL");
      await starting.exited;
    }
    appliance = await scene.up(command, options);
    let idle = false;
    void scene.exchange.idle().then(() => {
      idle = true;
    });
    try {
      await until(() => idle && lost(scene, turn, answered).length === 0, "all is rung", ARRIVE_MS);
    } catch {
      return `round ${round + 1}: ${idle ? "" : "Exchange still waits; "}${lost(scene, turn, answered).join("; ")}`;
    }
  }
  expect(answered.size).toBeGreaterThanOrEqual(Math.min(PHONES, rounds * ATTEMPTED_A_ROUND) / 2);
  expect(lost(scene, phones, answered)).toEqual([]);
  expect(scene.violations()).toEqual([]);
  await untilReady(appliance, scene.props.urls.admin);
  expect((await appliance.stop()).code).toBe(0);
  return null;
}

test("nothing that was answered OK is lost by two hundred kills", async () => {
  expect(await killRounds(binary, 200, {})).toBeNull();
}, 1_500_000);

for (const defect of ["answer-before-commit", "resume-nothing"]) {
  test(`the loss in a build with the defect ${defect} is found`, async () => {
    expect(await killRounds(testBinary, 40, { INBOXBELL_TEST_DEFECT: defect })).toContain("answered OK");
  }, 600_000);
}
