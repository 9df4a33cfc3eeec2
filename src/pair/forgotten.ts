// A node that was told that its other node is no more remembers that beside its database, and stays a single one.
import { existsSync, readFileSync } from "node:fs";
import { BellError } from "../errors.ts";
import { epochFilePath } from "./epoch-file.ts";

/** The name of the node that was forgotten here, or null. @param database absolute path */
export function forgottenNode(database: string): string | null {
  const path = epochFilePath(database);
  if (!existsSync(path)) return null;
  try {
    const value = JSON.parse(readFileSync(path, "utf8")) as { readonly forgotten?: unknown } | null;
    return typeof value?.forgotten === "string" ? value.forgotten : null;
  } catch (cause) {
    throw new BellError("pair_file", `${path} cannot be read.`, cause);
  }
}

/** Why a node cannot join its pair again yet. @param node where `forgotten` was forgotten */
export function forgottenText(node: string, forgotten: string, database: string): string {
  return `${node} was told to forget ${forgotten}, and remembers it: stop the service on ${node}, remove ${epochFilePath(database)}, start it, and join again.`;
}
