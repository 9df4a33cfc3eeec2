// What a new configuration changes in a running node: which keys differ, and which of them a running node can take
// over. The schema's `reload` notes decide. Pure: reads no file.
import { isDeepStrictEqual } from "node:util";
import { type Takes, takesOf } from "./reload-notes.ts";
import type { ApnsCredential, Config, Secrets } from "./types.ts";

/** What a node runs with. */
export interface Settings {
  readonly config: Config;
  readonly secrets: Secrets;
}

export interface Change {
  /** As in the file, with an app's id for its number: `apps[com.example.mail].apns.key.key_id`. */
  readonly key: string;
  /** `renewed`: the key is as before, and the file that it names has new content. */
  readonly what: "changed" | "added" | "removed" | "renewed";
  readonly takes: Takes;
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** The new settings, with the running value wherever a new one needs a restart. */
  readonly settings: Settings;
}

/**
 * Compares what a node runs with and what its files say now.
 * @param running as it was started, or `settings` of the last comparison: what waits for a restart is told again
 */
export function compareSettings(running: Settings, next: Settings): Comparison {
  const changes: Change[] = [];
  // Both have the shape of a Config, and every part comes from one or the other.
  const config = merge("", running.config, next.config, changes) as Config;
  return { changes, settings: { config, secrets: mergeSecrets(running.secrets, next.secrets, changes) } };
}

/** `changes` and a renewal of the key's file, unless a change of the key, or of a section around it, is there. */
export function withRenewal(changes: readonly Change[], key: string): readonly Change[] {
  const isTold = changes.some((each) => key === each.key || /^[.[]/.test(after(key, each.key)));
  return isTold ? changes : [...changes, { key, what: "renewed", takes: takesOf(key) }];
}

function after(key: string, start: string): string {
  return key.startsWith(start) ? key.slice(start.length) : "";
}

type Section = Readonly<Record<string, unknown>>;
type Apps = Config["apps"];

function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The new value or the running one, key by key. */
function merge(path: string, running: unknown, next: unknown, changes: Change[]): unknown {
  if (isDeepStrictEqual(running, next)) return running;
  if (isSection(running) && isSection(next) && running.type === next.type) {
    const names = Object.keys(next);
    return Object.fromEntries(
      names.map((name) => {
        const inner = join(path, name, next[name] ?? running[name]);
        const value =
          inner === "apps"
            ? mergeApps(running[name] as Apps, next[name] as Apps, changes)
            : merge(inner, running[name], next[name], changes);
        return [name, value];
      }),
    );
  }
  return take(path, running, next, changes);
}

function take<T>(path: string, running: T, next: T, changes: Change[]): T {
  const key = RENAMED[path] ?? path;
  const takes = takesOf(key);
  changes.push({ key, what: isNone(running) ? "added" : isNone(next) ? "removed" : "changed", takes });
  return takes === "live" ? next : running;
}

function isNone(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}

/** Apps are the same where their ids are, whatever their order. */
function mergeApps(running: Apps, next: Apps, changes: Change[]): Apps {
  const ids = new Set([...next, ...running].map(({ id }) => id));
  return [...ids].flatMap((id) => {
    const [before, now] = [running, next].map((apps) => apps.find((app) => app.id === id));
    const path = `apps[${id}]`;
    const both = before !== undefined && now !== undefined;
    const app = both ? (merge(path, before, now, changes) as Apps[number]) : take(path, before, now, changes);
    return app === undefined ? [] : [app];
  });
}

// Where the file is built otherwise than what it is converted to.
const RENAMED: Readonly<Record<string, string>> = {
  "pair.peer.host": "pair.peer",
  "pair.peer.port": "pair.peer",
  "egress.proxy.url": "egress.proxy",
  "egress.proxy.user": "egress.proxy_user",
  "egress.proxy.user.name": "egress.proxy_user.name",
  "egress.proxy.user.password_file": "egress.proxy_user.password_file",
};

/** The key in the file of a part: `statusFrequencyMinutes` stands there as `status_frequency`. */
function join(path: string, name: string, value: unknown): string {
  // The file has `key` or `certificate` here.
  const kind = name === "credential" && isSection(value) ? String(value.type) : name;
  const own = kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/_(ms|minutes)$/, "");
  return path === "" ? own : `${path}.${own}`;
}

/** The key of each secret's file. */
const SECRET_KEYS = {
  enrolmentSecrets: "registration_auth",
  egressCa: "egress.ca_file",
  egressProxyPassword: "egress.proxy_user.password_file",
} as const satisfies Record<Exclude<keyof Secrets, "apps">, string>;

function mergeSecrets(running: Secrets, next: Secrets, changes: Change[]): Secrets {
  const renewed = (key: string) => changes.splice(0, changes.length, ...withRenewal(changes, key));
  for (const [id, now] of next.apps) {
    const before = running.apps.get(id);
    if (before === undefined) continue;
    if (!isDeepStrictEqual(contentOf(before.apns), contentOf(now.apns)) && now.apns !== null) {
      const kind = now.apns.type === "key" ? "key" : "certificate";
      renewed(`apps[${id}].apns.${kind}.file`);
    }
    if (!isDeepStrictEqual(before.fcm, now.fcm)) renewed(`apps[${id}].fcm.service_account`);
  }
  const settled = <Name extends keyof typeof SECRET_KEYS>(name: Name): Secrets[Name] => {
    const key = SECRET_KEYS[name];
    if (isDeepStrictEqual(running[name], next[name])) return running[name];
    renewed(key);
    return takesOf(key) === "live" ? next[name] : running[name];
  };
  return {
    apps: next.apps,
    enrolmentSecrets: settled("enrolmentSecrets"),
    egressCa: settled("egressCa"),
    egressProxyPassword: settled("egressProxyPassword"),
  };
}

/** What comes from the credential's file, without the ids that stand in the configuration. */
function contentOf(credential: ApnsCredential | null): unknown {
  if (credential?.type !== "key") return credential;
  return credential.privateKey;
}
