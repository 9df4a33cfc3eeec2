// The part of the schema about the apps that are rung and about who may register: `apps`, `registration_auth`.
import { Type } from "@sinclair/typebox";
import { notes, path, section, toggle } from "./options.ts";

const apnsKey = section(
  {
    file: path({
      title: "Token key, .p8",
      description:
        "The key file from Apple's developer site (Keys, with Apple Push Notifications service). Apple lets you download it once.",
      examples: ["AuthKey.p8"],
      reload: "live",
      file: "apns_key",
    }),
    key_id: Type.String({
      ...notes({
        title: "Key ID",
        description:
          "Ten characters, shown beside the key on Apple's site and part of the downloaded file's name.",
        examples: ["ABC123DEFG"],
        reload: "live",
        expected: "Apple's ten capital letters and digits",
      }),
      pattern: "^[A-Z0-9]{10}$",
    }),
    team_id: Type.String({
      ...notes({
        title: "Team ID",
        description: "Ten characters, shown on Apple's site under Membership.",
        examples: ["DEF123GHIJ"],
        reload: "live",
        expected: "Apple's ten capital letters and digits",
      }),
      pattern: "^[A-Z0-9]{10}$",
    }),
  },
  {
    title: "Token key",
    description:
      "Token authentication, recommended: the key does not expire. Give either this or a certificate.",
    shown: true,
  },
);

const apnsCertificate = section(
  {
    file: path({
      title: "Push certificate, .p12 or PEM",
      description: "Certificate with its private key in one file.",
      examples: ["push.p12"],
      reload: "live",
      file: "apns_certificate",
    }),
    password_file: Type.Optional(
      path({
        title: "File with its password",
        description:
          "Default none, for a file without a password. The password is never written into this file.",
        examples: ["push.password"],
        reload: "live",
        file: "apns_password",
      }),
    ),
  },
  {
    title: "Push certificate",
    description:
      "Certificate authentication, instead of a token key. It serves one app and expires every year.",
  },
);

const TOPIC_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";

const apns = section(
  {
    environment: Type.Union(
      [Type.Literal("production"), Type.Literal("sandbox")],
      notes({
        title: "Apple's environment",
        description:
          "Default production, which serves apps from the App Store, TestFlight and device management. `sandbox` serves apps that Xcode installed; the tokens of one are refused by the other.",
        default: "production",
        reload: "live",
        shown: true,
      }),
    ),
    key: Type.Optional(apnsKey),
    certificate: Type.Optional(apnsCertificate),
    topic: Type.Optional(
      Type.String({
        ...notes({
          title: "Topic",
          description: "Default: the app's id, which is right for every ordinary app.",
          examples: ["com.example.mail"],
          reload: "live",
          expected: "a bundle identifier such as com.example.mail",
        }),
        pattern: TOPIC_PATTERN,
      }),
    ),
    port: Type.Optional(
      Type.Union(
        [Type.Literal(443), Type.Literal(2197)],
        notes({
          title: "Apple's port",
          description:
            "Default 443. Apple listens on 2197 as well, for firewalls that are to tell push traffic from other HTTPS.",
          examples: [2197],
          reload: "live",
          expected: "443 or 2197",
        }),
      ),
    ),
    url: Type.Optional(
      Type.String(
        notes({
          title: "Address of the service",
          description: "Default: Apple's own for the environment. Another one is for a relay or a simulator.",
          examples: ["https://127.0.0.1:2197"],
          reload: "live",
          rule: "origin_url",
          plainHttp: "never",
          expected: "a URL such as https://127.0.0.1:2197",
        }),
      ),
    ),
  },
  { title: "Apple (APNs)", description: "Leave it out when the app has no iPhone version.", shown: true },
);

const fcm = section(
  {
    service_account: path({
      title: "Service account, JSON",
      description:
        "Key file of a service account of the app's Firebase project (Project settings, Service accounts).",
      examples: ["fcm.json"],
      reload: "live",
      file: "service_account",
    }),
    data_only: toggle({
      title: "Data messages only",
      description:
        "Whether a new mail is sent without a visible notification. Default off: Google slows down apps whose urgent messages show nothing.",
      default: "off",
      reload: "live",
    }),
    url: Type.Optional(
      Type.String(
        notes({
          title: "Address of the service",
          description:
            "Default: https://fcm.googleapis.com. Another one is for a relay or a simulator; http on loopback only.",
          examples: ["https://127.0.0.1:2198"],
          reload: "live",
          rule: "origin_url",
          plainHttp: "on_loopback",
          expected: "a URL such as https://127.0.0.1:2198",
        }),
      ),
    ),
    token_url: Type.Optional(
      Type.String(
        notes({
          title: "Address of the token service",
          description:
            "Default: https://oauth2.googleapis.com/token. Another one is for a relay or a simulator; http on loopback only.",
          examples: ["https://127.0.0.1:2198/token"],
          reload: "live",
          rule: "provider_url",
          plainHttp: "on_loopback",
          expected: "a URL such as https://127.0.0.1:2198/token",
        }),
      ),
    ),
  },
  { title: "Google (FCM)", description: "Leave it out when the app has no Android version.", shown: true },
);

function textKey(title: string, description: string, value: string) {
  return Type.String({
    ...notes({
      title,
      description,
      default: value,
      reload: "live",
      expected: "a key of 1 to 64 letters, digits, dots, hyphens and underscores",
    }),
    pattern: "^[A-Za-z0-9._-]{1,64}$",
  });
}

const texts = section(
  {
    new_messages: textKey(
      "Alert of a new mail, iOS",
      "Default NEW_MESSAGES. Used with `ring: rich` only.",
      "NEW_MESSAGES",
    ),
    sound: textKey(
      "Sound of a new mail, iOS",
      "Default `default`, the phone's own sound; or a sound file of the app. Used with `ring: rich` only.",
      "default",
    ),
    fcm_title: textKey(
      "Title of a new mail, Android",
      "Default new_messages: a string resource's name is lower case on Android.",
      "new_messages",
    ),
    fcm_body: textKey(
      "Text of a new mail, Android",
      "Default new_messages, the same resource as the title.",
      "new_messages",
    ),
    test_ring: textKey("Text of a test ring", "Default TEST_RING.", "TEST_RING"),
  },
  {
    title: "Text keys",
    description:
      "Names of texts that the app itself translates; Inboxbell never sends a sentence. The defaults suit an app built for Inboxbell.",
    default: {},
  },
);

export const app = section(
  {
    id: Type.String({
      ...notes({
        title: "App",
        description:
          "The app's bundle identifier. Phones name it when they register; it is also the APNs topic unless `apns.topic` says otherwise.",
        examples: ["com.example.mail"],
        reload: "live",
        expected: "a bundle identifier such as com.example.mail",
      }),
      pattern: TOPIC_PATTERN,
    }),
    apns: Type.Optional(apns),
    fcm: Type.Optional(fcm),
    ring: Type.Union(
      [Type.Literal("badge"), Type.Literal("rich")],
      notes({
        title: "What a new mail does on an iPhone",
        description:
          "Default badge: the count on the icon, and a wake-up. `rich` adds an alert and a sound and lets the app's notification extension fetch the message; it needs an app that has one.",
        default: "badge",
        reload: "live",
        shown: true,
      }),
    ),
    ring_folders: Type.Array(
      Type.Union(
        [Type.Literal("inbox"), Type.Literal("calendar"), Type.Literal("other")],
        notes({ title: "A kind of folder", expected: "inbox, calendar or other" }),
      ),
      {
        ...notes({
          title: "Folders that ring",
          description:
            "Kinds of folders for which this app's phones are rung. Default all of them. Exchange is answered for the others just the same, so that a change here takes effect at once.",
          default: ["inbox", "calendar", "other"],
          reload: "live",
          expected: "a list of inbox, calendar and other, at least one of them",
        }),
        minItems: 1,
      },
    ),
    texts: texts,
  },
  { title: "An app" },
);

export const registrationAuth = Type.Array(
  section(
    {
      type: Type.Literal("enrolment_secret", {
        ...notes({
          title: "Kind of proof",
          description:
            "`enrolment_secret`: one secret that your device management puts into the app's configuration.",
          examples: ["enrolment_secret"],
          reload: "live",
          unavailableValues: ["oidc", "client_certificate"],
        }),
      }),
      file: path({
        title: "File with the secret",
        description:
          "At least 16 visible characters in one line. To change it without a gap, list the old and the new one for a while.",
        examples: ["enrolment.secret"],
        reload: "live",
        file: "enrolment_secret",
      }),
    },
    { title: "A way to prove it", discriminator: "type" },
  ),
  {
    ...notes({
      title: "Who may register a phone",
      description:
        "At least one; any of them proves a new registration. Without one, anybody in the network could have phones rung.",
    }),
    minItems: 1,
  },
);
