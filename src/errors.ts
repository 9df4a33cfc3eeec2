// The error catalogue: every error that a person or a client can meet has a stable code here. Rooms throw
// or return these; the edge (the command line, a listener) turns them into an exit code or an HTTP status.

/** One kind of error: HTTP status where one applies, what it means, and what the reader can do about it. */
export interface ErrorEntry {
  /** HTTP status, for errors that an HTTP client can meet. */
  readonly status?: number;
  /** What it means, one sentence. Also the RFC 9457 `title`. */
  readonly text: string;
  /** What to do, one or two sentences; printed in docs/errors.md. */
  readonly remedy: string;
}

// Codes are never reused and never renamed: phones, scripts and documents refer to them.
export const CATALOGUE = {
  // Command line
  usage: {
    text: "The command line could not be understood.",
    remedy: "Run the verb with --help to see what it takes.",
  },
  not_available: {
    text: "This verb or configuration key is not available in this version.",
    remedy: "Remove it, or install a version that has it; the changelog tells which.",
  },
  setup_answer: {
    text: "An answer that `setup` was given cannot be used.",
    remedy: "The message says what was expected. Run `inboxbell setup` again with another answer.",
  },
  broken_off: {
    text: "A question on the terminal was not answered: Ctrl-C was pressed, or the input ended.",
    remedy: "Nothing was written. Run it again when you have the answers.",
  },
  setup_exists: {
    text: "Something that `setup` would write is there already and differs.",
    remedy:
      "Look at what the message lists, and run it again with --force (a copy of the old file is kept), or leave out what is not to change.",
  },
  setup_unwritable: {
    text: "A file or directory that `setup` makes cannot be written.",
    remedy: "Run it as root (sudo), or name a configuration in a directory of your own with --config.",
  },
  output_unwritable: {
    text: "A verb's answer could not be written to standard output, or not all of it.",
    remedy:
      "What the verb does is done; its answer is lost or cut off. Look at the disk, or at where the output was sent to, and ask again.",
  },
  bundle_unwritable: {
    text: "The support bundle, or the log for it, is not where it was named.",
    remedy: "Name a new file in a directory that this user may write to; nothing is ever overwritten.",
  },
  internal: {
    status: 500,
    text: "Something failed inside Inboxbell.",
    remedy: "The log line with the same correlation id has the reason. Please report it.",
  },

  // Configuration
  config_unreadable: {
    text: "The configuration file could not be read.",
    remedy: "Check the path given with --config and that the service's user may read it.",
  },
  config_invalid: {
    text: "The configuration has errors.",
    remedy: "Each error names file, line, column and key. Run `inboxbell check` to see them all at once.",
  },
  secret_unreadable: {
    text: "A file that holds a secret could not be read.",
    remedy: "Check that the file exists and that the service's user may read it.",
  },
  secret_exposed: {
    text: "A file that holds a secret can be read by other users.",
    remedy:
      "Run the command in the message, which closes it to others and leaves it to the service, and start again.",
  },
  service_denied: {
    text: "The service's user cannot read a file that the configuration names.",
    remedy:
      "Run the command in the message as root: it lets the service's user read the file, and nobody else. Restart the service if it was added to a group.",
  },
  service_hidden: {
    text: "A file that the configuration names is where the delivered unit hides files from the service.",
    remedy: "Put it beside the configuration, or make it visible in a drop-in of the unit.",
  },
  secret_invalid: {
    text: "A file that holds a secret does not contain what is expected.",
    remedy: "The message says what was expected. Download or create the file again.",
  },

  // Keys
  keys_invalid: {
    text: "The key file is damaged, of an unknown format, or another database's.",
    remedy: "Restore it from a backup. Without the right key file the database cannot be read.",
  },
  keys_missing: {
    text: "There is a database but no key file.",
    remedy: "Restore the key file from a backup; a new one could not open the stored tokens.",
  },
  keys_path: {
    text: "The key file cannot be made where the configuration wants it.",
    remedy: "Create the directory named in the message and make the service's user its owner.",
  },
  key_unknown: {
    status: 503,
    text: "Something was sealed or signed with a key that this node does not have.",
    remedy: "Restore the newest key file, or copy it from the other node.",
  },

  // Store
  store_newer_schema: {
    text: "The database was written by a newer version.",
    remedy: "Install that version or a newer one, or restore a backup made by this version.",
  },
  store_corrupt: {
    text: "The database is damaged.",
    remedy: "Keep the file, restore the newest backup, and start again; phones register again by themselves.",
  },
  system_libraries: {
    text: "The machine's system libraries are too old, or one is missing.",
    remedy:
      "Use Debian 12, Ubuntu 22.04, RHEL 9 or a later system: glibc 2.34 and libstdc++ of GCC 11 are needed.",
  },
  store_unavailable: {
    status: 503,
    text: "The database cannot be written at the moment.",
    remedy: "Free space on its disk or repair the disk. Exchange and the phones try again by themselves.",
  },
  store_path: {
    text: "The database file or its directory cannot be opened.",
    remedy: "Create the directory named in the message and make the service's user its owner.",
  },
  store_in_use: {
    text: "Another process has the database open for writing.",
    remedy: "Stop the other Inboxbell process; one database belongs to one process.",
  },

  store_old_schema: {
    text: "The database was written by an older version and was not migrated yet.",
    remedy: "Start the service, which migrates it, or run `inboxbell migrate` first.",
  },

  // Phones and backups
  registration_unknown: {
    text: "No registration is known by what was given.",
    remedy:
      "Take the id from `inboxbell registrations` or from the app. A phone that deleted its account, or was silent for long, registers again when its app is opened.",
  },
  backup_path: {
    text: "A backup, or a file that is made for one, cannot be written where it was named.",
    remedy: "Name a new file in a directory that this user may write to; nothing is ever overwritten.",
  },
  backup_room: {
    text: "A disk has no room for a backup, or for the copy of the database that it is made from.",
    remedy:
      "Free space on the disk that the message names. While a backup is made, a copy of the database lies beside it; the node goes on either way.",
  },
  backup_unreadable: {
    text: "A backup cannot be read where it was named.",
    remedy: "Check the path, and that it is a file that this user may read.",
  },
  backup_passphrase: {
    text: "A backup was made with another passphrase than the one that was given.",
    remedy:
      "Give the passphrase that the backup was made with, in a file by --passphrase-file or at the prompt. Without it a backup cannot be read by anybody.",
  },
  passphrase_missing: {
    text: "A passphrase is needed, and there is no terminal to ask on.",
    remedy:
      "Write it into a file that no other user can read (mode 0600) and name that with --passphrase-file: for `backup` a new one, which `openssl rand -base64 24` makes, for `restore` the one that the backup was made with.",
  },
  passphrase_unfit: {
    text: "The passphrase chosen for a new backup is too short, or was not typed the same way twice.",
    remedy:
      "Choose one of at least 12 characters; `openssl rand -base64 24` makes one. Keep it apart from the backup, which nobody can read without it.",
  },
  backup_invalid: {
    text: "The file is not a backup that this version can restore, or it is damaged.",
    remedy: "Take another backup, or the version that made this one.",
  },
  restore_unwritable: {
    text: "What is in a backup cannot be put in the place of the database and the keys.",
    remedy:
      "Run it as root (sudo) or as the service's user, and look at the disk: it needs room for the restored database beside the old one.",
  },

  // The pair
  pair_files: {
    text: "A certificate of the link between two nodes is missing.",
    remedy:
      "Joining makes these files on both nodes. A single node has no `pair` in its configuration: remove it there.",
  },
  pair_file: {
    text: "The file that holds a node's standing in its pair cannot be read or written.",
    remedy:
      "It lies beside the database and ends with .pair. Make its directory writable for the service's user; if the file is damaged, remove it while the node is stopped: it learns what it needs from the other node.",
  },
  no_pair: {
    text: "This node has no other node.",
    remedy: "`inboxbell pair invite` and `inboxbell pair join` make a pair of two nodes.",
  },

  // Joining a pair
  pair_code: {
    text: "The code of an invitation cannot be read.",
    remedy:
      "Copy all of it, groups and dashes, as `inboxbell pair invite` printed it on the first node. A code from a newer version needs that version here.",
  },
  pair_unreachable: {
    text: "No invitation is open where the code says.",
    remedy:
      "Run `inboxbell pair invite` on the first node and leave it running until this node has joined. A code works once and for some minutes. If it is open there, look at the firewall between the two nodes.",
  },
  pair_impostor: {
    text: "Somebody else answers in the first node's place.",
    remedy:
      "Nothing was sent. Look at the address and at what lies between the two nodes; something there may open TLS connections. Then take a new code.",
  },
  pair_refused: {
    text: "The first node did not accept this one, or broke off.",
    remedy: "The message, and the screen of `pair invite` on the first node, say why. Take a new code there.",
  },
  pair_invitation: {
    text: "The invitation ended without a second node.",
    remedy: "Run `inboxbell pair invite` again for a new code.",
  },
  pair_same_name: {
    text: "Both nodes have the same name.",
    remedy:
      "If this is the node that invited, run `inboxbell pair join` on the other one. Otherwise give the second one another name with `--node`, or with `node` in its configuration.",
  },
  pair_forgotten: {
    text: "A node was told to forget the one that joins.",
    remedy:
      "The message says which, and which file remembers it. A node with another name may join without more ado.",
  },
  pair_versions: {
    text: "The two nodes run versions that do not work together.",
    remedy: "Install the same version on both nodes.",
  },
  pair_other_keys: {
    text: "There is a database on this node that was written with other keys than the pair's.",
    remedy:
      "The message names it. If nothing in it is needed any more, stop the service, move it away with its -wal and -shm files, and join again.",
  },
  pair_authority: {
    text: "The authority of the pair's certificates cannot be used.",
    remedy:
      "It lies in the directory `pair` beside the key file, as ca.pem and ca.key. Restore both from a backup or from the other node, or move the directory away to have a new one made.",
  },
  pair_unwritable: {
    text: "A file that joining a pair makes cannot be written.",
    remedy:
      "Run it as root (sudo), and look at the disk. What was written already stays and does no harm; run it again.",
  },
  pair_wish: {
    text: "The pair did not do what it was asked.",
    remedy: "The message says why; `inboxbell pair status` shows both nodes.",
  },

  // Subscriptions
  exchange_forgot: {
    text: "Many subscriptions on one Exchange server fell silent together.",
    remedy:
      "After a restart, an update or a failover of that server nothing has to be done: the phones are asked to subscribe again, one after the other. Otherwise look at the event log of the Exchange servers (source MSExchange Web Services, events 5 to 7): they may not reach this node, or may refuse its certificate.",
  },

  // Operation
  control_socket: {
    text: "The control socket cannot be used.",
    remedy: "The message says why. The directory must exist and belong to the service's user.",
  },
  not_running: {
    text: "No running node answers on the control socket.",
    remedy: "Start the service, or name its configuration with --config or its socket with --socket.",
  },

  control_denied: {
    text: "This user may not use the control socket.",
    remedy: "Run the verb as root (sudo), as the service's user, or as a member of the service's group.",
  },

  stopping: {
    text: "The node is stopping.",
    remedy: "Start it again once it has stopped; it reads its configuration then.",
  },

  // Listening
  listen_in_use: {
    text: "The address and port are already in use.",
    remedy: "Choose another port in the configuration or stop the program that holds it.",
  },
  listen_failed: {
    text: "Inboxbell cannot listen on the address and port.",
    remedy: "Check that the address belongs to this machine and that the port may be used.",
  },
  tls_invalid: {
    text: "A TLS certificate or its private key cannot be used.",
    remedy: "Check that both are PEM, belong together, and that the certificate is in date.",
  },

  // Registration API
  malformed: {
    status: 400,
    text: "The body is not JSON in UTF-8.",
    remedy: "Send one JSON object, encoded in UTF-8.",
  },
  http_malformed: {
    text: "The request is not HTTP/1.1 as this server takes it.",
    remedy:
      "Look at the app's HTTP library and at what lies between the app and this server. Sending it again does not help.",
  },
  unauthorized: {
    status: 401,
    text: "There is no credential that fits.",
    remedy:
      "For a new registration send an enrolment secret as the bearer; for an existing one use the secret that it was made with. A lost secret means a new id.",
  },
  not_found: {
    status: 404,
    text: "There is nothing at this path.",
    remedy: "See /v1/openapi.json for the paths that there are.",
  },
  method_not_allowed: {
    status: 405,
    text: "The path does not take this method.",
    remedy: "The Allow header lists the methods that it takes.",
  },
  stale_revision: {
    status: 409,
    text: "A newer revision of this registration is stored.",
    remedy:
      "Drop this wish if it is an old one; otherwise send it again with a revision above stored_revision.",
  },
  subscription_bound: {
    status: 409,
    text: "The SubscriptionId is noted on another registration.",
    remedy: "Subscribe again at Exchange and send the new SubscriptionId.",
  },
  not_known_yet: {
    status: 503,
    text: "This node of a pair does not know the registration with this secret, and the other node may.",
    remedy:
      "It has yet to get rows from the other node, or cannot reach it: ask again after `Retry-After` seconds. If the other node is gone for good, `inboxbell pair forget` ends this.",
  },
  not_serving: {
    status: 503,
    text: "This node of a pair does not answer at the moment.",
    remedy:
      "It waits for word of the other node, or for its rows; ask again, and the load balancer finds the other one. `inboxbell pair status` says why.",
  },
  spent: {
    status: 410,
    text: "The registration with this id was deleted.",
    remedy: "Make a new id and a new secret and register again.",
  },
  body_too_large: {
    status: 413,
    text: "The body is larger than the server takes.",
    remedy: "A registration needs a few kilobytes. Send less.",
  },
  unsupported_media_type: {
    status: 415,
    text: "The body is not of a media type that the server takes.",
    remedy: "Send Content-Type: application/json and no Content-Encoding.",
  },
  invalid_field: {
    status: 422,
    text: "A field is missing or cannot be used.",
    remedy: "`field` names it and `detail` says what is expected. The same request will fail again.",
  },
  rate_limited: {
    status: 429,
    text: "There were too many such requests.",
    remedy: "Wait for the number of seconds in Retry-After.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof CATALOGUE;

/** Whether a text is a code of the catalogue. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(CATALOGUE, text);
}

/** An error of the catalogue, with a sentence that names the file, key or value concerned. */
export class BellError extends Error {
  readonly code: ErrorCode;

  /**
   * @param code the catalogue's code
   * @param detail a sentence that names what is wrong (file, key, port), never a secret or a token
   * @param cause the error underneath, if there is one
   */
  constructor(code: ErrorCode, detail?: string, cause?: unknown) {
    super(detail ?? CATALOGUE[code].text, cause === undefined ? undefined : { cause });
    this.name = "BellError";
    this.code = code;
  }

  /** The HTTP status for this error; 500 where the catalogue names none. */
  get status(): number {
    const entry: ErrorEntry = CATALOGUE[this.code];
    return entry.status ?? 500;
  }
}

/** Whether `error` is of the catalogue, optionally of one code. */
export function isBellError(error: unknown, code?: ErrorCode): error is BellError {
  return error instanceof BellError && (code === undefined || error.code === code);
}
