// Takes out of a support bundle what nobody outside may read: the contents of secret files, and everything that has the
// form of a token, a callback URL or an id that Exchange knows. Pure.
import type { Config, Secrets } from "../../config/types.ts";

export const WITHHELD = "(withheld)";
// Shorter lines of a key or password occur in innocent texts.
const SHORTEST = 4;

/** All texts that must not leave this machine: whole, and line by line, since a log may break them. */
export function secretTexts(files: readonly string[]): readonly string[] {
  const texts = files.flatMap((file) => [file.trim(), ...file.split(/\r?\n|\\n/).map((line) => line.trim())]);
  const harmless = /^-----(BEGIN|END) [A-Z ]+-----$|^[[\]{},]*$/;
  return [...new Set(texts)]
    .filter((text) => text.length >= SHORTEST && !harmless.test(text))
    .sort((a, b) => b.length - a.length);
}

const FORMS: readonly (readonly [RegExp, string])[] = [
  // Callback URLs: whoever has one can have a phone rung.
  [/(\/ews\/)[A-Za-z0-9_-]+/g, `$1${WITHHELD}`],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${WITHHELD}`],
  // JSON web tokens, and Google's access tokens.
  [/\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, WITHHELD],
  [/\bya29\.[A-Za-z0-9_-]+/g, WITHHELD],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, WITHHELD],
  // Google's device tokens; Apple's are long texts of the last but one form.
  [/[A-Za-z0-9_-]{20,}:[A-Za-z0-9_-]{80,}/g, WITHHELD],
  // Ids of registrations.
  [/\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b/g, WITHHELD],
  // SubscriptionIds, ItemIds and FolderIds of Exchange, and Apple's device tokens: long base64 or hex.
  [/\b[A-Za-z0-9+/]{64,}={0,2}/g, WITHHELD],
  [/[\w.+-]+@[\w-]+(\.[\w-]+)+/g, WITHHELD],
];

/** The text without secrets and without what looks like one. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    clean = clean.replaceAll(secret, WITHHELD);
    // As it stands within JSON.
    const quoted = JSON.stringify(secret).slice(1, -1);
    if (quoted !== secret) clean = clean.replaceAll(quoted, WITHHELD);
  }
  return FORMS.reduce((rest, [form, instead]) => rest.replace(form, instead), clean);
}

/** What a bundle shows of the configuration: without the names of accounts and keys. */
export function redactConfig(config: Config): unknown {
  const withheld = (value: unknown) => (value === null || value === undefined ? value : WITHHELD);
  return {
    ...config,
    apps: config.apps.map((app) => ({
      ...app,
      apns:
        app.apns === null
          ? null
          : {
              ...app.apns,
              credential:
                app.apns.credential.type === "key"
                  ? { ...app.apns.credential, keyId: WITHHELD, teamId: WITHHELD }
                  : app.apns.credential,
            },
    })),
    egress: {
      ...config.egress,
      proxy:
        config.egress.proxy === null
          ? null
          : { ...config.egress.proxy, user: withheld(config.egress.proxy.user) },
    },
  };
}

/** Secrets that are values and stand in no file of their own. */
export function secretValues(secrets: Secrets): readonly string[] {
  const values: string[] = [...secrets.enrolmentSecrets];
  if (secrets.egressProxyPassword !== null) values.push(secrets.egressProxyPassword);
  for (const { apns, fcm } of secrets.apps.values()) {
    if (apns?.type === "key") values.push(apns.privateKey, apns.keyId, apns.teamId);
    if (apns?.type === "pem") values.push(apns.privateKey);
    if (apns?.type === "p12" && apns.passphrase !== "") values.push(apns.passphrase);
    if (fcm !== null) values.push(fcm.privateKey, fcm.privateKeyId, fcm.clientEmail);
  }
  return values;
}
