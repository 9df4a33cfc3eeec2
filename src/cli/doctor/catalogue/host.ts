// What can be wrong on the machine itself: configuration, files, disk, database, the running node.
import type { Finding } from "./finding.ts";

export const HOST_FINDINGS = {
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
    remedy: "Run the command that is named; if others may have read it, replace the secret.",
  },
  secret_unreadable: {
    hop: "permissions",
    level: "failure",
    cause: "A file that the configuration names is missing, or this user may not read it.",
    remedy: "Run doctor as root or as the service's user; if it fails there too, put the file in place.",
  },
  service_denied: {
    hop: "permissions",
    level: "failure",
    cause: "The service's user cannot read a file that the configuration names, although root can.",
    remedy:
      "Run, as root, the command that is named: it lets the service's user read the file, and nobody else.",
  },
  service_hidden: {
    hop: "permissions",
    level: "warning",
    cause: "A file that the configuration names is where the delivered unit hides files from the service.",
    remedy: "Put it beside the configuration, or make it visible in a drop-in of the unit.",
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
  rings_stalled: {
    hop: "node",
    level: "failure",
    cause: "Rings are due and the provider accepts none of them, without saying why.",
    remedy:
      "Look at what this report says of the way to that provider; if nothing, at its status page and at the node's journal.",
  },
  node_impaired: {
    hop: "node",
    level: "warning",
    cause: "The node works, and one of its own checks fails.",
    remedy:
      "The sentence says which. If it stays, look at the load of this machine and at the node's journal.",
  },
} as const satisfies Record<string, Finding>;
