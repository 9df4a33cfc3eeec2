// The shapes that phones send and receive, as TypeBox schemas: they check requests, give the types, and are
// the OpenAPI document. A description says what is expected in words that also fit into a 422 answer.
// TypeBox's own builder: Elysia's `t.Integer` takes "1" for 1.
import { type Static, Type as t } from "@sinclair/typebox";

/** RFC 9562 section 4: hexadecimal digits are read in either case. Swift's `uuidString` is upper case. */
export const UUID_PATTERN = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$";

// Exchange's ids are 72 to 200 characters as a rule; nothing longer than this was ever seen.
const MAX_EXCHANGE_ID = 1024;

const closed = { additionalProperties: false } as const;

const platform = t.Union([t.Literal("apns"), t.Literal("fcm")], { description: "One of apns, fcm." });

const kind = t.Union([t.Literal("inbox"), t.Literal("calendar"), t.Literal("other")], {
  description: "One of inbox, calendar, other.",
});

const folderState = t.Union(
  [t.Literal("expected"), t.Literal("live"), t.Literal("silent"), t.Literal("failed"), t.Literal("ended")],
  {
    description:
      "expected: Exchange was not heard yet on this callback URL. live: it was. silent: it has not been heard for too long. failed: it reported an error. ended: the subscription is over.",
  },
);

const statusFrequencyMinutes = t.Integer({
  minimum: 1,
  maximum: 1440,
  description: "A whole number of minutes from 1 to 1440: the StatusFrequency given to Exchange.",
});

export const paramsSchema = t.Object({
  uuid: t.String({
    pattern: UUID_PATTERN,
    description:
      "The registration's id: a random UUID made by the app, 36 characters with dashes, in either case.",
  }),
});

const folderSchema = t.Object(
  {
    name: t.Optional(
      t.String({
        pattern: "^[a-z0-9_-]{1,32}$",
        description: "1 to 32 of a-z, 0-9, _ and -, unique in the registration; the kind if left out.",
      }),
    ),
    kind,
    folder_id: t.Optional(
      t.String({
        minLength: 1,
        maxLength: MAX_EXCHANGE_ID,
        description:
          "The Id attribute of the Exchange FolderId, 1 to 1024 characters. Only a keyed hash of it is kept.",
      }),
    ),
    new_subscription: t.Optional(
      t.Literal(true, {
        description: "true, or left out: asks for a new callback URL because the app will subscribe again.",
      }),
    ),
  },
  { ...closed, description: "An object with kind and, if wanted, name, folder_id and new_subscription." },
);

const subscriptionSchema = t.Object(
  {
    id: t.String({
      minLength: 1,
      maxLength: MAX_EXCHANGE_ID,
      description: "The SubscriptionId from Exchange, 1 to 1024 characters. Only a keyed hash of it is kept.",
    }),
    folder: t.String({
      minLength: 1,
      maxLength: 32,
      description: "The name of one of the folders in this request.",
    }),
    status_frequency_minutes: t.Optional(statusFrequencyMinutes),
  },
  { ...closed, description: "An object with id, folder and, if wanted, status_frequency_minutes." },
);

/** Body of `PUT /v1/registrations/{uuid}`. */
export const registrationRequestSchema = t.Object(
  {
    app: t.String({
      minLength: 1,
      maxLength: 255,
      description: "The id of an app that /v1/discovery names.",
    }),
    platform,
    token: t.String({
      minLength: 8,
      maxLength: 4096,
      description:
        "The device token. apns: 8 to 400 hexadecimal digits, an even number of them. fcm: 20 to 4096 of A-Z, a-z, 0-9, _, :, . and -.",
    }),
    secret: t.String({
      pattern: "^[A-Za-z0-9_-]{22,128}$",
      description:
        "The registration's own secret, made by the app: 22 to 128 base64url characters without padding, from at least 16 random bytes.",
    }),
    revision: t.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        "A whole number from 1 to 9007199254740991, raised for every new wish: the greater of the epoch milliseconds now and the last revision plus 1.",
    }),
    folders: t.Array(folderSchema, {
      minItems: 1,
      maxItems: 16,
      description: "A list of 1 to 16 folders. Folders left out are removed.",
    }),
    subscriptions: t.Optional(
      t.Array(subscriptionSchema, {
        maxItems: 16,
        description: "A list of at most 16 SubscriptionIds, for apps that subscribed at the shared URL.",
      }),
    ),
    locale: t.Optional(
      t.String({
        maxLength: 35,
        pattern: "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        description: "A language tag (BCP 47) of at most 35 characters, such as de or pt-BR.",
      }),
    ),
  },
  { ...closed, description: "A JSON object with app, platform, token, secret, revision and folders." },
);

export type RegistrationRequest = Static<typeof registrationRequestSchema>;

const ewsSchema = t.Object(
  {
    event_types: t.Array(t.String(), { description: "EventTypes to subscribe to." }),
    status_frequency_minutes: statusFrequencyMinutes,
    shared_callback_url: t.Optional(
      t.String({ description: "Fixed callback URL for the classic order; only if the server allows it." }),
    ),
  },
  { ...closed, description: "How to subscribe at Exchange." },
);

/** Answer of `GET /v1/discovery`. */
export const discoverySchema = t.Object(
  {
    version: t.Literal(1),
    apps: t.Array(t.Object({ id: t.String(), platforms: t.Array(platform) }, closed)),
    auth: t.Array(t.String(), { description: "Ways in which a new registration may prove itself." }),
    ews: ewsSchema,
  },
  closed,
);

export type Discovery = Static<typeof discoverySchema>;

const time = (description: string) => t.String({ format: "date-time", description });

/** Answer of `PUT /v1/registrations/{uuid}`. */
export const registrationAnswerSchema = t.Object(
  {
    id: t.String({ format: "uuid", description: "The id in lower case." }),
    revision: t.Integer(),
    folders: t.Array(
      t.Object(
        {
          name: t.String(),
          kind,
          state: folderState,
          callback_url: t.String({
            format: "uri",
            description:
              "The URL of the PushSubscriptionRequest for this folder. A secret: whoever has it can ring.",
          }),
        },
        closed,
      ),
      { description: "Sorted by name." },
    ),
    renew_before: time("The next PUT is due before this time."),
    ews: ewsSchema,
  },
  closed,
);

export type RegistrationAnswer = Static<typeof registrationAnswerSchema>;

/** Answer of `GET /v1/registrations/{uuid}`. */
export const registrationViewSchema = t.Object(
  {
    id: t.String({ format: "uuid" }),
    app: t.String(),
    platform,
    revision: t.Integer(),
    state: t.Union([t.Literal("live"), t.Literal("expected"), t.Literal("resubscribe"), t.Literal("dead")], {
      description:
        "live: Exchange was heard. expected: on no folder yet. resubscribe: a folder is silent, failed or ended. dead: the push provider said that the token is no longer good.",
    }),
    renew_before: time("The next PUT is due before this time."),
    folders: t.Array(
      t.Object(
        {
          name: t.String(),
          kind,
          state: folderState,
          last_heard_at: t.Optional(time("When Exchange was last heard for this folder.")),
        },
        closed,
      ),
      { description: "Sorted by name." },
    ),
    last_ring: t.Optional(
      t.Object(
        {
          at: time("When the last ring ended."),
          reasons: t.Array(t.String()),
          outcome: t.String({ description: "accepted, or the push provider's reason." }),
        },
        closed,
      ),
    ),
  },
  closed,
);

export type RegistrationViewAnswer = Static<typeof registrationViewSchema>;

/** Answer of `POST /v1/registrations/{uuid}/ring`. */
export const ringAnswerSchema = t.Object(
  {
    id: t.String({ format: "uuid" }),
    reason: t.Literal("test"),
  },
  closed,
);

/** RFC 9457 problem details, with the members that this API adds. */
export const problemSchema = t.Object({
  type: t.String({ format: "uri-reference" }),
  title: t.String({ description: "What the code means." }),
  status: t.Integer(),
  code: t.String({ description: "Stable; decide by this." }),
  detail: t.Optional(t.String({ description: "For a person. Never repeats what was sent." })),
  field: t.Optional(
    t.String({
      description: 'JSON Pointer into the body ("" is the whole body), or uuid for the id in the path.',
    }),
  ),
  stored_revision: t.Optional(
    t.Integer({ description: "With stale_revision: the revision that the next one must be above." }),
  ),
  correlation_id: t.Optional(t.String({ description: "With 5xx: the server's log lines carry it." })),
});
