// The part of the schema about two nodes: `pair`.
import { Type } from "@sinclair/typebox";
import { duration, notes, path, port, section } from "./options.ts";

const MINUTE_MS = 60_000;

const file = (title: string, name: string, role: "pair_ca" | "pair_certificate" | "pair_key") =>
  Type.Optional(
    path({
      title,
      description: `Default pair/${name} in the directory of keys.file (of store.path where that is a systemd credential), where \`inboxbell pair invite\` and \`pair join\` write it.`,
      examples: [`pair/${name}`],
      reload: "live",
      file: role,
    }),
  );

export const pair = section(
  {
    listen: section(
      {
        address: Type.String(
          notes({
            title: "Address that the other node reaches",
            description:
              "Default 0.0.0.0, every IPv4 address of the machine. Nobody gets in without a certificate of this pair.",
            default: "0.0.0.0",
            rule: "address",
            expected: "an IP address of this machine, such as 0.0.0.0, 10.0.0.5 or ::",
            reload: "restart",
          }),
        ),
        port: port({
          title: "Port that the other node reaches",
          description: "Default 7443, apart from those of phones and Exchange.",
          default: 7443,
          reload: "restart",
        }),
      },
      {
        title: "Listener of the link",
        description: "The two nodes speak over it, and nobody else.",
        default: {},
      },
    ),
    peer: Type.String(
      notes({
        title: "The other node",
        description: "Host and port of its pair.listen.",
        examples: ["bell-b:7443"],
        rule: "host_port",
        expected: "a host and a port, such as bell-b:7443 or [fd00::5]:7443",
        reload: "restart",
      }),
    ),
    peer_name: Type.Optional(
      Type.String({
        ...notes({
          title: "Its name",
          description:
            "The `node` of its own configuration, which its certificate proves. Default: the host of pair.peer.",
          examples: ["bell-b"],
          expected: "1 to 63 letters, digits, dots, hyphens and underscores",
          reload: "restart",
        }),
        pattern: "^[A-Za-z0-9._-]{1,63}$",
      }),
    ),
    tls: section(
      {
        ca: file("The pair's own authority, PEM", "ca.pem", "pair_ca"),
        certificate: file("This node's certificate, PEM", "node.pem", "pair_certificate"),
        key: file("Its private key, PEM", "node.key", "pair_key"),
      },
      {
        title: "Certificates of the link",
        description:
          "Made by `inboxbell pair invite` and `pair join`, by an authority that these two nodes alone trust.",
        default: {},
      },
    ),
    takeover_after: duration({
      title: "When the other node takes over",
      description:
        "After so long a silence of the active node the passive one takes over; at once where its process is known to be gone. Default 3s: longer than a network's usual hiccup, shorter than anybody's patience.",
      default: "3s",
      reload: "restart",
      minMs: 1000,
      maxMs: MINUTE_MS,
      expected: "a duration from 1s to 60s, such as 3s",
    }),
    alone_after: duration({
      title: "When answers no longer wait for the other node",
      description:
        "Exchange and phones are answered once both nodes have stored what the answer rests on; after so long without its acknowledgement this node goes on alone and says so. Default 2s. Shorter than takeover_after.",
      default: "2s",
      reload: "restart",
      minMs: 500,
      maxMs: 30_000,
      expected: "a duration from 500ms to 30s, such as 2s",
    }),
  },
  {
    title: "Two nodes",
    description:
      "Left out: a single node. With it this node and another one hold the same rows, and one takes over from the other. `inboxbell pair invite` and `pair join` write it.",
  },
);
