// What an app reads first: which apps this server rings, how a phone may register, how to subscribe.
import type { AppConfig, Config } from "../config/types.ts";
import type { Platform } from "../store/types.ts";
import type { Discovery } from "./schema.ts";

// What the badge rule and the wake-up need (Microsoft Learn, EWS reference, EventTypes): NewMail and Created
// tell new mail and which folder is the inbox, Modified carries the unread count, and the others change it.
// FreeBusyChanged only repeats what Created, Modified and Deleted say of a calendar.
const EVENT_TYPES = [
  "NewMailEvent",
  "CreatedEvent",
  "ModifiedEvent",
  "DeletedEvent",
  "MovedEvent",
  "CopiedEvent",
] as const;

/** How to subscribe at Exchange. */
export function ewsGuidance(config: Config): Discovery["ews"] {
  return {
    event_types: [...EVENT_TYPES],
    status_frequency_minutes: config.subscriptions.statusFrequencyMinutes,
    ...(config.listen.exchange.sharedRoute
      ? { shared_callback_url: `${config.public.exchangeUrl}/ews` }
      : {}),
  };
}

/** Answer of `GET /v1/discovery`. */
export function discovery(config: Config): Discovery {
  return {
    version: 1,
    apps: config.apps.map((app) => ({ id: app.id, platforms: platforms(app) })),
    auth: [...new Set(config.registrationAuth.map((way) => way.type))],
    ews: ewsGuidance(config),
  };
}

function platforms(app: AppConfig): Platform[] {
  const both: readonly Platform[] = ["apns", "fcm"];
  return both.filter((platform) => app[platform] !== null);
}
