// wrk as the load: it opens a new TLS connection for each notification, as Exchange does. Any failed request, and
// any answer that Exchange would not take, fails the benchmark.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOAD_CORE, linesOf, spawnOn } from "./processes.ts";
import type { Stage } from "./stage.ts";

/**
 * How a connection begins. `resumed`: TLS 1.3, resuming the session of the connection before (a ticket).
 * `full`: TLS 1.2 without tickets, a whole handshake each time.
 */
export type Handshake = "resumed" | "full";
export const HANDSHAKES: readonly Handshake[] = ["resumed", "full"];

export interface Load {
  readonly url: string;
  /** `pair`: every answer has to rest on both nodes. */
  readonly target: "bell" | "pair" | "nginx";
  readonly handshake: Handshake;
  readonly phones: number;
  readonly connections: number;
  readonly durationMs: number;
  /** Mean pause of each connection before a request, milliseconds; 0 for as fast as it goes. */
  readonly pauseMs?: number;
  /** Keep connections open: not what Exchange does, but the quickest way to make much owed. */
  readonly keepAlive?: boolean;
  /** So many notifications, each answered, and then no more; `durationMs` is only the limit. */
  readonly count?: number;
}

export interface LoadResult {
  /** Answered ones. */
  readonly requests: number;
  /** Begun ones: a few more, which the load's end cut off. */
  readonly sent: number;
  readonly seconds: number;
  readonly perSecond: number;
}

interface Raw {
  readonly requests: number;
  readonly seconds: number;
  readonly sent: number;
  readonly wrong: number;
  readonly example: string;
  readonly connect: number;
  readonly read: number;
  readonly write: number;
  readonly status: number;
  readonly timeout: number;
}

const RESULT = "RESULT ";

// wrk uses OpenSSL with its defaults, and has no option for a whole handshake each time; OpenSSL's configuration has.
export const WHOLE_HANDSHAKE = `openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
MinProtocol = TLSv1.2
MaxProtocol = TLSv1.2
Options = -SessionTicket
`;

/** Sends loads one after the other; each goes on with the notifications where the last one ended. */
export function createWrk(stage: Stage) {
  const wholeHandshake = join(stage.root, "whole-handshake.cnf");
  writeFileSync(wholeHandshake, WHOLE_HANDSHAKE);
  let next = 0;

  return {
    /** How many notifications were made so far. */
    get sent() {
      return next;
    },

    /** @throws if a request failed or got another answer than Exchange takes */
    async run(load: Load): Promise<LoadResult> {
      const command = [
        "wrk",
        "-t1",
        `-c${load.connections}`,
        `-d${(load.durationMs / 1000).toFixed(0)}s`,
        "--timeout=30s",
        "-s",
        join(import.meta.dir, "load.lua"),
        load.url,
        "--",
        stage.paths(load.phones),
        String(load.phones),
        String(next),
        String(Math.round(load.pauseMs ?? 0)),
        load.keepAlive === true ? "keep-alive" : "close",
        load.target,
        String(load.count ?? 0),
        String(load.connections),
      ];
      const env = load.handshake === "full" ? { OPENSSL_CONF: wholeHandshake } : {};
      const child = spawnOn(LOAD_CORE, command, { env, stdout: "pipe" });
      const lines: string[] = [];
      for await (const line of linesOf(child)) {
        lines.push(line);
        // It stops on this signal only, and then prints its result.
        if (line === "ENOUGH") child.kill("SIGINT");
      }
      const found = lines.find((line) => line.startsWith(RESULT))?.slice(RESULT.length);
      if (found === undefined) throw new Error(`wrk gave no result:\n${lines.join("\n")}`);
      const raw = JSON.parse(found) as Raw;
      next += raw.sent;
      const failed = raw.connect + raw.read + raw.write + raw.status + raw.timeout;
      if (failed > 0 || raw.wrong > 0 || raw.requests === 0) {
        throw new Error(`Not every request to ${load.target} was answered as it must be: ${found}`);
      }
      const { requests, seconds, sent } = raw;
      return { requests, sent, seconds, perSecond: requests / seconds };
    },
  };
}
export type Wrk = ReturnType<typeof createWrk>;
