// What the two nodes say to each other while one joins. Everything that comes in is checked here.
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";

const text = (maxLength: number) => Type.String({ maxLength });
const NODE = Type.String({ pattern: "^[A-Za-z0-9._-]{1,63}$" });
// `host:port` as the configuration has it.
const ADDRESS = text(300);
// A file of 1 MiB, in base64.
const CONTENT = text(1_500_000);

/** Said first, by the node that joins. */
const Hello = Type.Object({
  kind: Type.Literal("hello"),
  version: text(64),
  node: NODE,
  /** Where its link is to be reached; the first node looks for it itself if it does not say. */
  address: Type.Union([ADDRESS, Type.Null()]),
  /** Whether it wants the listeners' certificates and keys too. */
  certificates: Type.Boolean(),
  /** PKCS #10, PEM. */
  request: text(4_000),
  /** Of the words above; base64url. */
  proof: text(64),
});

const SharedFile = Type.Object({
  /** The key of the configuration that names it. */
  keyPath: text(200),
  /** Permissions on the first node. */
  mode: Type.Integer({ minimum: 0, maximum: 0o777 }),
  /** Base64. */
  content: CONTENT,
});

/** All that the first node hands over. */
const Parcel = Type.Object({
  kind: Type.Literal("parcel"),
  version: text(64),
  node: NODE,
  /** Where the first node's link is to be reached. */
  address: ADDRESS,
  /** Where the first node understood that of the other one to be reached. */
  yours: ADDRESS,
  /** Its clock, epoch milliseconds. */
  now: Type.Number(),
  /** The pair's authority and the new node's certificate, PEM. */
  authority: Type.Object({ certificate: text(8_000), key: text(8_000) }),
  certificate: text(8_000),
  /** Its configuration, as it is. */
  configuration: text(1_048_576),
  /** The key file; null where a service manager hands it to the service. */
  keys: Type.Union([text(65_536), Type.Null()]),
  files: Type.Array(SharedFile, { maxItems: 500 }),
});

const Refused = Type.Object({
  kind: Type.Literal("refused"),
  code: text(64),
  detail: text(2_000),
});

/** What became of the parcel: written, or the administrator said no. */
const Outcome = Type.Object({ kind: Type.Union([Type.Literal("written"), Type.Literal("declined")]) });

/** The first node has written its own part, or could not. */
const Settled = Type.Object({
  kind: Type.Literal("settled"),
  /** What went wrong, or null. */
  failure: Type.Union([text(2_000), Type.Null()]),
});

const FromJoiner = Type.Union([Hello, Outcome]);
const FromFirst = Type.Union([Parcel, Refused, Settled]);

export type Hello = Static<typeof Hello>;
export type Parcel = Static<typeof Parcel>;
export type SharedFile = Static<typeof SharedFile>;
export type Refused = Static<typeof Refused>;
export type FromJoiner = Static<typeof FromJoiner>;
export type FromFirst = Static<typeof FromFirst>;

/** The words of a hello that its proof is about. */
export function provenWords(hello: Omit<Hello, "kind" | "proof">): string {
  const { version, node, address, certificates, request } = hello;
  return JSON.stringify([version, node, address, certificates, request]);
}

/** What the joining node said, or null if it is nothing that belongs there. */
export function fromJoiner(message: unknown): FromJoiner | null {
  return checked(FromJoiner, message);
}

/** What the first node said, or null. */
export function fromFirst(message: unknown): FromFirst | null {
  return checked(FromFirst, message);
}

function checked<T extends TSchema>(schema: T, message: unknown): Static<T> | null {
  return Value.Check(schema, message) ? message : null;
}
