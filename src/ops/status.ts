// What `status` shows of a running node, as it travels over the control socket.

export interface NodeStatus {
  readonly node: string;
  readonly role: "active" | "passive";
  readonly version: string;
  readonly commit: string;
  readonly uptimeSeconds: number;
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  readonly listeners: readonly {
    readonly name: string;
    readonly address: string;
    readonly port: number;
    readonly connections: number;
  }[];
  /** Of the listeners, and push certificates. */
  readonly certificates: readonly { readonly name: string; readonly expiresInSeconds: number }[];
  readonly registrations: readonly {
    readonly app: string;
    readonly platform: string;
    readonly count: number;
  }[];
  /** Registrations that are not rung: the provider called their token dead or bad. */
  readonly notRung: number;
  readonly subscriptions: Readonly<Record<string, number>>;
  /** Since the start; null where it was not heard. */
  readonly exchange: { readonly notifications: number; readonly heardSecondsAgo: number | null };
  readonly owed: number;
  readonly owedOldestSeconds: number | null;
  /** Since the start, for each provider that something is configured for. */
  readonly rings: readonly {
    readonly provider: string;
    readonly triedSecondsAgo: number | null;
    readonly acceptedSecondsAgo: number | null;
  }[];
  readonly paused: readonly {
    readonly app: string;
    readonly provider: string;
    readonly reason: string;
    /** What to do about it. */
    readonly hint: string;
    readonly seconds: number;
  }[];
  /** Null on a single node; left out by a version that knows no pair. */
  readonly pair?: {
    readonly peer: string;
    readonly address: string;
    /** Why this node has the role that it has, and since when. */
    readonly why: string;
    readonly forSeconds: number;
    readonly up: boolean;
    /** While the link is down, or null. */
    readonly detail: string | null;
    /** Null: never. */
    readonly heardSecondsAgo: number | null;
    readonly protected: boolean;
    readonly lagRows: number;
    readonly alarms: readonly string[];
  } | null;
  /** Keys that were changed by a reload and wait for a restart. */
  readonly needsRestart: readonly string[];
}

const LISTS = ["checks", "listeners", "certificates", "registrations", "rings", "paused"] as const;
const TEXTS = ["node", "role", "version", "commit"] as const;
const NUMBERS = ["uptimeSeconds", "notRung", "owed"] as const;

/** Whether an answer is a status as this version knows it: binary and running node may be of different versions. */
export function isNodeStatus(value: unknown): value is NodeStatus {
  if (!isObject(value) || typeof value.ready !== "boolean") return false;
  if (!isObject(value.subscriptions) || !isObject(value.exchange) || !Array.isArray(value.needsRestart))
    return false;
  return (
    LISTS.every((key) => Array.isArray(value[key]) && value[key].every(isObject)) &&
    TEXTS.every((key) => typeof value[key] === "string") &&
    NUMBERS.every((key) => typeof value[key] === "number") &&
    (value.owedOldestSeconds === null || typeof value.owedOldestSeconds === "number")
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
