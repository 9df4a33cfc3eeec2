// What of a configuration both nodes share and what is each node's own: the second node's file, made from the first one's
// and its own, and the section `pair` of both. Pure.
import { isLoopbackAddress, isWildcardAddress } from "../config/addresses.ts";
import { isDelivered } from "../config/delivered.ts";
import { hostAndPort } from "../config/host-port.ts";
import { type Edit, editConfiguration, type KeyPath, plainConfiguration, valueAt } from "./config-edit.ts";
import type { LinkFiles } from "./link-files.ts";

/** A node's own part of the pair. */
export interface OwnPart {
  readonly node: string;
  /** Where its link listens, unless its configuration says so already. */
  readonly listen: { readonly address: string; readonly port: number };
  /** The other node's name, and its link as `host:port`. */
  readonly peerName: string;
  readonly peer: string;
  /** Null where they are at their usual place, or the configuration names another one already. */
  readonly files: LinkFiles | null;
}

export interface JoinedConfig {
  readonly text: string;
  /** What is not as on the first node, as `key: value`. */
  readonly own: readonly string[];
}

const ABOVE_PAIR = "The other node of the pair, written when the two were joined.";

const LISTENERS = ["registration", "exchange", "admin"] as const;
const WITH_TLS = ["registration", "exchange"] as const;
/** Places on a machine, kept where its configuration names them. */
const PLACES: readonly KeyPath[] = [
  ["store", "path"],
  ["keys", "file"],
  ["control", "socket"],
];

/**
 * The configuration with what makes it one of a pair's.
 * @param listen whether `pair.listen` is to be replaced where it is there
 * @throws BellError `config_invalid`
 */
export function pairedConfig(text: string, own: OwnPart, file: string, listen: "keep" | "replace"): string {
  const { peer, files } = own;
  const plain = plainConfiguration(text, file);
  const node: Edit = { path: ["node"], value: own.node };
  const tls = files === null ? null : { ca: files.ca, certificate: files.certificate, key: files.key };
  // It goes without saying where the host is called as the node is.
  const named = hostAndPort(peer)?.host === own.peerName ? {} : { peer_name: own.peerName };
  if (valueAt(plain, ["pair"]) === undefined) {
    const pair = { listen: own.listen, peer, ...named, ...(tls === null ? {} : { tls }) };
    return editConfiguration(text, [node, { path: ["pair"], value: pair, comment: ABOVE_PAIR }], file);
  }
  const edits: Edit[] = [node, { path: ["pair", "peer"], value: peer }];
  if (listen === "replace" || valueAt(plain, ["pair", "listen"]) === undefined) {
    edits.push({ path: ["pair", "listen", "address"], value: own.listen.address });
    edits.push({ path: ["pair", "listen", "port"], value: own.listen.port });
  }
  if ("peer_name" in named || valueAt(plain, ["pair", "peer_name"]) !== undefined) {
    edits.push({ path: ["pair", "peer_name"], value: own.peerName });
  }
  if (tls !== null) {
    edits.push({ path: ["pair", "tls", "ca"], value: tls.ca });
    edits.push({ path: ["pair", "tls", "certificate"], value: tls.certificate });
    edits.push({ path: ["pair", "tls", "key"], value: tls.key });
  }
  return editConfiguration(text, edits, file);
}

/**
 * The second node's configuration: the first one's with comments, and what is the second one's own.
 * @param existing text of its own configuration, or null
 * @param withCertificates the listeners' certificates come from the first node; otherwise its own ones count
 */
export function joinedConfig(
  theirs: string,
  existing: string | null,
  own: OwnPart,
  file: string,
  withCertificates: boolean,
): JoinedConfig {
  const shared = plainConfiguration(theirs, "The first node's configuration");
  const found = existing === null ? {} : plainConfiguration(existing, file);
  const mine = isDelivered(found) ? {} : found;
  const edits: Edit[] = [];
  const keep = (path: KeyPath) => {
    const value = valueAt(mine, path);
    if (value !== undefined && value !== null) edits.push({ path, value });
    return value;
  };
  for (const name of LISTENERS) {
    if (keep(["listen", name, "address"]) === undefined) {
      const address = valueAt(shared, ["listen", name, "address"]);
      // An address of the first node's machine is none of this one's.
      if (typeof address === "string" && !isEverywhere(address)) {
        edits.push({ path: ["listen", name, "address"], value: "0.0.0.0" });
      }
    }
    keep(["listen", name, "port"]);
  }
  if (!withCertificates) for (const name of WITH_TLS) keep(["listen", name, "tls"]);
  for (const path of PLACES) keep(path);

  const ownListen = valueAt(mine, ["pair", "listen"]);
  const { address = own.listen.address, port = own.listen.port } = (ownListen ?? {}) as Partial<
    OwnPart["listen"]
  >;
  const text = editConfiguration(theirs, edits, file);
  const changed = edits.filter(
    ({ path, value }) => JSON.stringify(valueAt(shared, path)) !== JSON.stringify(value),
  );
  return {
    text: pairedConfig(text, { ...own, listen: { address, port } }, file, "replace"),
    own: [`node: ${own.node}`, ...changed.map(({ path, value }) => `${path.join(".")}: ${spoken(value)}`)],
  };
}

/** Any address of a machine, or one that every machine has. */
function isEverywhere(address: string): boolean {
  return isWildcardAddress(address) || isLoopbackAddress(address);
}

function spoken(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
