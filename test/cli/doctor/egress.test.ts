// What can be wrong on the way to Apple and Google, each made real: closed ports, proxies that refuse or inspect, refused
// credentials, clocks.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FindingCode } from "../../../src/cli/doctor/findings.ts";
import { apnsRefusal } from "../../../src/rehearsal/apns/simulator.ts";
import { createAuthority, issue } from "../../../src/rehearsal/certificates.ts";
import { APP } from "../../../src/rehearsal/stage/props.ts";
import { type Clinic, complaints, only, openClinic } from "./helpers.ts";
import {
  http2Server,
  inspectingProxy,
  type Middleman,
  proxy,
  refusingProxy,
  relay,
  silence,
  webServer,
} from "./middlemen.ts";

let clinic: Clinic;
let good: string;
const between: Middleman[] = [];

beforeAll(async () => {
  clinic = await openClinic();
  good = readFileSync(clinic.props.configFile, "utf8");
  await clinic.up();
});
beforeEach(() => writeFileSync(clinic.props.configFile, good));
afterEach(async () => {
  clinic.apns.behave();
  clinic.fcm.behave();
  await Promise.all(between.splice(0).map((each) => each.stop()));
});
afterAll(() => clinic.stop());

const FCM_PART = /^ {4}fcm:\n( {6}.*\n)+/m;
const APNS_PART = /^ {4}apns:\n( {6}.*\n)+/m;
const appleOnly = () => clinic.edit((text) => text.replace(FCM_PART, ""));
const googleOnly = () => clinic.edit((text) => text.replace(APNS_PART, ""));
const setKey = (key: string, value: string) =>
  clinic.edit((text) => text.replace(new RegExp(`(^|[ ,{])${key}: [^,}\\n]+`, "m"), `$1${key}: ${value}`));
const useProxy = (port: number, scheme = "http") =>
  clinic.edit((text) => text.replace("egress: {", `egress: { proxy: "${scheme}://127.0.0.1:${port}",`));
const write = (name: string, text: string) =>
  writeFileSync(join(clinic.props.directory, name), text, { mode: 0o600 });

async function stand(made: Promise<Middleman>): Promise<number> {
  const middleman = await made;
  between.push(middleman);
  return middleman.port;
}

async function closedPort(): Promise<number> {
  const middleman = await relay(1);
  await middleman.stop();
  return middleman.port;
}

describe("doctor, where Apple", () => {
  beforeEach(appleOnly);

  async function finds(...codes: readonly FindingCode[]) {
    const result = await clinic.look();
    expect(complaints(result)).toEqual([...codes]);
    return result;
  }

  test("is behind a closed port, says apns_unreachable", async () => {
    setKey("url", `https://127.0.0.1:${await closedPort()}`);
    expect(only(await finds("apns_unreachable"), "apns_unreachable").seen).toContain("ECONNREFUSED");
  });

  test("has a name that nobody knows, says dns_unresolved", async () => {
    setKey("url", "https://apple.invalid");
    await finds("dns_unresolved");
  });

  test("does not know the team, says apns_credential_refused and what to do", async () => {
    setKey("team_id", "WRONGTEAM1");
    const { seen, remedy } = only(await finds("apns_credential_refused"), "apns_credential_refused");
    expect(seen).toContain("InvalidProviderToken");
    expect(remedy).toContain("team_id");
  });

  test("does not let the credential send to the topic, says apns_topic_refused", async () => {
    clinic.apns.misbehave(apnsRefusal("TopicDisallowed"), { every: 1 });
    await finds("apns_topic_refused");
  });

  test("is in trouble, says apns_trouble, which is no failure", async () => {
    clinic.apns.misbehave(apnsRefusal("ServiceUnavailable"), { every: 1 });
    expect(only(await finds("apns_trouble"), "apns_trouble").level).toBe("warning");
  });
});

describe("doctor, where Apple", () => {
  let other: Clinic;
  beforeAll(async () => {
    other = await openClinic();
    await other.up();
  });
  afterAll(() => other.stop());

  test("says that the key is for the other environment, says apns_wrong_environment", async () => {
    other.apns.misbehave(apnsRefusal("BadEnvironmentKeyIdInToken"));
    expect(complaints(await other.look())).toEqual(["apns_wrong_environment"]);
  });

  test("takes a push to nobody, says apns_strange_answer", async () => {
    other.apns.devices.register("0".repeat(64), APP);
    expect(complaints(await other.look())).toEqual(["apns_strange_answer"]);
  });
});

describe("doctor, where Google", () => {
  beforeEach(googleOnly);

  async function finds(...codes: readonly FindingCode[]) {
    const result = await clinic.look();
    expect(complaints(result)).toEqual([...codes]);
    return result;
  }

  test("is behind a closed port, says fcm_unreachable", async () => {
    const port = await closedPort();
    setKey("url", `https://127.0.0.1:${port}`);
    await finds("fcm_unreachable");
  });

  test("has its token service behind a closed port, says fcm_unreachable", async () => {
    const port = await closedPort();
    setKey("token_url", `https://127.0.0.1:${port}/token`);
    await finds("fcm_unreachable");
  });

  test("does not know the service account's key, says fcm_credential_refused", async () => {
    const account = JSON.parse(readFileSync(join(clinic.props.directory, "fcm.json"), "utf8")) as object;
    write(
      "other.json",
      JSON.stringify({ ...account, client_email: "nobody@example.iam.gserviceaccount.com" }),
    );
    setKey("service_account", "other.json");
    expect(only(await finds("fcm_credential_refused"), "fcm_credential_refused").seen).toContain(
      "invalid_grant",
    );
  });

  test("does not know the project, says fcm_wrong_project or that it may not send there", async () => {
    const account = JSON.parse(readFileSync(join(clinic.props.directory, "fcm.json"), "utf8")) as object;
    write("other.json", JSON.stringify({ ...account, project_id: "another-project" }));
    setKey("service_account", "other.json");
    const codes = complaints(await clinic.look());
    expect(["fcm_wrong_project", "fcm_not_permitted"]).toContain(codes[0]!);
  });

  const ANSWERS: readonly (readonly [FindingCode, status: number, body: unknown])[] = [
    ["fcm_wrong_project", 404, { error: { status: "NOT_FOUND" } }],
    ["fcm_not_permitted", 403, { error: { status: "PERMISSION_DENIED" } }],
    ["fcm_trouble", 503, { error: { status: "UNAVAILABLE" } }],
    ["fcm_strange_answer", 400, "<html>"],
  ];
  for (const [code, status, body] of ANSWERS) {
    test(`answers ${status} ${JSON.stringify(body)}, says ${code}`, async () => {
      const made = http2Server(clinic.props.providerTls, status, {}, JSON.stringify(body));
      setKey("url", `https://127.0.0.1:${await stand(made)}`);
      await finds(code);
    });
  }
});

describe("doctor, where the way out leads through a proxy that", () => {
  async function finds(code: FindingCode) {
    const result = await clinic.look();
    expect(complaints(result)).toEqual([code]);
    return only(result, code);
  }

  test("tunnels, has nothing to say", async () => {
    useProxy(await stand(proxy()));
    expect(complaints(await clinic.look())).toEqual([]);
  });

  test("is not there, says proxy_unreachable", async () => {
    useProxy(await closedPort());
    await finds("proxy_unreachable");
  });

  test("wants an account, says proxy_authentication", async () => {
    useProxy(await stand(refusingProxy(407)));
    await finds("proxy_authentication");
  });

  test("forbids the way, says proxy_refused", async () => {
    useProxy(await stand(refusingProxy(403)));
    await finds("proxy_refused");
  });

  test("does not reach the provider, says proxy_cannot_reach", async () => {
    useProxy(await stand(refusingProxy(502)));
    await finds("proxy_cannot_reach");
  });

  test("has a certificate that nobody trusts, says proxy_certificate", async () => {
    const stranger = await createAuthority("Unknown authority");
    const made = webServer(await issue(stranger, { names: ["127.0.0.1"] }), () => {});
    useProxy(await stand(made), "https");
    await finds("proxy_certificate");
  });

  test("takes connections and says nothing, says proxy_silent", async () => {
    appleOnly();
    useProxy(await stand(silence()));
    await finds("proxy_silent");
  }, 60_000);

  test("inspects TLS with an authority that nobody named, says egress_untrusted and who signed", async () => {
    const inspector = await createAuthority("Inspecting firewall");
    useProxy(await stand(inspectingProxy(await issue(inspector, { names: ["127.0.0.1"] }))));
    expect((await finds("egress_untrusted")).seen).toContain("Inspecting firewall");
  });

  test("inspects TLS with an authority that egress.ca_file names, says egress_inspected of a provider's own address", async () => {
    const inspector = await createAuthority("Inspecting firewall");
    const tls = await issue(inspector, { names: ["api.push.apple.com"] });
    write("inspector.pem", inspector.certificate);
    appleOnly();
    clinic.edit((text) =>
      text.replace(/^ {6}url: .*\n/m, "").replace("ca_file: ca.pem", "ca_file: inspector.pem"),
    );
    const made = inspectingApple(tls);
    useProxy(await stand(made));
    const result = await clinic.look();
    const { level, seen } = only(result, "egress_inspected");
    expect([level, seen]).toEqual(["warning", expect.stringContaining("Inspecting firewall")]);
  });

  test("leads to something without HTTP/2, says egress_no_http2", async () => {
    appleOnly();
    const made = webServer(clinic.props.providerTls, (_request, response) => void response.end());
    setKey("url", `https://127.0.0.1:${await stand(made)}`);
    await finds("egress_no_http2");
  });
});

/** Apple cannot be reached here: the inspector answers in its place. */
function inspectingApple(tls: Parameters<typeof inspectingProxy>[0]): Promise<Middleman> {
  return inspectingProxy(tls, Number(new URL(/^ {6}url: (.*)$/m.exec(good)?.[1] ?? "").port));
}

describe("doctor, of a clock that is", () => {
  test("an hour fast, says clock_wrong, whatever else follows from it", async () => {
    const result = await clinic.look(() => Date.now() + 3_600_000);
    expect(complaints(result)).toContain("clock_wrong");
    expect(only(result, "clock_wrong").seen).toBe("this clock is 60 min fast");
  });

  test("twenty seconds slow, says clock_off alone", async () => {
    const result = await clinic.look(() => Date.now() - 20_000);
    expect(complaints(result)).toEqual(["clock_off"]);
    expect(only(result, "clock_off").seen).toMatch(/^this clock is (19|20|21) s slow$/);
  });
});
