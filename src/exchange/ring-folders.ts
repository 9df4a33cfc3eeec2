// Which kinds of folders an app wants to be rung for.
import type { AppConfig } from "../config/types.ts";
import type { FolderKind } from "../store/types.ts";

/** Whether phones of this app are rung for folders of this kind. */
export type RingsFor = (app: string, kind: FolderKind) => boolean;

/** As the configuration says; an app that is not in it any more is left as if it wanted everything. */
export function ringsFor(apps: readonly AppConfig[], app: string, kind: FolderKind): boolean {
  return apps.find(({ id }) => id === app)?.ringFolders.includes(kind) ?? true;
}
