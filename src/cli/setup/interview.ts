// Asks on a terminal for what the flags did not tell, and checks each answer at once. What is there already is the
// answer to an empty line.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Document } from "yaml";
import { isBellError } from "../../errors.ts";
import { type CheckContext, checkAnswer } from "./check-answer.ts";
import { appIndex, publicUrls } from "./compose.ts";
import { valueAt } from "./document.ts";
import { type KeyPath, keyIdIn, readSource } from "./judge.ts";
import type { AnswerName, Answers } from "./options.ts";
import type { Owner } from "./owner.ts";
import type { Prompt } from "./prompt.ts";

// What an empty line means where an answer before may have been the wrong one.
const BACK = "back to the certificate";

export interface InterviewOptions {
  readonly prompt: Prompt;
  /** From the flags: not asked again. */
  readonly given: Answers;
  readonly existing: Document | null;
  /** Absolute. */
  readonly configFile: string;
  /** The service's user; null: whoever runs this. */
  readonly owner: Owner | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** The answers, those of the flags among them. */
export async function interview(options: InterviewOptions): Promise<Answers> {
  const { prompt, given, existing, configFile, owner, now } = options;
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
      if (answer === there || answer === BACK) return;
      // Whether it opens is asked together with its password.
      if (name === "apnsCertificate") readSource(answer, null);
      else tell(name, answer);
    };
    const answer = await prompt.ask(text, there ?? usual, check);
    if (answer !== "" && answer !== there) answers[name] = answer;
  }

  /** Checks an answer and tells what may surprise. @throws BellError that says what is wrong with it */
  function tell(name: AnswerName, answer: string): void {
    const urls = publicUrls(answers, existing);
    const context: CheckContext = { configFile, stdin: null, owner, now, urls };
    for (const note of checkAnswer(name, { ...answers, [name]: answer }, context))
      prompt.say(`  Note: ${note}`);
  }

  /** A second answer that fits no first one: whoever notices goes back. @returns whether somebody did */
  function wentBack(
    first: "registrationCertificate" | "exchangeCertificate" | "apnsCertificate",
    second: AnswerName,
  ) {
    if (answers[second] !== BACK) return false;
    delete answers[first];
    delete answers[second];
    return true;
  }

  async function askListener(listener: "registration" | "exchange", whom: string): Promise<void> {
    const [certificate, key] = [`${listener}Certificate`, `${listener}Key`] as const;
    const has = (part: string) => current(["listen", listener, "tls", part]);
    do {
      await ask(certificate, `  Certificate chain for ${whom}`, null, has("certificate"));
      await ask(key, "  Its private key", BACK, has("key"));
    } while (wentBack(certificate, key));
  }

  /** A push certificate, and its password if it does not open without. */
  async function askPushCertificate(there: string | null): Promise<void> {
    do {
      await ask("apnsCertificate", "  Or a push certificate, .p12 or PEM", "", there);
      const { apnsCertificate, apnsPasswordFile } = answers;
      if (apnsCertificate === undefined) return;
      try {
        tell("apnsCertificate", apnsCertificate);
        return;
      } catch (error) {
        if (!isBellError(error)) throw error;
        prompt.say(`  ${error.message}`);
        if (apnsPasswordFile !== undefined) delete answers.apnsPasswordFile;
      }
      await ask("apnsPasswordFile", "  File with its password", BACK, null);
    } while (wentBack("apnsCertificate", "apnsPasswordFile"));
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
        await askListener(listener, whom);
      }
    }
  }

  prompt.say("The app that is rung, and what Apple and Google gave you for it.");
  await ask("app", "  The app's bundle identifier", null, current(["apps", 0, "id"]));
  const at = appIndex(answers, existing);
  const inApp = (...path: readonly string[]) => current(["apps", at, ...path]);
  const has = (what: string) => existing !== null && valueAt(existing, ["apps", at, what]) !== undefined;
  for (;;) {
    if (answers.apnsCertificate === undefined && inApp("apns", "certificate", "file") === null) {
      await ask("apnsKey", "  Apple's token key, AuthKey_....p8", "", inApp("apns", "key", "file"));
    }
    if (answers.apnsKey !== undefined) {
      await ask("apnsKeyId", "  Its key ID", keyIdIn(answers.apnsKey), null);
      await ask("apnsTeamId", "  The Apple team's ID", null, inApp("apns", "key", "team_id"));
    } else if (inApp("apns", "key", "file") === null) {
      await askPushCertificate(inApp("apns", "certificate", "file"));
    }
    const { apnsKey, apnsCertificate } = answers;
    if (apnsKey !== undefined || apnsCertificate !== undefined) {
      await ask("apnsEnvironment", "  Apple's environment", "production", inApp("apns", "environment"));
    }
    await ask("fcmAccount", "  Google service account, JSON", "", inApp("fcm", "service_account"));
    const rings = [apnsKey, apnsCertificate, answers.fcmAccount].some((given) => given !== undefined);
    if (rings || has("apns") || has("fcm")) break;
    prompt.say("  Something has to ring the app: Apple's key, a push certificate, or Google's account.");
  }

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
