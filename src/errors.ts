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
    remedy: "Run `chmod 0600` (or 0640 with the service's group) on it and start again.",
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
