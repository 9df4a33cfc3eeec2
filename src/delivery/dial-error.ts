// Why there is no connection, in one word that the hints know or that is the system's own.

export class DialError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = "DialError";
    this.code = code;
  }
}

/** The code of whatever was thrown on the way to a connection. */
export function dialCode(error: unknown): string {
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  if (typeof code === "string" && code !== "") return code;
  return typeof name === "string" ? name : "failed";
}
