// Loads the secrets that the configuration names, all of them or none.
import type { Environment } from "./paths.ts";
import {
  apnsKey,
  apnsPem,
  authorities,
  enrolmentSecret,
  isPem,
  p12,
  readSecretFile,
  secretLine,
  serviceAccount,
} from "./secret-files.ts";
import type { ApnsConfig, ApnsCredential, Config, Secrets } from "./types.ts";

/**
 * Reads every secret of the configuration.
 * @param now epoch milliseconds, for the validity of certificates
 * @throws `secret_unreadable`, `secret_exposed` or `secret_invalid`, naming the file
 */
export function loadSecrets(config: Config, env: Environment, now: number = Date.now()): Secrets {
  return {
    apps: new Map(
      config.apps.map((app) => [
        app.id,
        {
          apns: app.apns === null ? null : apnsCredential(app.apns.credential, env, now),
          fcm:
            app.fcm === null
              ? null
              : serviceAccount(app.fcm.serviceAccount, readSecretFile(app.fcm.serviceAccount, env)),
        },
      ]),
    ),
    enrolmentSecrets: config.registrationAuth.map(({ file }) =>
      enrolmentSecret(file, readSecretFile(file, env)),
    ),
    egressCa: config.egress.caFile === null ? null : authorities(config.egress.caFile),
  };
}

function apnsCredential(credential: ApnsConfig["credential"], env: Environment, now: number): ApnsCredential {
  const bytes = readSecretFile(credential.file, env);
  if (credential.type === "key") {
    const { keyId, teamId } = credential;
    return { type: "key", privateKey: apnsKey(credential.file, bytes), keyId, teamId };
  }
  if (isPem(bytes)) return apnsPem(credential.file, bytes, now);
  const { passwordFile } = credential;
  const passphrase =
    passwordFile === null ? "" : secretLine(passwordFile, readSecretFile(passwordFile, env), 0);
  return { type: "p12", pfx: p12(credential.file, bytes), passphrase };
}
