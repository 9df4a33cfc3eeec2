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
  readonly registrations: readonly {
    readonly app: string;
    readonly platform: string;
    readonly count: number;
  }[];
  readonly subscriptions: Readonly<Record<string, number>>;
  readonly owed: number;
  readonly owedOldestSeconds: number | null;
  readonly paused: readonly { readonly app: string; readonly provider: string; readonly reason: string }[];
}

const LISTS = ["checks", "listeners", "registrations", "paused"] as const;
const TEXTS = ["node", "role", "version", "commit"] as const;
const NUMBERS = ["uptimeSeconds", "owed"] as const;

/** Whether an answer is a status as this version knows it: binary and running node may be of different versions. */
export function isNodeStatus(value: unknown): value is NodeStatus {
  if (!isObject(value) || typeof value.ready !== "boolean" || !isObject(value.subscriptions)) return false;
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
