// What can stand at the public URLs instead of Inboxbell, or before it; and an administrators' listener that is exposed.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { FindingCode } from "../../../src/cli/doctor/findings.ts";
import { createAuthority, type IssuedCertificate, issue } from "../../../src/rehearsal/certificates.ts";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";
import { type Middleman, offloader, parrot, relay, silence, webServer } from "./middlemen.ts";

let clinic: Clinic;
let good: string;
let between: Middleman | null = null;
let ownTls: IssuedCertificate;

beforeAll(async () => {
  clinic = await openClinic();
  good = readFileSync(clinic.props.configFile, "utf8");
  ownTls = {
    certificate: readFileSync(`${clinic.props.directory}/tls/ews.pem`, "utf8"),
    key: readFileSync(`${clinic.props.directory}/tls/ews.key`, "utf8"),
  };
});
beforeEach(() => writeFileSync(clinic.props.configFile, good));
afterEach(async () => {
  await clinic.down();
  await between?.stop();
  between = null;
});
afterAll(() => clinic.stop());

/** The node as it is configured, and Exchange told to reach it elsewhere. */
async function behind(made: Promise<Middleman>): Promise<void> {
  between = await made;
  const port = between.port;
  clinic.edit((text) => text.replace(/exchange_url: .*/, `exchange_url: https://127.0.0.1:${port}`));
  await clinic.up();
}

const ANSWERS: readonly (readonly [
  what: string,
  FindingCode,
  status: number,
  headers: Readonly<Record<string, string>>,
  seen: string,
])[] = [
  ["another web server", "public_wrong_service", 200, { server: "nginx" }, 'answered 200 by "nginx"'],
  ["a page that is not there", "public_wrong_service", 404, {}, "answered 404"],
  [
    "a redirect to a login page",
    "public_redirected",
    302,
    { location: "https://sso.corp.test/login?session=1" },
    "to https://sso.corp.test",
  ],
  ["a log-in", "public_challenged", 401, { "www-authenticate": "NTLM" }, "answered 401"],
  ["a load balancer without back-end", "public_gateway_error", 503, {}, "answered 503"],
];

describe("doctor, where the public URL leads to", () => {
  for (const [what, code, status, headers, seen] of ANSWERS) {
    test(`${what}, says ${code}`, async () => {
      await behind(
        webServer(ownTls, (_request, response) => {
          response.writeHead(status, headers).end("<html></html>");
        }),
      );
      const result = await clinic.look();
      expect(complaints(result)).toEqual([code]);
      expect(only(result, code).seen).toContain(seen);
      expect(only(result, code).seen).not.toContain("session");
    });
  }

  test("a load balancer that lets health through and refuses POST, says public_wrong_service", async () => {
    await behind(
      webServer(ownTls, (request, response) => {
        if (request.url === "/livez") response.writeHead(200).end("ok\n");
        else response.writeHead(405).end();
      }),
    );
    expect(only(await clinic.look(), "public_wrong_service").seen).toContain(
      "a notification is answered 405",
    );
  });

  test("a port without TLS, says public_not_tls", async () => {
    await behind(parrot(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")));
    expect(complaints(await clinic.look())).toEqual(["public_not_tls"]);
  });

  test("a TLS alert, says public_tls_refused", async () => {
    // Fatal handshake_failure (RFC 8446, 6).
    await behind(parrot(Buffer.from([21, 3, 3, 0, 2, 2, 40])));
    expect(complaints(await clinic.look())).toEqual(["public_tls_refused"]);
  });

  test("silence, says public_unreachable", async () => {
    await behind(silence());
    expect(only(await clinic.look(), "public_unreachable").seen).toContain("no answer");
  });

  test("a name that nobody knows, says public_unresolved", async () => {
    clinic.edit((text) => text.replace(/exchange_url: .*/, "exchange_url: https://bell.invalid:9443"));
    await clinic.up();
    expect(complaints(await clinic.look())).toContain("public_unresolved");
  });

  test("the node through a relay, has nothing to say", async () => {
    await behind(relay(clinic.props.ports.exchange));
    expect(complaints(await clinic.look())).toEqual([]);
  });

  test("a relay whose address the allow list leaves out, says public_refused", async () => {
    clinic.edit((text) => text.replace(/(exchange: .*)allow: \[127.0.0.0\/8\]/, "$1allow: [10.1.0.0/16]"));
    await behind(relay(clinic.props.ports.exchange));
    expect(complaints(await clinic.look())).toEqual(["public_refused"]);
  });

  test("the node itself, whose allow list leaves out this machine, has nothing to say", async () => {
    clinic.edit((text) => text.replace(/(exchange: .*)allow: \[127.0.0.0\/8\]/, "$1allow: [10.1.0.0/16]"));
    await clinic.up();
    expect(complaints(await clinic.look())).toEqual([]);
  });

  test("a load balancer that ends TLS with an unknown authority, says public_untrusted", async () => {
    const stranger = await createAuthority("Unknown authority");
    const tls = await issue(stranger, { names: ["127.0.0.1"], kind: "rsa-2048" });
    await behind(offloader(tls, clinic.props.ports.exchange));
    const result = await clinic.look();
    expect(complaints(result)).toEqual(["public_untrusted"]);
    expect(only(result, "public_untrusted").seen).toContain("Unknown authority");
  });

  test("a load balancer with a certificate for another name, says certificate_name_mismatch", async () => {
    const stranger = await createAuthority("Unknown authority");
    const tls = await issue(stranger, { names: ["other.test"], kind: "rsa-2048" });
    await behind(offloader(tls, clinic.props.ports.exchange));
    expect(complaints(await clinic.look())).toEqual(["certificate_name_mismatch"]);
  });
});

describe("doctor, of the administrators' listener", () => {
  const address = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find((each) => each.family === "IPv4" && !each.internal)?.address;

  test.skipIf(address === undefined)(
    "that a port forwarding opens to the network (a network interface), says admin_exposed",
    async () => {
      await clinic.up();
      const { admin } = clinic.props.ports;
      between = await relay(admin, address, admin);
      const result = await clinic.look();
      expect(complaints(result)).toEqual(["admin_exposed"]);
      expect(only(result, "admin_exposed").subject).toBe(`http://${address}:${admin}`);
    },
  );
});
