// What a rehearsal says when its phones cannot register.
import { describe, expect, test } from "bun:test";
import { isAbsent, whyNotEnrolled } from "../../src/cli/enrolment.ts";
import { PhoneError } from "../../src/rehearsal/phone/phone.ts";
import { TunnelError } from "../../src/rehearsal/phone/registration-client.ts";

const AT = { directory: "/tmp/d", registrationUrl: "https://127.0.0.1:1" };
const lost = (code?: string) =>
  new TunnelError("the network failed", {
    cause: Object.assign(new Error("x"), code === undefined ? {} : { code }),
  });

describe("phones that could not register", () => {
  const failures: readonly (readonly [unknown, string])[] = [
    [lost("ECONNREFUSED"), "nobody listens there"],
    [
      lost("UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
      "they do not trust the certificate there (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
    ],
    [lost("DEPTH_ZERO_SELF_SIGNED_CERT"), "signed by their authority, /tmp/d/ca.pem"],
    [lost("ERR_TLS_CERT_ALTNAME_INVALID"), "is for another name (ERR_TLS_CERT_ALTNAME_INVALID)"],
    [lost("ECONNRESET"), "the connection fails (ECONNRESET)"],
    [lost(), "the network failed"],
    [
      new PhoneError(401, "PUT"),
      "refused (401); its enrolment secret must be that of /tmp/d/enrolment.secret",
    ],
    [new PhoneError(422, "PUT"), "PUT was answered with status 422"],
  ];
  test("say why", () => {
    for (const [error, text] of failures) {
      const sentence = whyNotEnrolled(error, AT);
      expect(sentence).toStartWith("The phones could not register at https://127.0.0.1:1: ");
      expect(sentence).toContain(text);
    }
  });

  test("wait in silence only while nobody listens", () => {
    expect(isAbsent(lost("ECONNREFUSED"))).toBe(true);
    for (const error of [lost("ECONNRESET"), lost(), new PhoneError(401, "PUT"), null]) {
      expect(isAbsent(error)).toBe(false);
    }
  });
});
