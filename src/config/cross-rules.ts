// Rules that concern more than one option, and warnings about settings that are allowed but weaker. Pure: works
// on what is right so far, so that these are reported together with other problems.
import { addressesOverlap, isLoopbackAddress } from "./addresses.ts";
import { pairFindings } from "./cross-rules-pair.ts";
import { type Finding, finding, type Position } from "./problems.ts";
import type { RawConfig } from "./schema.ts";

/** The configuration with parts missing. */
export type Incomplete<T> = T extends readonly (infer Item)[]
  ? (Incomplete<Item> | undefined)[]
  : T extends object
    ? { [Key in keyof T]?: Incomplete<T[Key]> | undefined }
    : T;

export interface RuleInput {
  readonly raw: Incomplete<RawConfig>;
  /** The node's name when the file gives none. */
  readonly hostname: string;
  /** Whether a finding concerns this key or something within it: then nothing more is said about it. */
  isWrong(keyPath: string): boolean;
  /** The place of the key, or of the nearest mapping around it that is in the file. */
  place(keyPath: string): Position;
}

const LISTENERS = ["registration", "exchange", "admin"] as const;

/** Problems that only show when options are seen together. */
export function crossFindings(input: RuleInput): Finding[] {
  return [
    ...listenerFindings(input),
    ...appFindings(input),
    ...egressFindings(input),
    ...pairFindings(input),
  ];
}

function egressFindings({ raw, isWrong, place }: RuleInput): Finding[] {
  if (raw.egress?.proxy_user === undefined || raw.egress.proxy !== undefined || isWrong("egress.proxy"))
    return [];
  const at = "egress.proxy_user";
  return [
    finding("config_invalid", place(at), at, "expected egress.proxy beside it: an account at which proxy?"),
  ];
}

function listenerFindings({ raw, isWrong, place }: RuleInput): Finding[] {
  const findings: Finding[] = [];
  const add = (keyPath: string, message: string, hint?: string) =>
    findings.push(finding("config_invalid", place(keyPath), keyPath, message, hint));
  const taken: { name: string; address: string; port: number }[] = [];
  for (const name of LISTENERS) {
    const path = `listen.${name}`;
    const listener = raw.listen?.[name];
    const { address, port } = listener ?? {};
    if (listener === undefined || address === undefined || isWrong(`${path}.address`)) continue;
    if (name === "admin" && !isLoopbackAddress(address)) {
      add(
        `${path}.address`,
        "expected a loopback address: off loopback this listener needs TLS and an admin token, which are not available in this version",
        'write "127.0.0.1" and reach it from elsewhere through an SSH tunnel',
      );
    }
    if ("tls" in listener && isTlsOff(listener.tls) && !isLoopbackAddress(address)) {
      add(`${path}.tls`, "off is allowed on a loopback address only", "name a certificate and its key");
    }
    if ("proxy_protocol" in listener && isOn(listener.proxy_protocol)) {
      const key = `${path}.trusted_proxies`;
      if ((listener.trusted_proxies ?? []).length === 0 && !isWrong(key)) {
        add(
          `${path}.proxy_protocol`,
          "on needs trusted_proxies beside it: nobody else may send that header",
          "name the load balancer's addresses there",
        );
      }
    }
    if (port === undefined || port === 0 || isWrong(`${path}.port`)) continue;
    const other = taken.find((one) => one.port === port && addressesOverlap(one.address, address));
    if (other) add(`${path}.port`, `the address and port are those of listen.${other.name}`);
    taken.push({ name, address, port });
  }
  return findings;
}

function appFindings({ raw, isWrong, place }: RuleInput): Finding[] {
  const findings: Finding[] = [];
  const add = (keyPath: string, message: string, hint?: string) =>
    findings.push(finding("config_invalid", place(keyPath), keyPath, message, hint));
  const seen = new Map<string, number>();
  for (const [index, app] of (raw.apps ?? []).entries()) {
    const path = `apps[${index}]`;
    if (app === undefined) continue;
    if (app.id !== undefined) {
      const first = seen.get(app.id);
      if (first !== undefined)
        add(`${path}.id`, `the same id as apps[${first}]`, "one entry holds both apns and fcm");
      else seen.set(app.id, index);
    }
    if (
      app.apns === undefined &&
      app.fcm === undefined &&
      !isWrong(`${path}.apns`) &&
      !isWrong(`${path}.fcm`)
    ) {
      add(path, "expected apns, fcm or both, found neither");
    }
    if (app.apns === undefined) continue;
    const { key, certificate, port, url } = app.apns;
    if (port !== undefined && url !== undefined) {
      add(`${path}.apns.port`, "expected either port or url, found both", "write the port into the URL");
    }
    if (key !== undefined && certificate !== undefined) {
      add(`${path}.apns.certificate`, "expected either key or certificate, found both");
    } else if (
      key === undefined &&
      certificate === undefined &&
      !isWrong(`${path}.apns.key`) &&
      !isWrong(`${path}.apns.certificate`)
    ) {
      add(`${path}.apns`, "expected key or certificate, found neither");
    }
  }
  return findings;
}

/** Settings that work and are weaker than the delivered ones. */
export function weakSettings({ raw, place }: RuleInput): Finding[] {
  const warnings: Finding[] = [];
  const add = (keyPath: string, message: string) =>
    warnings.push(finding("config_invalid", place(keyPath), keyPath, message));
  for (const name of ["registration", "exchange"] as const) {
    const listener = raw.listen?.[name];
    if (listener?.address === undefined) continue;
    const loopback = isLoopbackAddress(listener.address);
    if (isTlsOff(listener.tls) && loopback) {
      add(`listen.${name}.tls`, "TLS is off: whatever is before this listener has to encrypt");
    }
    if (!loopback && (listener.allow ?? []).length === 0) {
      add(`listen.${name}.allow`, "empty: every address may connect");
    }
  }
  const shared = raw.listen?.exchange?.shared_route;
  if (isOn(shared)) {
    add("listen.exchange.shared_route", "on: whoever knows a SubscriptionId can have its phone rung");
  }
  return warnings;
}

function isOn(toggle: unknown): boolean {
  return toggle === true || toggle === "on";
}

/** Whether `tls` was switched off; YAML 1.1 reads `off` as false. */
export function isTlsOff(tls: unknown): boolean {
  return tls === "off" || tls === false;
}
