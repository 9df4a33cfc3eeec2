// What an administrator does after `setup`: in the order in which it helps. Pure.

export interface Outcome {
  readonly configFile: string;
  readonly isDefaultConfig: boolean;
  /** The private authority's certificate, or null. */
  readonly authority: string | null;
  /** File of the enrolment secret. */
  readonly secretFile: string | null;
  readonly keyFile: string;
  readonly exchangeUrl: string;
  readonly registrationUrl: string;
  readonly openListeners: readonly string[];
  /** Ports that others than this machine connect to. */
  readonly ports: readonly number[];
}

export function nextSteps(outcome: Outcome): string {
  const { configFile, isDefaultConfig, authority, secretFile, keyFile } = outcome;
  const at = isDefaultConfig ? "" : ` --config ${configFile}`;
  const steps = [
    `Look at the configuration: inboxbell check${at}`,
    isDefaultConfig
      ? "Start the service: systemctl enable --now inboxbell   (where it runs already: inboxbell reload, or a restart)"
      : `Start it: inboxbell serve${at}`,
    ...(outcome.ports.length === 0 ? [] : [firewall(outcome.ports)]),
    `Examine every hop: inboxbell doctor${at}   (and on an Exchange server what inboxbell doctor --exchange${at} prints)`,
    ...(authority === null ? [] : [trust(authority)]),
    ...(secretFile === null
      ? []
      : [
          `Have your device management put the secret in ${secretFile} into the app's configuration, with the address ${outcome.registrationUrl}.`,
        ]),
    ...outcome.openListeners.map(
      (name) => `Say who may connect: listen.${name}.allow is empty, so every address may.`,
    ),
    `Once it runs, make a backup: inboxbell backup <file>${at}   (database and keys, encrypted; without ${keyFile} nobody can read the database)`,
  ];
  return ["Next:", ...steps.map((step, index) => `  ${index + 1}. ${step}`)].join("\n");
}

function trust(authority: string): string {
  return [
    `Have the new authority trusted. Its certificate is ${authority}; its key, ca.key beside it, is needed for renewals only: keep it offline.`,
    "     Exchange, on each Mailbox server (checked against vendor documentation only):",
    "       Import-Certificate -FilePath .\\ca.pem -CertStoreLocation Cert:\\LocalMachine\\Root",
    "     iPhone: a certificate payload with ca.pem in a profile of your device management; by hand also Settings, General, About, Certificate Trust Settings.",
    "     Android: the same by your device management; the app itself has to accept such authorities (network security configuration).",
    "     This machine, so that check and doctor know it:",
    `       Debian, Ubuntu          cp ${authority} /usr/local/share/ca-certificates/inboxbell.crt && update-ca-certificates`,
    `       Red Hat and its kin     cp ${authority} /etc/pki/ca-trust/source/anchors/inboxbell.pem && update-ca-trust`,
  ].join("\n");
}

/** Red Hat's systems close all ports but a few as they are installed; Debian's do not. */
function firewall(ports: readonly number[]): string {
  const each = [...new Set(ports)].sort((a, b) => a - b);
  const opened = each.map((port) => `--add-port=${port}/tcp`).join(" ");
  return [
    "Open this machine's own firewall, if it has one:",
    `       firewalld (Red Hat)     firewall-cmd --permanent ${opened} && firewall-cmd --reload`,
    `       ufw (Ubuntu)            ${each.map((port) => `ufw allow ${port}/tcp`).join(" && ")}`,
  ].join("\n");
}
