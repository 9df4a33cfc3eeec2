// What the simulators can take: h2load, a client in C, sends one valid request again and again.
import { importPKCS8, SignJWT } from "jose";
import type { Platform } from "../../src/store/types.ts";
import { APP, tokenOf } from "./fleet.ts";
import { MEASURED_CORE, runOn } from "./processes.ts";
import type { Providers } from "./providers.ts";
import { PROJECT, type Stage } from "./stage.ts";

const STREAMS = 100;

/** Rings a second that the simulator of `platform` answers to h2load over `connections`. */
export async function plainRate(
  stage: Stage,
  providers: Providers,
  platform: Platform,
  connections: number,
  rings: number,
): Promise<number> {
  const { url, headers, body } =
    platform === "apns" ? await apnsRequest(stage, providers) : await fcmRequest(stage, providers);
  const file = `${stage.root}/plain-${platform}.json`;
  await Bun.write(file, JSON.stringify(body));
  const fields = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const command = [
    "h2load",
    "-n",
    String(rings),
    "-c",
    String(connections),
    "-m",
    String(STREAMS),
    "-d",
    file,
    ...fields,
    url,
  ];
  const out = await runOn(MEASURED_CORE, command);
  const good = Number(/status codes: (\d+) 2xx/.exec(out)?.[1]);
  const finished = /^finished in ([\d.]+)(us|ms|s),/m.exec(out);
  const seconds = Number(finished?.[1]) * ({ us: 1e-6, ms: 1e-3, s: 1 }[finished?.[2] ?? ""] ?? Number.NaN);
  // It does not wait for the first SETTINGS: all streams of a connection but one are refused once.
  const perSecond = good / seconds;
  if (good < rings - connections * STREAMS || !(perSecond > 0))
    throw new Error(`h2load to ${platform}:\n${out}`);
  return perSecond;
}

interface Plain {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

async function apnsRequest({ apnsKey }: Stage, { urls }: Providers): Promise<Plain> {
  const jwt = await new SignJWT({})
    .setProtectedHeader({ alg: "ES256", kid: apnsKey.keyId })
    .setIssuer(apnsKey.teamId)
    .setIssuedAt(halfHour())
    .sign(await importPKCS8(apnsKey.privateKey, "ES256"));
  return {
    url: `${urls.apns}/3/device/${tokenOf(0, "apns")}`,
    headers: {
      authorization: `bearer ${jwt}`,
      "apns-push-type": "alert",
      "apns-topic": APP,
      "apns-priority": "10",
      "apns-expiration": String(Math.floor(Date.now() / 1000) + 3600),
      "apns-id": crypto.randomUUID(),
    },
    body: { aps: { badge: 42, "content-available": 1 }, bell: { reason: "mail" } },
  };
}

// Apple counts tokens with another `iat` as new ones and refuses too many: all senders here share the half-hour.
function halfHour(): number {
  const halfHourSeconds = 1800;
  return Math.floor(Date.now() / 1000 / halfHourSeconds) * halfHourSeconds;
}

async function fcmRequest({ serviceAccount, ca }: Stage, { urls }: Providers): Promise<Plain> {
  const { client_email, private_key } = serviceAccount.file;
  const assertion = await new SignJWT({ scope: "https://www.googleapis.com/auth/firebase.messaging" })
    .setProtectedHeader({ alg: "RS256", typ: "JWT" })
    .setIssuer(client_email)
    .setAudience("https://oauth2.googleapis.com/token")
    .setIssuedAt()
    .setExpirationTime("30m")
    .sign(await importPKCS8(private_key, "RS256"));
  const answer = await fetch(urls.fcmToken, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion }),
    tls: { ca },
  });
  const { access_token } = (await answer.json()) as { access_token: string };
  return {
    url: `${urls.fcm}/v1/projects/${PROJECT}/messages:send`,
    headers: { authorization: `Bearer ${access_token}`, "content-type": "application/json" },
    body: {
      message: {
        token: tokenOf(0, "fcm"),
        data: { reason: "mail", unread: "42" },
        android: {
          priority: "high",
          ttl: "3600s",
          notification: { title_loc_key: "new_messages", body_loc_key: "new_messages" },
        },
      },
    },
  };
}
