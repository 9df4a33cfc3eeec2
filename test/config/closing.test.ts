// The command that is told for a secret file that everybody can read: whoever complains, the service can read it afterwards.
import { expect, test } from "bun:test";
import { closingCommand, type Reader, shellWord } from "../../src/config/closing.ts";

const [ROOT, SERVICE, ADMIN] = [0, 987, 1000];
const reader = (uid: number, delivered: number | null): Reader => ({ uid, gid: uid, delivered });
const byGroup = "chgrp inboxbell /etc/a.key && chmod 0640 /etc/a.key";
const byOwner = "chmod 0600 /etc/a.key";

test("a file that root or an administrator copied is given to the service's group, not closed to it", () => {
  for (const owner of [ROOT, ADMIN]) {
    for (const who of [ROOT, SERVICE, ADMIN]) {
      expect(closingCommand("/etc/a.key", { uid: owner }, reader(who, SERVICE))).toBe(byGroup);
    }
  }
});

test("the service's own file is closed to all others", () => {
  expect(closingCommand("/etc/a.key", { uid: SERVICE }, reader(SERVICE, SERVICE))).toBe(byOwner);
});

test("where the delivered user is not installed, whoever reads is the service", () => {
  expect(closingCommand("/etc/a.key", { uid: ROOT }, reader(ROOT, null))).toBe(byOwner);
  expect(closingCommand("/etc/a.key", { uid: ADMIN }, reader(ADMIN, null))).toBe(byOwner);
  expect(closingCommand("/etc/a.key", { uid: ROOT }, reader(ADMIN, null))).toBe(
    "chgrp 1000 /etc/a.key && chmod 0640 /etc/a.key",
  );
});

test("a path with blanks or quotes stays one word", () => {
  expect(shellWord("/etc/it's here")).toBe("'/etc/it'\\''s here'");
  expect(Bun.spawnSync(["sh", "-c", `printf %s ${shellWord("/etc/it's here")}`]).stdout.toString()).toBe(
    "/etc/it's here",
  );
});
