// How a registration looks to its app: states, times and callback URLs from the stored rows. Pure.
import type { Config } from "../config/types.ts";
import type { Keyring } from "../keys/types.ts";
import { folderState, newestGeneration } from "../store/folder-state.ts";
import type { Folder, LastRing, RegistrationState } from "../store/types.ts";
import { ewsGuidance } from "./discovery.ts";
import type { RegistrationAnswer, RegistrationViewAnswer } from "./schema.ts";

/** How a registration stands after a decision: what the answer is made from. */
export interface Standing {
  readonly revision: number;
  readonly renewedAt: number;
  readonly folders: readonly Folder[];
}

type Present = Extract<RegistrationState, { kind: "present" }>;

/** The state of a registration: the worst news first. */
export function registrationState(state: Present): RegistrationViewAnswer["state"] {
  if (state.dead !== "no") return "dead";
  const states = state.folders.map(folderState);
  if (states.some((folder) => folder !== "live" && folder !== "expected")) return "resubscribe";
  return states.includes("live") ? "live" : "expected";
}

/** Answer to a PUT; the same rows always give the same bytes. */
export function putAnswer(
  id: string,
  standing: Standing,
  config: Config,
  keyring: Keyring,
): RegistrationAnswer {
  return {
    id,
    revision: standing.revision,
    folders: byName(standing.folders).map((folder) => ({
      name: folder.name,
      kind: folder.kind,
      state: folderState(folder),
      callback_url: callbackUrl(id, folder, config, keyring),
    })),
    renew_before: renewBefore(standing.renewedAt, config.retention.idleRegistrationMs),
    ews: ewsGuidance(config),
  };
}

/** Answer to a GET. */
export function getAnswer(state: Present, lastRing: LastRing | null, config: Config): RegistrationViewAnswer {
  const { registration } = state;
  return {
    id: registration.id,
    app: registration.app,
    platform: registration.platform,
    revision: registration.revision,
    state: registrationState(state),
    renew_before: renewBefore(registration.renewedAt, config.retention.idleRegistrationMs),
    folders: byName(state.folders).map((folder) => ({
      name: folder.name,
      kind: folder.kind,
      state: folderState(folder),
      ...(folder.lastHeardAt === null ? {} : { last_heard_at: isoTime(folder.lastHeardAt) }),
    })),
    ...(lastRing === null
      ? {}
      : {
          last_ring: { at: isoTime(lastRing.at), reasons: [lastRing.reason], outcome: lastRing.outcome },
        }),
  };
}

function callbackUrl(id: string, folder: Folder, config: Config, keyring: Keyring): string {
  const capability = { registrationId: id, folder: folder.name, generation: newestGeneration(folder) };
  return `${config.public.exchangeUrl}/ews/${keyring.mintCapability(capability)}`;
}

/** Half of the idle time: a renewal may fail for as long again before the registration is let go. */
function renewBefore(renewedAt: number, idleMs: number): string {
  return isoTime(renewedAt + Math.floor(idleMs / 2));
}

function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

function byName(folders: readonly Folder[]): readonly Folder[] {
  return folders.toSorted((left, right) => (left.name < right.name ? -1 : 1));
}
