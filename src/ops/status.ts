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
