// The part of the schema about listening: `listen`.
import { Type } from "@sinclair/typebox";
import { notes, type OptionNotes, path, port, section, toggle } from "./options.ts";

const tls = (example: string) =>
  Type.Union(
    [
      section(
        {
          certificate: path({
            title: "Certificate chain, PEM",
            description:
              "The listener's certificate followed by the intermediate ones. No default: nobody else has yours.",
            examples: [`tls/${example}.pem`],
            reload: "live",
            file: "tls_certificate",
          }),
          key: path({
            title: "Private key, PEM",
            description:
              "The certificate's private key, without a password; not readable by other users (mode 0600 or 0640).",
            examples: [`tls/${example}.key`],
            reload: "live",
            file: "tls_key",
          }),
        },
        { title: "Certificate and key" },
      ),
      Type.Literal("off"),
      Type.Literal(false),
    ],
    notes({
      title: "TLS",
      description:
        "Required, so that a listener is never in clear text by oversight. `off` is allowed on a loopback address only, for a proxy on the same machine.",
      expected: "a mapping with certificate and key, or off",
      // Between the two; the files themselves are live.
      reload: "restart",
    }),
  );

const allow = (who: string, example: string) =>
  Type.Array(
    Type.String(
      notes({
        title: "Address or CIDR block",
        rule: "cidr",
        expected: "an address or a block such as 10.1.0.0/16",
      }),
    ),
    notes({
      title: "Addresses that may connect",
      description: `${who} An empty list allows every address, which is the default because Inboxbell cannot know yours; \`check\` warns about it. Health requests are answered for everybody.`,
      default: [],
      examples: [[example]],
      reload: "live",
    }),
  );

const trustedProxies = Type.Array(
  Type.String(
    notes({
      title: "Address or CIDR block",
      rule: "cidr",
      expected: "an address or a block such as 10.1.0.5 or 10.1.0.0/28",
    }),
  ),
  notes({
    title: "Proxies that are believed whom they pass on",
    description:
      "Load balancers before this node that tell the client's address: in `X-Forwarded-For`, or by the PROXY protocol where `proxy_protocol` is on. `allow` and the limits then apply to that client. Default empty: nobody is believed. A load balancer that passes TLS through without the PROXY protocol does not belong here, since it would pass on what a client claims.",
    default: [],
    examples: [["10.0.0.10"]],
    reload: "live",
  }),
);

const proxyProtocol = toggle({
  title: "PROXY protocol",
  description:
    "Whether the `trusted_proxies` begin each connection with the PROXY protocol's header (version 1 or 2), before TLS. Default off: most load balancers do not send it unless told to. When it is on, a trusted proxy that does not send it is closed, and so is anybody else who does; other clients connect as ever.",
  default: "off",
  reload: "restart",
});

const address = (options: OptionNotes) =>
  Type.String(
    notes({
      rule: "address",
      expected: "an IP address of this machine, such as 0.0.0.0, 127.0.0.1 or ::",
      reload: "restart",
      ...options,
    }),
  );

export const listen = section(
  {
    registration: section(
      {
        address: address({
          title: "Address that phones reach",
          description:
            "Default 0.0.0.0, every IPv4 address of the machine: the Gateway tunnel ends somewhere else. `::` listens on IPv6 and IPv4.",
          default: "0.0.0.0",
          shown: true,
        }),
        port: port({
          title: "Port that phones reach",
          description: "Default 8443, so that the service needs no privilege for a port below 1024.",
          default: 8443,
          reload: "restart",
          shown: true,
        }),
        tls: tls("reg"),
        allow: allow("Networks of the Gateway's tunnel addresses.", "10.2.0.0/16"),
        trusted_proxies: trustedProxies,
        proxy_protocol: proxyProtocol,
      },
      { title: "Listener for phones", description: "Phones register here through the Gateway tunnel." },
    ),
    exchange: section(
      {
        address: address({
          title: "Address that Exchange reaches",
          description:
            "Default 0.0.0.0, every IPv4 address of the machine: Exchange posts from its own servers.",
          default: "0.0.0.0",
          shown: true,
        }),
        port: port({
          title: "Port that Exchange reaches",
          description: "Default 9443, apart from the phones' port so that a firewall can tell the two apart.",
          default: 9443,
          reload: "restart",
          shown: true,
        }),
        tls: tls("ews"),
        allow: allow(
          "Networks of the Exchange servers (or of the load balancer before this node).",
          "10.1.0.0/16",
        ),
        trusted_proxies: trustedProxies,
        proxy_protocol: proxyProtocol,
        shared_route: toggle({
          title: "Fixed callback URL",
          description:
            "Whether `POST /ews` without a capability is served, for apps that subscribe first and register the SubscriptionId afterwards. Default off: on this route a SubscriptionId is all that a sender has to know.",
          default: "off",
          reload: "live",
        }),
      },
      { title: "Listener for Exchange", description: "Exchange posts its notifications here." },
    ),
    admin: section(
      {
        address: address({
          title: "Address for administrators",
          description:
            "Default 127.0.0.1. This version accepts a loopback address only: the listener has no log-in.",
          default: "127.0.0.1",
          expected: "a loopback address such as 127.0.0.1 or ::1",
        }),
        port: port({
          title: "Port for administrators",
          description: "Default 9090, where Prometheus set-ups expect metrics.",
          default: 9090,
          reload: "restart",
        }),
      },
      {
        title: "Listener for administrators",
        description: "Metrics and health, in clear text on this machine only.",
        default: {},
      },
    ),
  },
  {
    title: "Listeners",
    description:
      "Three listeners, so that phones, Exchange and administrators can be kept apart by firewalls.",
  },
);
