// `pair invite`: waits in the foreground for the second node, and makes this one the first of a pair.

import { lookup } from "node:dns/promises";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { BUILD } from "../build-info.ts";
import { type HostAndPort, hostPortText } from "../config/host-port.ts";
import { loadConfig, readConfigText } from "../config/load.ts";
import { isCredential } from "../config/paths.ts";
import type { Config } from "../config/types.ts";
import { BellError } from "../errors.ts";
import { PAIR_PORT } from "../pair/addresses.ts";
import { makePairAuthority } from "../pair/authority.ts";
import { recallPeer } from "../pair/epoch-file.ts";
import { prepareFirstPart, writeFirstPart } from "../pair/first-part.ts";
import { forgottenNode } from "../pair/forgotten.ts";
import { type InvitationEnd, openInvitation } from "../pair/invite.ts";
import { linkFiles, readAuthority } from "../pair/link-files.ts";
import { readShared } from "../pair/parcel.ts";
import { outputFailure, print } from "./output.ts";
import { addressOf, durationOf, nodeName, portOf } from "./pair-options.ts";
import { inviteText, joinedText } from "./pair-text.ts";
import { serviceEnvironment } from "./service-credentials.ts";

export interface InviteOptions {
  readonly config: string;
  readonly address?: string;
  readonly peer?: string;
  readonly port?: string;
  readonly valid: string;
}

/**
 * Invites the second node.
 * @returns the exit code: 0 when it has joined
 * @throws BellError `pair_invitation` if the invitation ended otherwise, or why there can be none
 */
export async function pairInvite(options: InviteOptions): Promise<number> {
  const validMs = durationOf(options.valid);
  const env = serviceEnvironment(process.env);
  const config = loadConfig(options.config, env);
  const configFile = config.file;
  const text = readFileSync(configFile, "utf8");
  const shared = readShared(readConfigText(text, configFile, env), text, env);
  const node = nodeName(config.node);
  const files = linkFiles(config, env);
  refuseUnwritable([dirname(configFile), configFile, dirname(dirname(files.ca))]);
  const authority = readAuthority(files) ?? (await makePairAuthority(Date.now()));
  const part = await prepareFirstPart(authority, node, files, Date.now());
  const link = ownAddress(options, config, node);
  const port = options.port === undefined ? link.port : portOf(options.port);

  const forgotten = forgottenNode(config.store.path);
  const written: string[] = [];
  const invitation = await openInvitation({
    node,
    version: BUILD.version,
    listen: { address: config.pair?.listen.address ?? "0.0.0.0", port },
    host: link.host,
    linkAddress: hostPortText(link),
    peer: options.peer === undefined ? null : hostPortText(addressOf("--peer", options.peer)),
    validMs,
    forgotten: forgotten === null ? null : { name: forgotten, database: config.store.path },
    shared,
    authority,
    resolves: async (host) => {
      const found = await lookup(host).catch(() => null);
      return found !== null;
    },
    settle: (peer) => {
      const place = {
        node,
        configFile,
        files,
        namesFiles: config.pair === null && isCredential(config.keys.file, env),
        listen: { address: "0.0.0.0", port: link.port },
      };
      written.push(...writeFirstPart(part, place, peer));
      recallPeer(config.store.path);
    },
    tell: (sentence) => print(sentence),
    now: Date.now,
  });
  const withdraw = () => invitation.withdraw();
  process.on("SIGINT", withdraw);
  process.on("SIGTERM", withdraw);
  print(inviteText({ code: invitation.code, node, valid: options.valid, link: hostPortText(link) }));
  // A code that nobody can read is of no use to anybody.
  if (outputFailure() !== null) withdraw();
  const end = await invitation.ended;
  process.off("SIGINT", withdraw);
  process.off("SIGTERM", withdraw);
  const peer = peerOf(end);
  const hasDatabase = existsSync(config.store.path);
  print(joinedText({ node, peer: peer.name, address: peer.address, written, hasDatabase }));
  return 0;
}

/** The node that has joined. @throws BellError why none has */
function peerOf(end: InvitationEnd) {
  switch (end.kind) {
    case "joined":
      return end.peer;
    case "failed":
      throw end.error;
    case "expired":
      throw new BellError(
        "pair_invitation",
        "The invitation has expired; nobody used it. Nothing was written.",
      );
    case "void":
      throw new BellError(
        "pair_invitation",
        "Too many wrong codes came: the invitation is void. Nothing was written.",
      );
    case "withdrawn":
      throw new BellError(
        "pair_invitation",
        "Withdrawn: the code is of no use any more. Nothing was written.",
      );
    case "declined":
      throw new BellError("pair_invitation", `It was declined on ${end.name}. Nothing was written.`);
    case "broken_off":
      throw new BellError(
        "pair_invitation",
        `The connection to ${end.name} ended before it had confirmed. Nothing was written here; if files were written there, a new invitation finds them good.`,
      );
  }
}

/** Where this node's link is reached: as given, or by its name. */
function ownAddress(options: InviteOptions, { pair }: Config, node: string): HostAndPort {
  const port = pair?.listen.port ?? PAIR_PORT;
  if (options.address === undefined) return { host: node, port };
  return addressOf("--address", options.address, port);
}

/** Said before anybody is invited, not after the other node has written its part. */
function refuseUnwritable(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      accessSync(path, constants.W_OK);
    } catch (cause) {
      throw new BellError("pair_unwritable", `This user may not write ${path}.`, cause);
    }
  }
}
