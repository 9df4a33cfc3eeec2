// The way out: proxy, account, exemptions, Apple's port.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { loadConfig } from "../../src/config/load.ts";
import { loadSecrets } from "../../src/config/secrets.ts";
import {
  changed,
  createWorkshop,
  furnish,
  GOOD,
  problemsOf,
  read,
  refusal,
  type Workshop,
} from "./helpers.ts";

const egress = (options: string) => `${GOOD}egress: { ${options} }\n`;
const ACCOUNT = "proxy: http://proxy:3128, proxy_user: { name: bell, password_file: proxy.password }";

describe("the proxy", () => {
  test("is what the file says, with its account and what is exempt", () => {
    const { config, problems } = read(
      egress(`${ACCOUNT}, no_proxy: [relay.example, .corp.example, 10.1.0.0/16]`),
    );
    expect(problems).toEqual([]);
    expect(config?.egress).toEqual({
      proxy: {
        url: "http://proxy:3128",
        user: { name: "bell", passwordFile: "/etc/inboxbell/proxy.password" },
      },
      noProxy: ["relay.example", ".corp.example", "10.1.0.0/16"],
      caFile: null,
    });
  });

  test("may be spoken to over TLS, and needs no account", () => {
    const { config, problems } = read(egress("proxy: https://proxy.corp.example:3129/"));
    expect(problems).toEqual([]);
    expect(config?.egress.proxy).toEqual({ url: "https://proxy.corp.example:3129", user: null });
  });

  test("never has its name or password in the URL, and what was written there is not repeated", () => {
    for (const url of ["http://bell:hunter2@proxy:3128", "http://hunter2@proxy:3128", "http://a:hunter2@"]) {
      const problems = problemsOf(egress(`proxy: "${url}"`)).join();
      expect(problems).toContain("egress.proxy");
      expect(problems).toContain("name and password belong into egress.proxy_user");
      expect(problems).not.toContain("hunter2");
    }
  });

  test("is a URL of a host and port", () => {
    for (const url of [
      "proxy:3128",
      "socks5://proxy:1080",
      "http://proxy:3128/path",
      "http://0.0.0.0:3128",
    ]) {
      expect(problemsOf(egress(`proxy: "${url}"`)).join()).toContain("egress.proxy: ");
    }
  });

  test("must be there for an account, whose name has no colon", () => {
    expect(problemsOf(egress("proxy_user: { name: bell, password_file: x }")).join()).toContain(
      "egress.proxy_user: expected egress.proxy beside it",
    );
    expect(problemsOf(egress(ACCOUNT.replace("name: bell", 'name: "be:ll"'))).join()).toContain(
      "egress.proxy_user.name: expected 1 to 255 characters without a colon",
    );
  });

  test("is not for hosts by stars or ports, and says how to write them", () => {
    const hints: readonly (readonly [string, string])[] = [
      ["*.corp.example", "write it without the star"],
      ["relay.example:443", "leave out the port"],
      ["10.1.0.0/99", "egress.no_proxy[0]: expected a host"],
      ["https://relay.example", "egress.no_proxy[0]: expected a host"],
    ];
    for (const [written, hint] of hints) {
      expect(problemsOf(egress(`proxy: http://proxy:3128, no_proxy: ["${written}"]`)).join()).toContain(hint);
    }
  });
});

describe("the proxy's password", () => {
  let workshop: Workshop;
  beforeEach(() => {
    workshop = createWorkshop();
    furnish(workshop);
  });
  afterEach(() => workshop.remove());
  const load = (text: string) => loadSecrets(loadConfig(workshop.write("i.yaml", text), {}), {});

  test("is read from its file", () => {
    workshop.write("proxy.password", "p ss:wörd\n");
    expect(load(egress(ACCOUNT)).egressProxyPassword).toBe("p ss:wörd");
    expect(load(GOOD).egressProxyPassword).toBeNull();
  });

  test("is refused from a file that others can read, and from none", () => {
    workshop.write("proxy.password", "secret\n", 0o644);
    expect(refusal(() => load(egress(ACCOUNT))).code).toBe("secret_exposed");
    expect(refusal(() => load(egress(ACCOUNT.replace("proxy.password", "none")))).code).toBe(
      "secret_unreadable",
    );
  });
});

describe("Apple's port", () => {
  const on = (options: string) => changed("environment: production,", `environment: production, ${options},`);

  test("is 443, or 2197 if asked for", () => {
    expect(read(GOOD).config?.apps[0]?.apns?.port).toBe(443);
    expect(read(on("port: 2197")).config?.apps[0]?.apns?.port).toBe(2197);
    expect(problemsOf(on("port: 2195")).join()).toContain("apps[0].apns.port: expected 443 or 2197");
  });

  test("is in the URL where there is one", () => {
    const both = on('port: 2197, url: "https://relay.corp.example"');
    expect(problemsOf(both).join()).toContain("apps[0].apns.port: expected either port or url, found both");
  });
});
