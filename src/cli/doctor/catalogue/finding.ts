// The form of what the catalogue says of one finding.

/** Where on the way of a notification, or of a registration, something was looked at. */
export type Hop =
  | "configuration"
  | "settings"
  | "permissions"
  | "disk"
  | "database"
  | "node"
  | "certificates"
  | "public"
  | "admin"
  | "dns"
  | "proxy"
  | "apns"
  | "fcm"
  | "clock"
  | "pair";

export interface Finding {
  readonly hop: Hop;
  /** A failure: phones are not rung, or will not be. A warning: it works, and should be looked at. */
  readonly level: "warning" | "failure";
  /** What it means, one sentence. */
  readonly cause: string;
  /** What to do. */
  readonly remedy: string;
}
