// What is read of a unit's credentials, and what is said of those that it lacks.
import { describe, expect, test } from "bun:test";
import {
  lackingIn,
  lackingText,
  readProperties,
  serviceEnvironment,
} from "../../src/cli/service-credentials.ts";

// As busctl of systemd 252 prints them.
const ANSWER = `{"type":"a(ss)","data":[["keys","/etc/inboxbell/credentials/keys.json"],["apns.p8","/etc/bell/Auth Key.p8"]]}
{"type":"a(ss)","data":[["fcm.json","/etc/bell/fcm.json.cred"]]}
{"type":"a(say)","data":[["literal",[118,97]]]}
{"type":"a(say)","data":[]}
`;

describe("a unit's credentials", () => {
  test("are read from what the bus says, those in the unit itself without their content", () => {
    expect(readProperties(ANSWER)).toEqual([
      { name: "keys", setting: "LoadCredential=keys:/etc/inboxbell/credentials/keys.json" },
      { name: "apns.p8", setting: "LoadCredential=apns.p8:/etc/bell/Auth Key.p8" },
      { name: "fcm.json", setting: "LoadCredentialEncrypted=fcm.json:/etc/bell/fcm.json.cred" },
      { name: "literal", setting: null },
    ]);
  });

  test("are unknown, not none, where the answer is another one", () => {
    for (const text of [
      "",
      "Failed to get property",
      ANSWER.replace('"data":[]', '"data":7'),
      `${ANSWER}{}\n`,
    ]) {
      expect(readProperties(text)).toBeNull();
    }
  });

  test("that are lacking are told as lines for a drop-in", () => {
    const lacking = lackingIn(readProperties(ANSWER) ?? [], ["keys", "literal", "reg.key"]);
    expect(lacking).toEqual(["reg.key"]);
    expect(lackingText(lacking)).toContain("\n  LoadCredential=reg.key:/etc/inboxbell/credentials/reg.key");
  });

  test("lie where systemd puts them, unless the environment names another place", () => {
    expect(serviceEnvironment({}).CREDENTIALS_DIRECTORY).toBe("/run/credentials/inboxbell.service");
    const own = { CREDENTIALS_DIRECTORY: "/elsewhere" };
    expect(serviceEnvironment(own)).toBe(own);
  });
});
