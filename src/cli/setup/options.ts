// What `setup` can be told by flags: one for each answer that it would ask for on a terminal. Secrets come in files or
// on standard input, never as arguments, which every user of the machine can read.

/** Answers, by the name that commander gives to the flag. Lists are separated by commas. */
export interface Answers {
  node?: string;
  registrationUrl?: string;
  exchangeUrl?: string;
  registrationAddress?: string;
  registrationPort?: string;
  exchangeAddress?: string;
  exchangePort?: string;
  adminPort?: string;
  phoneNetworks?: string;
  exchangeNetworks?: string;
  makeCertificates?: boolean;
  registrationCertificate?: string;
  registrationKey?: string;
  exchangeCertificate?: string;
  exchangeKey?: string;
  app?: string;
  apnsKey?: string;
  apnsKeyId?: string;
  apnsTeamId?: string;
  apnsCertificate?: string;
  apnsPasswordFile?: string;
  apnsEnvironment?: string;
  apnsUrl?: string;
  fcmAccount?: string;
  fcmUrl?: string;
  fcmTokenUrl?: string;
  enrolmentSecretFile?: string;
  proxy?: string;
  proxyUser?: string;
  proxyPasswordFile?: string;
  egressCa?: string;
  stateDirectory?: string;
  socket?: string;
}

export interface SetupOptions extends Answers {
  readonly config: string;
  /** The service's user, who is to own what is written. */
  readonly user?: string;
  readonly force: boolean;
  /** False with `--no-input`: asks nothing, even on a terminal. */
  readonly input: boolean;
}

export type AnswerName = keyof Answers;

/** The flag of each answer, its placeholder, its line in the help, and its values where there are few. */
export const FLAGS: readonly (readonly [
  name: AnswerName,
  flag: string,
  help: string,
  choices?: readonly string[],
])[] = [
  ["registrationUrl", "--registration-url <host or URL>", "what phones reach, through the Gateway tunnel"],
  ["exchangeUrl", "--exchange-url <host or URL>", "what Exchange reaches"],
  [
    "makeCertificates",
    "--make-certificates",
    "make a private authority, and certificates for both listeners",
  ],
  ["registrationCertificate", "--registration-certificate <file>", "certificate chain for phones, PEM"],
  ["registrationKey", "--registration-key <file>", "its private key, PEM"],
  ["exchangeCertificate", "--exchange-certificate <file>", "certificate chain for Exchange, PEM"],
  ["exchangeKey", "--exchange-key <file>", "its private key, PEM"],
  ["phoneNetworks", "--phone-networks <list>", "networks that phones come from (CIDR, separated by commas)"],
  [
    "exchangeNetworks",
    "--exchange-networks <list>",
    "networks of the Exchange servers (CIDR, separated by commas)",
  ],
  ["app", "--app <id>", "the app's bundle identifier"],
  ["apnsKey", "--apns-key <file>", "Apple's token key, AuthKey_….p8"],
  ["apnsKeyId", "--apns-key-id <id>", "its key ID (default: from the file's name)"],
  ["apnsTeamId", "--apns-team-id <id>", "the Apple team's ID"],
  ["apnsCertificate", "--apns-certificate <file>", "or a push certificate, .p12 or PEM"],
  ["apnsPasswordFile", "--apns-password-file <file>", "file with its password (- reads standard input)"],
  [
    "apnsEnvironment",
    "--apns-environment <name>",
    "Apple's environment (default: production)",
    ["production", "sandbox"],
  ],
  ["fcmAccount", "--fcm-account <file>", "Google service account, JSON"],
  [
    "enrolmentSecretFile",
    "--enrolment-secret-file <file>",
    "secret that phones enrol with (- reads standard input; default: one is made)",
  ],
  ["proxy", "--proxy <URL>", "HTTP proxy to Apple and Google"],
  ["proxyUser", "--proxy-user <name>", "account at the proxy"],
  ["proxyPasswordFile", "--proxy-password-file <file>", "file with its password (- reads standard input)"],
  ["egressCa", "--egress-ca <file>", "further authorities for outgoing connections, PEM"],
  ["node", "--node <name>", "name of this node (default: the host name)"],
  [
    "registrationAddress",
    "--registration-address <address>",
    "address to listen on for phones (default: every one)",
  ],
  ["registrationPort", "--registration-port <port>", "port for phones (default: 8443)"],
  [
    "exchangeAddress",
    "--exchange-address <address>",
    "address to listen on for Exchange (default: every one)",
  ],
  ["exchangePort", "--exchange-port <port>", "port for Exchange (default: 9443)"],
  ["adminPort", "--admin-port <port>", "port for administrators on loopback (default: 9090)"],
  [
    "stateDirectory",
    "--state-directory <directory>",
    "directory of database and keys (default: /var/lib/inboxbell)",
  ],
  ["socket", "--socket <path>", "control socket (default: /run/inboxbell/control.sock)"],
  ["apnsUrl", "--apns-url <URL>", "address of a relay or simulator instead of Apple"],
  ["fcmUrl", "--fcm-url <URL>", "address of a relay or simulator instead of Google"],
  [
    "fcmTokenUrl",
    "--fcm-token-url <URL>",
    "address of a relay or simulator instead of Google's token service",
  ],
];

/** `--registration-url` for `registrationUrl`. */
export function flagOf(name: AnswerName): string {
  return FLAGS.find(([each]) => each === name)?.[1].split(" ")[0] ?? `--${name}`;
}
