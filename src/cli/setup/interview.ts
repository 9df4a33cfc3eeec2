// Asks on a terminal for what the flags did not tell, and checks each answer at once. What is there already is the
// answer to an empty line.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Document } from "yaml";
import { type CheckContext, checkAnswer } from "./check-answer.ts";
import { appIndex, publicUrls } from "./compose.ts";
import { valueAt } from "./document.ts";
import { type KeyPath, keyIdIn } from "./judge.ts";
import type { AnswerName, Answers } from "./options.ts";
import type { Prompt } from "./prompt.ts";

export interface InterviewOptions {
  readonly prompt: Prompt;
  /** From the flags: not asked again. */
  readonly given: Answers;
  readonly existing: Document | null;
  /** Absolute. */
  readonly configFile: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** The answers, those of the flags among them. */
export async function interview(options: InterviewOptions): Promise<Answers> {
  const { prompt, given, existing, configFile, now } = options;
  const answers: Answers = { ...given };

  const current = (path: KeyPath): string | null => {
    const value = existing === null ? undefined : valueAt(existing, path);
    if (Array.isArray(value)) return value.join(", ");
    return typeof value === "string" || typeof value === "number" ? String(value) : null;
  };

  /** Asks unless a flag told; an answer that is what is there already changes nothing. */
  async function ask(
    name: Exclude<AnswerName, "makeCertificates">,
    text: string,
    usual: string | null,
    there: string | null,
  ) {
    if (answers[name] !== undefined) return;
    const check = (answer: string) => {
      if (answer === there) return;
      const context: CheckContext = { configFile, stdin: null, now, urls: publicUrls(answers, existing) };
      for (const note of checkAnswer(name, { ...answers, [name]: answer }, context))
        prompt.say(`  Note: ${note}`);
    };
    const answer = await prompt.ask(text, there ?? usual, check);
    if (answer !== "" && answer !== there) answers[name] = answer;
  }

  prompt.say(
    "What phones and Exchange call this server by: a host name, or a URL where a load balancer has another port.",
  );
  await ask("registrationUrl", "  Phones reach it as", null, current(["public", "registration_url"]));
  await ask("exchangeUrl", "  Exchange reaches it as", null, current(["public", "exchange_url"]));
  await ask(
    "exchangeNetworks",
    "  Networks of the Exchange servers, such as 10.1.0.0/16",
    "",
    current(["listen", "exchange", "allow"]),
  );
  await ask(
    "phoneNetworks",
    "  Networks that phones come from",
    "",
    current(["listen", "registration", "allow"]),
  );

  const flags = [
    answers.registrationCertificate,
    answers.registrationKey,
    answers.exchangeCertificate,
    answers.exchangeKey,
  ];
  if (answers.makeCertificates !== true && flags.includes(undefined)) {
    const has = current(["listen", "registration", "tls", "certificate"]) !== null;
    const made = existsSync(join(dirname(configFile), "tls", "ca.pem"));
    prompt.say("Certificates for the two listeners, PEM. Exchange and phones must trust who signed them.");
    if (await prompt.confirm("  Make a private authority and certificates (or renew them)?", made && !has)) {
      answers.makeCertificates = true;
    } else {
      for (const [listener, whom] of [
        ["registration", "phones"],
        ["exchange", "Exchange"],
      ] as const) {
        await ask(
          `${listener}Certificate`,
          `  Certificate chain for ${whom}`,
          null,
          current(["listen", listener, "tls", "certificate"]),
        );
        await ask(`${listener}Key`, "  Its private key", null, current(["listen", listener, "tls", "key"]));
      }
    }
  }

  prompt.say("The app that is rung, and what Apple and Google gave you for it.");
  await ask("app", "  The app's bundle identifier", null, current(["apps", 0, "id"]));
  const at = appIndex(answers, existing);
  const inApp = (...path: readonly string[]) => current(["apps", at, ...path]);
  if (answers.apnsCertificate === undefined && inApp("apns", "certificate", "file") === null) {
    await ask("apnsKey", "  Apple's token key, AuthKey_....p8", "", inApp("apns", "key", "file"));
  }
  if (answers.apnsKey !== undefined) {
    await ask("apnsKeyId", "  Its key ID", keyIdIn(answers.apnsKey), null);
    await ask("apnsTeamId", "  The Apple team's ID", null, inApp("apns", "key", "team_id"));
  } else if (inApp("apns", "key", "file") === null) {
    await ask(
      "apnsCertificate",
      "  Or a push certificate, .p12 or PEM",
      "",
      inApp("apns", "certificate", "file"),
    );
  }
  if (answers.apnsKey !== undefined || answers.apnsCertificate !== undefined) {
    await ask("apnsEnvironment", "  Apple's environment", "production", inApp("apns", "environment"));
  }
  await ask("fcmAccount", "  Google service account, JSON", "", inApp("fcm", "service_account"));

  const secret = current(["registration_auth", 0, "file"]);
  await ask(
    "enrolmentSecretFile",
    "File with the secret that phones enrol with (none: one is made)",
    "",
    secret,
  );
  await ask(
    "proxy",
    "HTTP proxy to Apple and Google, such as http://proxy.corp.example:3128",
    "",
    current(["egress", "proxy"]),
  );
  if (answers.proxy !== undefined) {
    await ask("proxyUser", "  Account there", "", current(["egress", "proxy_user", "name"]));
    if (answers.proxyUser !== undefined) {
      await ask(
        "proxyPasswordFile",
        "  File with its password",
        null,
        current(["egress", "proxy_user", "password_file"]),
      );
    }
  }
  return answers;
}
