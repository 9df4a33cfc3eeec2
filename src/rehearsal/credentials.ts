// Throw-away credentials: the APNs key and the FCM service account that a company would download from Apple and
// Google, the enrolment secret, and device tokens of the shape the two services hand out.
import { createHmac, generateKeyPair } from "node:crypto";
import { promisify } from "node:util";

const generate = promisify(generateKeyPair);

/** Gives `count` random bytes. `crypto.randomBytes`, or `seededRandom` where a run must be repeatable. */
export type RandomBytes = (count: number) => Buffer;

/** A repeatable source of bytes: the same seed gives the same bytes in the same order. Not for secrets. */
export function seededRandom(seed: string): RandomBytes {
  let counter = 0;
  return (count) => {
    const blocks: Buffer[] = [];
    for (let have = 0; have < count; have += 32) {
      blocks.push(createHmac("sha256", seed).update(String(counter++)).digest());
    }
    return Buffer.concat(blocks).subarray(0, count);
  };
}

/** An APNs authentication key: what Apple calls a `.p8` file, and what Apple keeps of it. */
export interface ApnsKey {
  /** Ten characters, the JWT's `kid`. */
  readonly keyId: string;
  /** Ten characters, the JWT's `iss`. */
  readonly teamId: string;
  /** PKCS#8 PEM, P-256: the content of the `.p8` file. */
  readonly privateKey: string;
  /** SPKI PEM, what the simulator verifies with. */
  readonly publicKey: string;
}

const TEN = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

function tenCharacters(random: RandomBytes): string {
  return Array.from(random(10), (byte) => TEN.charAt(byte % TEN.length)).join("");
}

/** Makes an APNs key with ids of the shape Apple uses. */
export async function createApnsKey(random: RandomBytes, ids: Partial<ApnsKey> = {}): Promise<ApnsKey> {
  const pair = await generate("ec", {
    namedCurve: "prime256v1",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return {
    keyId: ids.keyId ?? tenCharacters(random),
    teamId: ids.teamId ?? tenCharacters(random),
    privateKey: pair.privateKey,
    publicKey: pair.publicKey,
  };
}

/** The JSON file that the Firebase console gives out for a service account. */
export interface ServiceAccountFile {
  readonly type: "service_account";
  readonly project_id: string;
  readonly private_key_id: string;
  readonly private_key: string;
  readonly client_email: string;
  readonly client_id: string;
  readonly auth_uri: string;
  readonly token_uri: string;
  readonly auth_provider_x509_cert_url: string;
  readonly client_x509_cert_url: string;
  readonly universe_domain: string;
}

/** A service account: the file for the sender, and the public half (SPKI PEM) for the simulator. */
export interface ServiceAccount {
  readonly file: ServiceAccountFile;
  readonly publicKey: string;
}

/** Makes a service account of `projectId` with a key of its own (RSA-2048, as Google makes them). */
export async function createServiceAccount(random: RandomBytes, projectId: string): Promise<ServiceAccount> {
  const pair = await generate("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const email = `inboxbell@${projectId}.iam.gserviceaccount.com`;
  return {
    publicKey: pair.publicKey,
    file: {
      type: "service_account",
      project_id: projectId,
      private_key_id: random(20).toString("hex"),
      private_key: pair.privateKey,
      client_email: email,
      client_id: BigInt(`0x${random(8).toString("hex")}`)
        .toString()
        .padStart(21, "1"),
      auth_uri: "https://accounts.google.com/o/oauth2/auth",
      token_uri: "https://oauth2.googleapis.com/token",
      auth_provider_x509_cert_url: "https://www.googleapis.com/oauth2/v1/certs",
      client_x509_cert_url: `https://www.googleapis.com/robot/v1/metadata/x509/${encodeURIComponent(email)}`,
      universe_domain: "googleapis.com",
    },
  };
}

/** A secret that phones enrol with: 256 bits, base64url. */
export function createEnrolmentSecret(random: RandomBytes): string {
  return random(32).toString("base64url");
}

/** A device token as iOS hands it out today: 32 bytes in hex (Apple: assume nothing about the length). */
export function createApnsToken(random: RandomBytes): string {
  return random(32).toString("hex");
}

/** A registration token as FCM hands it out: an instance id of 22 characters, a colon, about 140 characters. */
export function createFcmToken(random: RandomBytes): string {
  return `${random(16).toString("base64url")}:APA91b${random(100).toString("base64url")}`;
}
