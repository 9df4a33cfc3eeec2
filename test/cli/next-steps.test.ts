import { describe, expect, test } from "bun:test";
import { nextSteps, type Outcome } from "../../src/cli/setup/next-steps.ts";

const AUTHORITY = "/etc/inboxbell/tls/ca.pem";
const outcome: Outcome = {
  configFile: "/etc/inboxbell/inboxbell.yaml",
  isDefaultConfig: true,
  authority: AUTHORITY,
  secretFile: null,
  keyFile: "/var/lib/inboxbell/keys.json",
  exchangeUrl: "https://bell.corp.example:9443",
  registrationUrl: "https://push.corp.example:8443",
  openListeners: [],
  ports: [9443, 8443],
};

describe("after setup an administrator is told", () => {
  test("how the listeners' ports are opened, by firewalld and by ufw", () => {
    const told = nextSteps(outcome);
    expect(told).toContain(
      "firewall-cmd --permanent --add-port=8443/tcp --add-port=9443/tcp && firewall-cmd --reload\n",
    );
    expect(told).toContain("ufw allow 8443/tcp && ufw allow 9443/tcp\n");
  });

  test("nothing of a firewall where only this machine can connect", () => {
    expect(nextSteps({ ...outcome, ports: [] })).not.toContain("firewall");
  });

  test("one port once", () => {
    expect(nextSteps({ ...outcome, ports: [443, 443] }).match(/443\/tcp/g)).toHaveLength(2);
  });

  test("how this machine trusts the authority that was made, on Debian and on Red Hat's systems", () => {
    const told = nextSteps(outcome);
    expect(told).toContain(
      `cp ${AUTHORITY} /usr/local/share/ca-certificates/inboxbell.crt && update-ca-certificates\n`,
    );
    expect(told).toContain(
      `cp ${AUTHORITY} /etc/pki/ca-trust/source/anchors/inboxbell.pem && update-ca-trust\n`,
    );
    expect(nextSteps({ ...outcome, authority: null })).not.toContain("update-ca");
  });
});
