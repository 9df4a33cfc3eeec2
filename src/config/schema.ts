// The one source of the configuration: every option with its type, default and reason. The loader, the
// commented config/inboxbell.yaml and the JSON Schema are all made from it. Rules that concern more than one
// option are in cross-rules.ts.
import { type Static, Type } from "@sinclair/typebox";
import { DAY_MS, duration, MINUTE_MS, notes, path, section } from "./options.ts";
import { app, registrationAuth } from "./schema-apps.ts";
import { listen } from "./schema-listeners.ts";
import { pair } from "./schema-pair.ts";

export const ConfigSchema = section(
  {
    node: Type.Optional(
      Type.String({
        ...notes({
          title: "Name of this node",
          description: "Default: the host name. It appears in logs and in the status.",
          examples: ["bell-a"],
          reload: "restart",
          expected: "1 to 63 letters, digits, dots, hyphens and underscores",
        }),
        pattern: "^[A-Za-z0-9._-]{1,63}$",
      }),
    ),
    public: section(
      {
        registration_url: Type.String(
          notes({
            title: "What phones reach",
            description: "The address of the registration listener as phones see it through the Gateway.",
            examples: ["https://push.corp.example:8443"],
            reload: "restart",
            rule: "origin_url",
            plainHttp: "on_loopback",
            expected: "a URL such as https://push.corp.example:8443",
          }),
        ),
        exchange_url: Type.String(
          notes({
            title: "What Exchange reaches",
            description:
              "The address of the Exchange listener as Exchange sees it. Callback URLs start with it: subscriptions made before a change still post to the old one.",
            examples: ["https://bell.corp.example:9443"],
            reload: "restart",
            rule: "origin_url",
            plainHttp: "on_loopback",
            expected: "a URL such as https://bell.corp.example:9443",
          }),
        ),
      },
      {
        title: "Public addresses",
        description: "Both are required: no machine can know how others reach it.",
      },
    ),
    listen,
    store: section(
      {
        path: path({
          title: "Database file",
          description:
            "Default /var/lib/inboxbell/inboxbell.db, in the directory that the systemd unit makes. On a local disk: a network file system does not keep its promises about locks and flushes.",
          default: "/var/lib/inboxbell/inboxbell.db",
          reload: "restart",
          file: "store",
        }),
      },
      { title: "Store", description: "One database file holds everything.", default: {} },
    ),
    keys: section(
      {
        file: path({
          title: "Key file",
          description:
            // biome-ignore lint/suspicious/noTemplateCurlyInString: the text as it stands in the configuration
            "Seals the device tokens in the database and makes the callback URLs. Default /var/lib/inboxbell/keys.json, made at the first start when there is no database either; or `${CREDENTIALS_DIRECTORY}/keys` with a systemd credential. `inboxbell backup` takes it along.",
          default: "/var/lib/inboxbell/keys.json",
          reload: "restart",
          file: "keys",
        }),
      },
      {
        title: "Keys",
        description: "Apart from the database, so that a copy of the database alone is useless.",
        default: {},
      },
    ),
    apps: Type.Array(app, {
      ...notes({
        title: "Apps",
        description: "The apps that are rung, at least one, each with the push credentials issued for it.",
      }),
      minItems: 1,
    }),
    registration_auth: registrationAuth,
    egress: section(
      {
        proxy: Type.Optional(
          Type.String(
            notes({
              title: "HTTP proxy",
              description:
                "Default none. The proxy has to allow CONNECT to Apple on the port of apns.port and to Google on 443. `https://` speaks TLS to the proxy itself.",
              examples: ["http://proxy.corp.example:3128"],
              reload: "restart",
              rule: "proxy_url",
              expected: "a URL such as http://proxy.corp.example:3128",
            }),
          ),
        ),
        proxy_user: Type.Optional(
          section(
            {
              name: Type.String({
                ...notes({
                  title: "Name",
                  description: "The account's name; Basic authentication allows no colon in it.",
                  examples: ["inboxbell"],
                  reload: "restart",
                  expected: "1 to 255 characters without a colon",
                }),
                pattern: "^[^:\\u0000-\\u001f\\u007f]{1,255}$",
              }),
              password_file: path({
                title: "File with its password",
                description: "One line. The password is never written into this file, nor into the URL.",
                examples: ["proxy.password"],
                reload: "restart",
                file: "proxy_password",
              }),
            },
            {
              title: "Account at the proxy",
              description: "For a proxy that wants Basic authentication; no other kind is spoken.",
            },
          ),
        ),
        no_proxy: Type.Array(
          Type.String(
            notes({
              title: "A host, suffix, address or block",
              rule: "no_proxy",
              expected: "a host, a .suffix, an address or a CIDR block such as 10.1.0.0/16",
            }),
          ),
          notes({
            title: "Hosts reached without the proxy",
            description:
              "Default none. `relay.corp.example` is that host, `.corp.example` every host below it; addresses and CIDR blocks match hosts that are written as addresses.",
            default: [],
            examples: [["relay.corp.example", ".corp.example", "10.1.0.0/16"]],
            reload: "restart",
          }),
        ),
        ca_file: Type.Optional(
          path({
            title: "Further certificate authorities, PEM",
            description:
              "Default none. For a relay or an inspecting firewall between this node and Apple or Google; added to the usual ones.",
            examples: ["extra-ca.pem"],
            reload: "restart",
            file: "ca",
          }),
        ),
      },
      {
        title: "Outgoing connections",
        description: "How this node reaches Apple and Google: directly unless a proxy is named.",
        default: {},
      },
    ),
    ringing: section(
      {
        merge_changes: duration({
          title: "Patience with changes made elsewhere",
          description:
            "How long a badge that only changed because mail was read or deleted elsewhere waits for further changes, so that reading ten mails at the desk is one ring. Default 2s. New mail never waits.",
          default: "2s",
          reload: "restart",
          minMs: 0,
          maxMs: 5 * MINUTE_MS,
          expected: "a duration from 0s to 5m, such as 2s",
        }),
        stalled_after: duration({
          title: "When silence of a provider is suspicious",
          description:
            "If rings are owed and none was accepted for this long although the provider is reached, its connections are made anew, and after as long again it is an alarm. Default 2m.",
          default: "2m",
          reload: "restart",
          minMs: 10_000,
          maxMs: 60 * MINUTE_MS,
          expected: "a duration from 10s to 60m, such as 2m",
        }),
      },
      {
        title: "Ringing",
        description: "New mail rings at once; the defaults suit Apple's and Google's limits.",
        default: {},
      },
    ),
    subscriptions: section(
      {
        status_frequency: duration({
          title: "Heartbeat asked of Exchange",
          description:
            "What apps are told to ask for, whole minutes from 1m to 24h. Default 15m: Exchange gives up retrying after about this long, so a shorter one survives a shorter outage and a longer one notices a lost subscription later.",
          default: "15m",
          reload: "live",
          minMs: MINUTE_MS,
          maxMs: 1440 * MINUTE_MS,
          stepMs: MINUTE_MS,
          expected: "whole minutes from 1m to 1440m, such as 15m",
        }),
        unknown_grace: duration({
          title: "Patience with an unknown subscription",
          description:
            "How long an unknown SubscriptionId on the shared route is answered OK, counted from its first notification. Default 60m: the app may be slow to register it, and a wrong Unsubscribe silences a phone.",
          default: "60m",
          reload: "live",
          minMs: 1000,
          maxMs: 30 * DAY_MS,
          expected: "a duration from 1s to 30d, such as 60m",
        }),
      },
      {
        title: "Subscriptions at Exchange",
        description: "The defaults suit Exchange 2013 and later.",
        default: {},
      },
    ),
    retention: section(
      {
        idle_registration: duration({
          title: "When an idle registration falls",
          description:
            "A registration that no app has renewed for this long is removed. Default 60d: longer than a long holiday, short enough to forget a lost phone. At least 1d.",
          default: "60d",
          reload: "live",
          minMs: DAY_MS,
          maxMs: 3650 * DAY_MS,
          expected: "a duration from 1d to 3650d, such as 60d",
        }),
      },
      { title: "Retention", description: "Nothing is kept for longer than it is needed.", default: {} },
    ),
    pair: Type.Optional(pair),
    control: section(
      {
        socket: path({
          title: "Control socket",
          description:
            "Through it `inboxbell status` speaks to the running node. Default /run/inboxbell/control.sock, in the directory that the systemd unit makes.",
          default: "/run/inboxbell/control.sock",
          reload: "restart",
          rule: "socket_path",
          file: "socket",
        }),
      },
      {
        title: "Control",
        description: "For the verbs of the command line that speak to a running node.",
        default: {},
      },
    ),
    log: section(
      {
        level: Type.Union(
          [Type.Literal("debug"), Type.Literal("info"), Type.Literal("warn"), Type.Literal("error")],
          notes({
            title: "Least important lines to keep",
            description:
              "Default info: starts, stops and troubles. `debug` adds lines for each notification.",
            default: "info",
            reload: "live",
          }),
        ),
        format: Type.Union(
          [Type.Literal("auto"), Type.Literal("text"), Type.Literal("json")],
          notes({
            title: "Format of the lines",
            description:
              "Default auto: text on a terminal, JSON otherwise, so that journald and log collectors get fields.",
            default: "auto",
            reload: "restart",
          }),
        ),
      },
      {
        title: "Log",
        description: "Lines go to standard error, which systemd hands to the journal.",
        default: {},
      },
    ),
  },
  { title: "Configuration of Inboxbell" },
);

/** The configuration as written, checked, defaults filled in, not yet converted; names as in the file. */
export type RawConfig = Static<typeof ConfigSchema>;
