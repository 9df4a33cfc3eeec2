// What can stand at the public URLs instead of Inboxbell, or before it; and who else reads the administrators' listener.
import type { Finding } from "./finding.ts";

export const PUBLIC_FINDINGS = {
  public_unresolved: {
    hop: "public",
    level: "failure",
    cause: "The host of a public URL cannot be resolved here, so that nothing beyond could be looked at.",
    remedy:
      "Check the URL and this machine's DNS; where only others can resolve it, an entry in /etc/hosts makes the look possible.",
  },
  public_unreachable: {
    hop: "public",
    level: "failure",
    cause:
      "No connection to the public URL: nobody listens there, or a firewall or load balancer is in the way.",
    remedy: "Check the port in the URL, the load balancer, the firewall, and whether the service runs.",
  },
  public_not_tls: {
    hop: "public",
    level: "failure",
    cause: "What listens at the public URL does not speak TLS.",
    remedy:
      "Check the port and the load balancer's kind of service (SSL or SSL bridge, not plain TCP to another port).",
  },
  public_tls_refused: {
    hop: "public",
    level: "failure",
    cause: "The TLS handshake at the public URL fails.",
    remedy: "Check the protocol versions, and whether the load balancer asks for a client certificate.",
  },
  public_untrusted: {
    hop: "public",
    level: "warning",
    cause: "A load balancer ends TLS with a certificate that this machine does not trust.",
    remedy:
      "If its authority is your own, add it to the trust stores of this machine, the Exchange servers and the phones; if not, it may lack an intermediate certificate.",
  },
  public_redirected: {
    hop: "public",
    level: "failure",
    cause: "The public URL redirects. Exchange follows a redirect with a GET, and the notification is lost.",
    remedy: "Switch off redirects, login pages and http-to-https rules on the load balancer for this host.",
  },
  public_challenged: {
    hop: "public",
    level: "failure",
    cause:
      "Something before Inboxbell asks for a log-in. Unpatched Exchange servers answer that with their machine account (CVE-2018-8581).",
    remedy: "Switch off pre-authentication (AAA, SSO, NTLM) for this host.",
  },
  public_gateway_error: {
    hop: "public",
    level: "failure",
    cause: "A load balancer answers, and does not reach this node.",
    remedy: "Check its back-end address, port, TLS to the back-end and monitor (GET /livez).",
  },
  public_refused: {
    hop: "public",
    level: "warning",
    cause:
      "The listener's allow list refuses what comes from the load balancer; Exchange would be refused too.",
    remedy:
      "Add the load balancer's own addresses to allow, or to trusted_proxies where it tells the client's address.",
  },
  public_wrong_service: {
    hop: "public",
    level: "failure",
    cause: "Something else than Inboxbell answers at the public URL, for this path at least.",
    remedy: "Check host and port, and the load balancer's rules for paths and methods.",
  },

  admin_exposed: {
    hop: "admin",
    level: "failure",
    cause: "The administrators' listener can be read from the network without a credential.",
    remedy: "Remove the port forwarding or proxy rule that leads to it; reach it through an SSH tunnel.",
  },
} as const satisfies Record<string, Finding>;
