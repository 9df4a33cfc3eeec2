// When a push certificate expires. The runtime reads .p12 files for its own use and tells nobody what is in them, so
// the certificate is looked at as a peer sees it: in a handshake of this process with itself.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { ApnsCredential } from "./types.ts";

// A handshake with oneself takes milliseconds.
const LIMIT_MS = 5_000;

/** @returns epoch milliseconds, or null for a token key, which does not expire, or if it could not be found out */
export async function pushCertificateExpiry(credential: ApnsCredential): Promise<number | null> {
  switch (credential.type) {
    case "key":
      return null;
    case "pem":
      return credential.expiresAt;
    case "p12":
      return seenAsPeer(credential);
  }
}

async function seenAsPeer({ pfx, passphrase }: { pfx: Buffer; passphrase: string }): Promise<number | null> {
  const server = createServer({ pfx, passphrase });
  const signal = AbortSignal.timeout(LIMIT_MS);
  let socket: TLSSocket | null = null;
  // Whoever else connects in this moment sees a certificate, as it would anywhere, and nothing more.
  server.on("secureConnection", (peer) => peer.on("error", () => {}));
  server.on("tlsClientError", () => {});
  try {
    server.listen(0, "127.0.0.1");
    await once(server, "listening", { signal });
    const { port } = server.address() as AddressInfo;
    // Not a check of trust: Apple's authority for push certificates is none of the usual ones.
    socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
    await once(socket, "secureConnect", { signal });
    const expiresAt = Date.parse(socket.getPeerCertificate().valid_to);
    return Number.isNaN(expiresAt) ? null : expiresAt;
  } catch {
    return null;
  } finally {
    socket?.destroy();
    server.close();
  }
}
