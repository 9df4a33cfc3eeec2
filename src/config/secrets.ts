// Loads the secrets that the configuration names, all of them or none.
import type { Environment } from "./paths.ts";
import { apnsCertificate, apnsKey, serviceAccount } from "./push-credentials.ts";
import { authorities, enrolmentSecret, readSecretFile, secretLine } from "./secret-files.ts";
import type { ApnsConfig, ApnsCredential, Config, FcmConfig, Secrets, ServiceAccount } from "./types.ts";

/**
 * Reads every secret of the configuration.
 * @param env environment variables: files in systemd's `$CREDENTIALS_DIRECTORY` may have any mode
 * @throws `secret_unreadable`, `secret_exposed` or `secret_invalid`, naming the file
 */
export function loadSecrets(config: Config, env: Environment): Secrets {
  return {
    apps: new Map(
      config.apps.map(({ id, apns, fcm }) => [
        id,
        {
          apns: apns === null ? null : apnsCredential(apns.credential, env),
          fcm: fcm === null ? null : fcmAccount(fcm, env),
        },
      ]),
    ),
    enrolmentSecrets: config.registrationAuth.map(({ file }) =>
      enrolmentSecret(file, readSecretFile(file, env)),
    ),
    egressCa: config.egress.caFile === null ? null : authorities(config.egress.caFile),
    egressProxyPassword: proxyPassword(config.egress, env),
  };
}

function apnsCredential(credential: ApnsConfig["credential"], env: Environment): ApnsCredential {
  const bytes = readSecretFile(credential.file, env);
  if (credential.type === "key") {
    const { keyId, teamId } = credential;
    return { type: "key", privateKey: apnsKey(credential.file, bytes), keyId, teamId };
  }
  const { passwordFile } = credential;
  const passphrase = passwordFile === null ? "" : secretLine(passwordFile, readSecretFile(passwordFile, env));
  return apnsCertificate(credential.file, bytes, passphrase);
}

function proxyPassword({ proxy }: Config["egress"], env: Environment): string | null {
  if (proxy === null || proxy.user === null) return null;
  const { passwordFile } = proxy.user;
  return secretLine(passwordFile, readSecretFile(passwordFile, env));
}

function fcmAccount({ serviceAccount: file }: FcmConfig, env: Environment): ServiceAccount {
  return serviceAccount(file, readSecretFile(file, env));
}
