// The catalogue of what `doctor` can find: each has a stable code, which scripts and docs/troubleshooting.md refer to.
// The probes are in the files beside this one.

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

// Codes are never renamed and never reused.
export const FINDINGS = {
  config_problem: {
    hop: "configuration",
    level: "failure",
    cause: "The configuration, or a file that it names, has an error: the service does not start with it.",
    remedy: "Correct it at the place that is named; `inboxbell check` lists every problem.",
  },
  config_warning: {
    hop: "configuration",
    level: "warning",
    cause: "The configuration is taken, and something in it deserves a look.",
    remedy: "Read the sentence; `inboxbell check` shows it with its place.",
  },

  allow_empty: {
    hop: "settings",
    level: "warning",
    cause: "A listener accepts connections from every address.",
    remedy: "List the networks of the Exchange servers, or of the Gateway, in the listener's allow.",
  },
  tls_off: {
    hop: "settings",
    level: "warning",
    cause: "A listener speaks plain HTTP.",
    remedy: "Name a certificate and key, unless a proxy on this very machine ends TLS.",
  },
  shared_route_on: {
    hop: "settings",
    level: "warning",
    cause: "Whoever knows a SubscriptionId can have its phone rung.",
    remedy: "Switch shared_route off once no app needs the fixed callback URL.",
  },

  secret_exposed: {
    hop: "permissions",
    level: "failure",
    cause: "Other users of this machine can read or change a file that holds a secret. It is refused.",
    remedy: "Run chmod 0600 on it; if others may have read it, replace the secret.",
  },
  secret_unreadable: {
    hop: "permissions",
    level: "failure",
    cause: "A file that the configuration names is missing, or this user may not read it.",
    remedy: "Run doctor as root or as the service's user; if it fails there too, put the file in place.",
  },
  owner_differs: {
    hop: "permissions",
    level: "warning",
    cause:
      "The database, its keys and their directory belong to different users, as after a start by hand as root.",
    remedy: "Make the service's user the owner of all of them: chown -R inboxbell: /var/lib/inboxbell",
  },
  directory_writable: {
    hop: "permissions",
    level: "failure",
    cause: "Every user of this machine may put files beside the database or the configuration.",
    remedy: "Run chmod o-w on the directory.",
  },

  disk_full: {
    hop: "disk",
    level: "failure",
    cause: "The database's disk is full, or nearly: soon nothing can be accepted from Exchange.",
    remedy: "Free space now. Exchange repeats what it could not deliver for about the status frequency.",
  },
  disk_low: {
    hop: "disk",
    level: "warning",
    cause: "The database's disk is filling up.",
    remedy: "Free space, or move the database to a larger disk.",
  },
  disk_slow: {
    hop: "disk",
    level: "warning",
    cause: "Flushing to the disk takes long, and Exchange waits for a flush with each notification.",
    remedy:
      "Put the database on a faster disk; look for other programs that write much, and at the storage's write cache.",
  },
  disk_unwritable: {
    hop: "disk",
    level: "failure",
    cause: "The directory of the database is missing or cannot be written.",
    remedy:
      "Create it and make the service's user its owner; look for a file system that was remounted read-only.",
  },
  disk_not_local: {
    hop: "disk",
    level: "failure",
    cause:
      "The database is on a network file system, which does not keep its promises about locks and flushes.",
    remedy: "Put store.path on a local disk.",
  },
  disk_volatile: {
    hop: "disk",
    level: "failure",
    cause: "The database is in memory (tmpfs): a restart of the machine loses every registration.",
    remedy: "Put store.path on a disk.",
  },

  database_corrupt: {
    hop: "database",
    level: "failure",
    cause: "The database file is damaged.",
    remedy: "Keep the file, restore the newest backup; look at the disk (smartctl, dmesg).",
  },
  database_newer: {
    hop: "database",
    level: "failure",
    cause: "The database was written by a newer version of Inboxbell.",
    remedy: "Install that version or a newer one, or restore a backup made by this version.",
  },
  database_foreign: {
    hop: "database",
    level: "failure",
    cause: "The file is no database of Inboxbell.",
    remedy: "Check store.path.",
  },

  node_not_running: {
    hop: "node",
    level: "failure",
    cause:
      "No node answers on the control socket: the service is stopped, or runs with another configuration.",
    remedy: "Start it (systemctl start inboxbell) and read its journal if it does not stay up.",
  },
  node_not_ready: {
    hop: "node",
    level: "failure",
    cause: "The node runs, and cannot do its work.",
    remedy: "The sentence says which of its own checks fails; its journal says more.",
  },
  node_denied: {
    hop: "node",
    level: "warning",
    cause: "This user may not ask the running node.",
    remedy: "Run doctor as root or as a member of the service's group.",
  },
  version_differs: {
    hop: "node",
    level: "warning",
    cause: "The running node is of another version than this program: it was not restarted after an upgrade.",
    remedy: "Restart the service.",
  },
  restart_needed: {
    hop: "node",
    level: "warning",
    cause: "Settings were changed by a reload and wait for a restart.",
    remedy: "Restart the service when it suits.",
  },
  app_paused: {
    hop: "node",
    level: "failure",
    cause: "An app is not rung at the moment; what is owed stays owed.",
    remedy: "The sentence says why and what to do; ringing goes on by itself.",
  },

  certificate_unusable: {
    hop: "certificates",
    level: "failure",
    cause: "A certificate or its key cannot be used at all.",
    remedy: "The sentence names the file and what is wrong with it.",
  },
  certificate_expired: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate has expired: neither Exchange nor phones connect.",
    remedy: "Renew it in its place; the node takes the new one by itself within a minute or at a reload.",
  },
  certificate_not_yet_valid: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not valid yet, or the clock of this machine is wrong.",
    remedy: "Compare its first day with the clock (timedatectl).",
  },
  certificate_expires_soon: {
    hop: "certificates",
    level: "warning",
    cause: "The certificate expires within a month.",
    remedy: "Renew it now.",
  },
  certificate_chain_incomplete: {
    hop: "certificates",
    level: "warning",
    cause:
      "The file holds no intermediate certificate, and the issuer is not an authority that this machine trusts: clients may not be able to build the chain.",
    remedy:
      "Append the intermediate certificates; if the issuer is your own root, add it to this machine's trust store.",
  },
  certificate_name_mismatch: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not for the name in the public URL: clients refuse it.",
    remedy: "Have it issued for that name (subjectAltName), or correct the URL.",
  },
  certificate_key_mismatch: {
    hop: "certificates",
    level: "failure",
    cause: "The private key belongs to another certificate.",
    remedy:
      "Name the key that the certificate was requested with; mind the order of the files after a renewal.",
  },
  certificate_weak: {
    hop: "certificates",
    level: "failure",
    cause:
      "The certificate is signed with SHA-1 or MD5, or its RSA key is shorter than 2048 bits: phones and patched Windows servers refuse it.",
    remedy: "Have it issued anew with SHA-256 and an RSA key of 2048 bits or a P-256 key.",
  },
  certificate_curve: {
    hop: "certificates",
    level: "failure",
    cause:
      "The key is on a curve that the Windows servers below Exchange 2013 to SE do not take by default; they take P-256 and P-384.",
    remedy: "Have it issued with an RSA key of 2048 bits or a P-256 key.",
  },
  certificate_purpose: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not issued for servers (extended key usage serverAuth).",
    remedy: "Have it issued from a template for web servers.",
  },
  certificate_long_lived: {
    hop: "certificates",
    level: "warning",
    cause: "The certificate is valid for more than 825 days: iPhones refuse such certificates.",
    remedy: "Have it issued for at most 825 days.",
  },
  push_certificate_expired: {
    hop: "certificates",
    level: "failure",
    cause: "The push certificate has expired: Apple rings no iPhone of the app.",
    remedy: "Get a new one from Apple's developer site, or change to a token key, which does not expire.",
  },
  push_certificate_expires_soon: {
    hop: "certificates",
    level: "warning",
    cause: "The push certificate expires within a month.",
    remedy: "Get a new one from Apple's developer site, or change to a token key, which does not expire.",
  },

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

  dns_unresolved: {
    hop: "dns",
    level: "failure",
    cause: "A name on the way to Apple or Google cannot be resolved.",
    remedy: "Check /etc/resolv.conf; where only a proxy leads out, name it in egress.proxy.",
  },

  proxy_unreachable: {
    hop: "proxy",
    level: "failure",
    cause: "No HTTP proxy answers at egress.proxy.",
    remedy: "Check its host, port and scheme, and the firewall.",
  },
  proxy_authentication: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy wants a valid account (407).",
    remedy: "Check egress.proxy_user and its password file, and that the proxy accepts Basic authentication.",
  },
  proxy_refused: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy forbids the way to the provider.",
    remedy: "Its rules must allow CONNECT to that host and port.",
  },
  proxy_cannot_reach: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy answers, but cannot reach the provider.",
    remedy: "Check the proxy's own way out and its DNS.",
  },
  proxy_silent: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy takes the connection and does not answer.",
    remedy: "Check the proxy, and whether it can reach the provider.",
  },
  proxy_certificate: {
    hop: "proxy",
    level: "failure",
    cause: "The proxy's own certificate is not trusted.",
    remedy: "Name its authority in egress.ca_file.",
  },
  egress_inspected: {
    hop: "proxy",
    level: "warning",
    cause:
      "A proxy or firewall inspects TLS on the way to the provider. It works, since its authority is in egress.ca_file; it reads device tokens.",
    remedy: "Exempt the provider's hosts from inspection; Apple and Google ask for that.",
  },
  egress_untrusted: {
    hop: "proxy",
    level: "failure",
    cause:
      "The certificate on the way to the provider is not trusted: a proxy or firewall inspects TLS, or the clock is wrong.",
    remedy:
      "Exempt the provider's hosts from inspection, or name the inspecting authority in egress.ca_file; compare the clock.",
  },
  egress_no_http2: {
    hop: "proxy",
    level: "failure",
    cause: "What answers in the provider's place does not speak HTTP/2.",
    remedy: "Exempt the provider from inspection on the firewall or proxy.",
  },

  apns_unreachable: {
    hop: "apns",
    level: "failure",
    cause: "No connection to Apple.",
    remedy:
      "Allow TCP to api.push.apple.com on port 443 (or 2197 with apns.port); where only a proxy leads out, name it in egress.proxy.",
  },
  apns_credential_refused: {
    hop: "apns",
    level: "failure",
    cause: "Apple refuses the credential.",
    remedy:
      "Check apns.key: file, key_id and team_id must belong together and the key must not be revoked; or the certificate.",
  },
  apns_wrong_environment: {
    hop: "apns",
    level: "failure",
    cause: "The credential is for Apple's other environment.",
    remedy: "Check apns.environment and the credential.",
  },
  apns_topic_refused: {
    hop: "apns",
    level: "failure",
    cause: "The credential may not send to the app's topic.",
    remedy:
      "Check the app's id or apns.topic: it must be an app of the team that the key or certificate is of.",
  },
  apns_trouble: {
    hop: "apns",
    level: "warning",
    cause: "Apple answers with trouble of its own, or is slow.",
    remedy: "Try again in a few minutes; look at Apple's system status page.",
  },
  apns_strange_answer: {
    hop: "apns",
    level: "failure",
    cause: "An invalid token was not answered with BadDeviceToken: what answers may not be Apple.",
    remedy: "Check apns.url and what lies between this node and Apple.",
  },

  fcm_unreachable: {
    hop: "fcm",
    level: "failure",
    cause: "No connection to Google, or to its token service.",
    remedy:
      "Allow TCP port 443 to fcm.googleapis.com and oauth2.googleapis.com; where only a proxy leads out, name it in egress.proxy.",
  },
  fcm_credential_refused: {
    hop: "fcm",
    level: "failure",
    cause: "Google refuses the service account's key.",
    remedy: "Make a new key for the service account and put its JSON file in place; compare the clock.",
  },
  fcm_not_permitted: {
    hop: "fcm",
    level: "failure",
    cause: "The service account may not send, or the project's API is switched off.",
    remedy:
      "Give it the role Firebase Cloud Messaging API Admin, and switch the API on in the Google Cloud console.",
  },
  fcm_wrong_project: {
    hop: "fcm",
    level: "failure",
    cause: "Google knows no such project at this address.",
    remedy: "Check fcm.service_account, its project, and fcm.url.",
  },
  fcm_trouble: {
    hop: "fcm",
    level: "warning",
    cause: "Google answers with trouble of its own, or is slow.",
    remedy: "Try again in a few minutes; look at the Firebase status page.",
  },
  fcm_strange_answer: {
    hop: "fcm",
    level: "failure",
    cause: "The dry run was not answered as Google answers it.",
    remedy: "Check fcm.url and what lies between this node and Google.",
  },

  clock_wrong: {
    hop: "clock",
    level: "failure",
    cause: "This machine's clock is wrong by minutes: Apple and Google refuse the credentials that it signs.",
    remedy:
      "Set it and keep it right: timedatectl set-ntp true, with an NTP server that this machine reaches.",
  },
  clock_off: {
    hop: "clock",
    level: "warning",
    cause: "This machine's clock is off by more than ten seconds.",
    remedy: "Look at its time synchronisation (timedatectl, chronyc tracking).",
  },

  pair_disconnected: {
    hop: "pair",
    level: "failure",
    cause: "The other node of the pair is not connected: this one works alone.",
    remedy: "Look at the other node; check the firewall for the pair's port in both directions.",
  },
  pair_unprotected: {
    hop: "pair",
    level: "warning",
    cause: "The other node does not hold everything yet that this one holds.",
    remedy: "Wait until it has caught up; look at the link if it does not.",
  },
  pair_alarm: {
    hop: "pair",
    level: "warning",
    cause: "The node itself reports something wrong with its pair.",
    remedy: "Run `inboxbell pair status`, which explains the word.",
  },
} as const satisfies Record<string, Finding>;

export type FindingCode = keyof typeof FINDINGS;

/** What one look gave. */
export interface Result {
  readonly hop: Hop;
  readonly level: "ok" | "warning" | "failure";
  /** `ok`, or a code of the catalogue. */
  readonly code: FindingCode | "ok";
  /** What was looked at: a file, an address, an app. */
  readonly subject: string;
  /** What was seen there. Never a secret, a token or an id. */
  readonly seen: string;
  /** What to do; null where nothing has to be done. */
  readonly remedy: string | null;
}

/** A look that found nothing wrong. */
export function good(hop: Hop, subject: string, seen: string): Result {
  return { hop, level: "ok", code: "ok", subject, seen, remedy: null };
}

/** @param remedy a more particular one than the catalogue's */
export function found(code: FindingCode, subject: string, seen: string, remedy?: string): Result {
  const { hop, level, remedy: usual } = FINDINGS[code];
  return { hop, level, code, subject, seen, remedy: remedy ?? usual };
}
