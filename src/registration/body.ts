// Reads a JSON body: media type, encoding, UTF-8, JSON, schema. Elysia's own validation is not used for it: its
// error carries the whole body as indented JSON, which for 64 KB of brackets takes seconds to write.
import type { Static, TSchema } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import type { HttpRequest } from "../net/types.ts";
import { invalidValue, type Problem, ProblemError } from "./problem.ts";

// `fatal` refuses invalid UTF-8; RFC 8259 section 8.1 allows to refuse a byte order mark, and we ignore it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

const WRONG_TYPE: Problem = {
  code: "unsupported_media_type",
  detail: "Send the body as Content-Type: application/json (UTF-8), without Content-Encoding.",
  headers: { Accept: "application/json", "Accept-Encoding": "identity" },
};

/**
 * Makes the reader of bodies that follow a schema.
 * @returns a function that gives the checked value, or throws ProblemError `unsupported_media_type`,
 * `malformed` or `invalid_field`
 */
export function bodyReader<T extends TSchema>(schema: T): (request: HttpRequest) => Static<T> {
  const compiled = TypeCompiler.Compile(schema);
  return (request) => {
    const value = readJson(request);
    if (compiled.Check(value)) return value;
    throw new ProblemError(invalidValue(compiled.Errors(value).First()));
  };
}

/**
 * The JSON value of a body. Nesting needs no limit of its own: the listener's limit on the size bounds it.
 * Of members with the same name the last one counts.
 */
function readJson(request: HttpRequest): unknown {
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (!isJson(request.headers.get("content-type")) || encoding.toLowerCase() !== "identity") {
    throw new ProblemError(WRONG_TYPE);
  }
  try {
    return JSON.parse(utf8.decode(request.body));
  } catch {
    // The parser's message quotes what it read, so it goes no further.
    throw new ProblemError({ code: "malformed" });
  }
}

/** `application/json`, alone or with `charset=utf-8`. */
function isJson(contentType: string | undefined): boolean {
  if (contentType === undefined) return false;
  const [type, ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  return (
    type === "application/json" &&
    parameters.every((parameter) => parameter === "" || /^charset="?utf-8"?$/.test(parameter))
  );
}
