// Makes sure that a comparison with and without resumption compares that: OpenSSL's client says what each server did.
import { join } from "node:path";
import { LOAD_CORE, runOn } from "./processes.ts";
import type { Stage } from "./stage.ts";

/** Throws if a server does not resume TLS 1.3 sessions, or resumes TLS 1.2 sessions without a ticket. */
export async function checkHandshakes(stage: Stage, name: string, url: string): Promise<void> {
  const { host } = new URL(url);
  const session = join(stage.root, `session-${host}`);
  const connect = (...args: string[]) =>
    runOn(
      LOAD_CORE,
      ["openssl", "s_client", "-connect", host, "-CAfile", join(stage.root, "ca.pem"), ...args],
      {
        // A request that gets an answer: the ticket of TLS 1.3 comes after the handshake.
        input: "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      },
    );
  await connect("-ign_eof", "-tls1_3", "-sess_out", session);
  if (!/^Reused, TLSv1\.3/m.test(await connect("-ign_eof", "-tls1_3", "-sess_in", session))) {
    throw new Error(`${name} does not resume TLS 1.3 sessions.`);
  }
  const again = await connect("-tls1_2", "-no_ticket", "-reconnect");
  if (/^Reused/m.test(again) || !/^New, TLSv1\.2/m.test(again)) {
    throw new Error(`${name} resumes TLS 1.2 sessions without tickets, or does not speak TLS 1.2.`);
  }
}
