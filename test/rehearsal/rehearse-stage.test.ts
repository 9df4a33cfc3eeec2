// The stage of a rehearsal around a real appliance: it notices what is lost, and its parts play together in trouble.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApplianceProcess, startProcess } from "../../src/rehearsal/stage/appliance-process.ts";
import { freePorts, makeProps } from "../../src/rehearsal/stage/props.ts";
import { type Stage, setStage } from "../../src/rehearsal/stage/stage.ts";
import { isRight } from "../../src/rehearsal/summary.ts";

let directory: string;
let stage: Stage;
let appliance: ApplianceProcess;

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 1500; look++) {
    if (await holds()) return;
    await Bun.sleep(10);
  }
  throw new Error(`waited in vain until ${what}; the appliance said:\n${appliance.lastLines.join("\n")}`);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "rehearse-stage-"));
  const props = await makeProps(directory, await freePorts(), randomBytes);
  stage = await setStage({ props, phones: 4, rate: 1, random: randomBytes, now: Date.now, tell: () => {} });
  const main = join(import.meta.dir, "..", "..", "src", "main.ts");
  const command = [process.execPath, main, "serve", "--config", props.configFile] as const;
  appliance = startProcess(command, join(directory, "tmp"));
  const ready = () =>
    fetch(`${props.urls.admin}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
  await until(ready, "the appliance is ready");
  await stage.enrolAll();
}, 30_000);

afterAll(async () => {
  await stage.stop();
  expect(await appliance.stop(20_000)).toBe(0);
  rmSync(directory, { recursive: true, force: true });
}, 30_000);

const boxOf = (index: number) => stage.exchange.mailbox(stage.phones[index]!.mailbox);

test("tells every phone its count", async () => {
  for (const index of stage.phones.keys()) boxOf(index).deliver();
  await stage.quiet(10_000);
  expect(stage.phones.map((phone) => phone.badge)).toEqual([1, 1, 1, 1]);
  expect([stage.score.missingWakes(), stage.violations()]).toEqual([0, []]);
}, 20_000);

test("brings a phone back whose mailbox moves to another server", async () => {
  const phone = stage.phones[1]!;
  const subscribed = () =>
    stage.exchange.subscriptions().filter((subscription) => subscription.mailbox === phone.mailbox).length;
  const before = subscribed();
  stage.exchange.moveMailbox(phone.mailbox, "ex02.corp.example", true);
  await until(() => stage.exchange.statistics().ended.failed === before, "they ended");
  await until(() => subscribed() === before, "the phone has subscribed again");
  boxOf(1).deliver();
  await until(() => phone.badge === boxOf(1).unread("inbox"), "the phone has its count");
  expect([stage.score.missingWakes(), stage.violations()]).toEqual([0, []]);
}, 20_000);

test("rings once for a notification whose answer is lost", async () => {
  const phone = stage.phones[2]!;
  const rings = phone.pushes.length;
  stage.exchange.loseAnswers(1);
  boxOf(2).deliver();
  await until(() => stage.exchange.statistics().lostAnswers === 1, "the answer was lost");
  await until(() => phone.badge === boxOf(2).unread("inbox"), "the phone has its count");
  expect(phone.pushes.length).toBe(rings + 1);
}, 20_000);

test("notices a phone that is not rung", async () => {
  const phone = stage.phones[0]!;
  // The service denies ever having given out this token.
  stage.apns.devices.forget(phone.token);
  boxOf(0).deliver();
  await until(() => stage.apns.totals().refused.BadDeviceToken === 1, "APNs has refused");
  await stage.quiet(300);
  expect(stage.score.missingWakes()).toBe(1);
  const lost = stage.results().filter((result) => !isRight({ ...result, touched: true }));
  expect(lost.map((result) => result.phone)).toEqual([phone.name]);
}, 20_000);
