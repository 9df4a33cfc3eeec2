// A way through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6), with Basic authentication (RFC 7617) if asked.
import { request } from "node:http";
import type { Socket } from "node:net";
import { DialError } from "./dial-error.ts";
import type { HttpProxy } from "./transport.ts";

/**
 * Asks the proxy at the other end of `socket` for a tunnel. The socket is the tunnel afterwards; it is ended where
 * there is none.
 * @param authority host and port behind the proxy
 * @throws DialError `proxy_authentication`, `proxy_refused`, `proxy_cannot_reach` or `proxy_unreachable`
 */
export function openTunnel(
  socket: Socket,
  proxy: HttpProxy,
  authority: string,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({
      method: "CONNECT",
      path: authority,
      headers: {
        host: authority,
        ...(proxy.authorization === null ? {} : { "proxy-authorization": proxy.authorization }),
      },
      createConnection: () => socket,
    });
    let open = false;
    const fail = (code: string) => {
      if (open) return;
      signal.removeEventListener("abort", abandon);
      socket.destroy();
      reject(new DialError(code));
    };
    const abandon = () => fail("aborted");
    signal.addEventListener("abort", abandon);
    // What follows the proxy's answer comes from the provider, which says nothing before it is spoken to.
    asked.once("connect", (answer) => {
      const code = refusal(answer.statusCode ?? 0);
      if (code !== null) {
        fail(code);
        return;
      }
      open = true;
      signal.removeEventListener("abort", abandon);
      resolve();
    });
    // Any other answer than one to CONNECT, and anything that is no HTTP at all, is no proxy's.
    asked.once("response", () => fail("proxy_unreachable"));
    asked.on("error", () => fail("proxy_unreachable"));
    asked.once("close", () => fail("proxy_unreachable"));
    asked.end();
  });
}

/** What a proxy's status means; null: there is a tunnel. */
function refusal(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  // 401 is tinyproxy's word for a wrong password; the provider itself has not been asked yet.
  if (status === 407 || status === 401) return "proxy_authentication";
  // Squid answers 503, tinyproxy 500, others 502 or 504 when they do not reach the other end.
  if (status >= 500) return "proxy_cannot_reach";
  return "proxy_refused";
}
