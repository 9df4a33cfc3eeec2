// What a single text must satisfy beyond its pattern. Pure; messages repeat a short duration and no other text.
import { isIP } from "node:net";
import { isAddressOrBlock, isLoopbackHost, isWildcardAddress } from "./addresses.ts";
import { quoted } from "./describe.ts";
import { parseDurationMs } from "./durations.ts";
import { hostAndPort } from "./host-port.ts";
import type { LeafRule, OptionNotes } from "./options.ts";
import { absolutePath, type Environment, pathComplaint } from "./paths.ts";

export interface Complaint {
  readonly message: string;
  readonly hint?: string;
}

export interface RuleContext {
  /** Absolute path of the configuration file. */
  readonly configFile: string;
  readonly env: Environment;
}

/** sun_path of unix(7) has 108 bytes, the last one is NUL. */
const SOCKET_PATH_MAX_BYTES = 107;

/** What is wrong with `text` under the option's rule, or null. */
export function checkLeaf(
  rule: LeafRule,
  text: string,
  option: Partial<OptionNotes>,
  context: RuleContext,
): Complaint | null {
  const expected = { message: `expected ${option.expected ?? "something else"}` };
  switch (rule) {
    case "duration":
      return durationComplaint(text, option) ? found(expected, text) : null;
    case "path":
      return pathComplaint(text, context.env);
    case "socket_path":
      return socketComplaint(text, context);
    case "address":
      if (isIP(text) !== 0) return null;
      return text === "localhost" ? { ...expected, hint: 'write "127.0.0.1"' } : expected;
    case "cidr":
      return isAddressOrBlock(text) ? null : blockComplaint(text, expected);
    case "host_port":
      return hostAndPort(text) === null ? hostPortComplaint(text, expected) : null;
    case "origin_url":
      return urlComplaint(text, option, false);
    case "provider_url":
      return urlComplaint(text, option, true);
    case "proxy_url":
      return proxyComplaint(text, option);
    case "no_proxy":
      return exemptionComplaint(text, expected);
  }
}

function found({ message }: Complaint, text: string): Complaint {
  const shown = quoted(text);
  return { message: shown === null ? message : `${message}, found ${shown}` };
}

function blockComplaint(text: string, expected: Complaint): Complaint {
  const [address = "", prefix] = text.split("/");
  const family = isIP(address);
  if (family !== 0 && prefix !== undefined) {
    return /^\d+$/.test(prefix) && !prefix.startsWith("0")
      ? { ...expected, hint: `a prefix of IPv${family} is ${family === 4 ? 32 : 128} at most` }
      : { ...expected, hint: "write the prefix as a number of bits, such as /16" };
  }
  if (/^[\d.]+:\d+$|^\[.*\]/.test(text)) return { ...expected, hint: "leave out brackets and port" };
  return /[a-z]/i.test(address) && !address.includes(":")
    ? { ...expected, hint: "names are not looked up: write the address" }
    : expected;
}

function hostPortComplaint(text: string, expected: Complaint): Complaint {
  if (/^[a-z]+:\/\//i.test(text)) return { ...expected, hint: "leave out the scheme" };
  if (isIP(text) === 6)
    return { ...expected, hint: "write an IPv6 address in brackets, followed by the port" };
  return text.includes(":") ? expected : { ...expected, hint: "append the port, such as :7443" };
}

function durationComplaint(text: string, { minMs = 0, maxMs = Infinity, stepMs = 1 }: Partial<OptionNotes>) {
  const ms = parseDurationMs(text);
  return ms === null || ms < minMs || ms > maxMs || ms % stepMs !== 0;
}

function socketComplaint(text: string, { configFile, env }: RuleContext): Complaint | null {
  const complaint = pathComplaint(text, env);
  if (complaint) return complaint;
  const bytes = Buffer.byteLength(absolutePath(text, configFile, env));
  return bytes > SOCKET_PATH_MAX_BYTES
    ? { message: `the whole path of a socket can have ${SOCKET_PATH_MAX_BYTES} bytes, this one has ${bytes}` }
    : null;
}

function proxyComplaint(text: string, option: Partial<OptionNotes>): Complaint | null {
  const complaint = urlComplaint(text, { ...option, plainHttp: "anywhere" }, false);
  if (complaint !== null && /^https?:\/\/[^/]*@/i.test(text)) {
    return { ...complaint, hint: "name and password belong into egress.proxy_user" };
  }
  return complaint;
}

/** Hosts and suffixes as `NO_PROXY` has them, without its ports and stars: their meaning differs between programs. */
function exemptionComplaint(text: string, expected: Complaint): Complaint | null {
  if (isAddressOrBlock(text) || /^\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/.test(text)) return null;
  if (text.startsWith("*."))
    return { ...expected, hint: "write it without the star: it begins with the dot" };
  return /:\d+$/.test(text) && isIP(text) === 0 ? { ...expected, hint: "leave out the port" } : expected;
}

function urlComplaint(text: string, option: Partial<OptionNotes>, pathAllowed: boolean): Complaint | null {
  const url = /^https?:\/\/[^\\\s]+$/i.test(text) && URL.canParse(text) ? new URL(text) : null;
  if (url === null) return { message: `expected ${option.expected ?? "a URL"}` };
  if (url.username !== "" || url.password !== "") {
    return { message: "a URL here cannot have a user name or password" };
  }
  if (text.includes("?") || text.includes("#")) return { message: "a URL here ends before ? and #" };
  if (!pathAllowed && url.pathname !== "/") {
    return { message: "a URL here has no path", hint: "leave out what follows the host and port" };
  }
  if (isWildcardAddress(url.hostname.replace(/^\[(.*)\]$/, "$1"))) {
    return { message: "expected a host that others can reach, not the address that stands for all" };
  }
  // Certificates name hosts without it, so clients refuse them; and nobody listens on port 0 or answers for a star.
  if (url.hostname.endsWith(".")) return { message: "expected a host name without a dot at its end" };
  if (url.hostname.includes("*")) {
    return { message: "expected the name of one host; a star belongs into certificates only" };
  }
  if (url.port === "0") return { message: "expected a port from 1 to 65535" };
  if (url.protocol === "https:" || option.plainHttp === "anywhere") return null;
  if (option.plainHttp === "on_loopback") {
    return isLoopbackHost(url.hostname)
      ? null
      : { message: "expected https; http is for loopback addresses only" };
  }
  return { message: "expected https" };
}
