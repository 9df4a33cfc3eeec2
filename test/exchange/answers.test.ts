// The answers are, byte for byte, what Exchange accepts.
import { expect, test } from "bun:test";
import { BAD_REQUEST, NOT_FOUND, statusAnswer, UNAVAILABLE } from "../../src/exchange/answer.ts";
import { sample } from "./helpers.ts";

const split = (bytes: Buffer) => {
  const end = bytes.indexOf("\r\n\r\n");
  return { head: bytes.toString("latin1", 0, end), body: bytes.subarray(end + 4) };
};

test("OK and Unsubscribe have the bodies of the samples, under 1024 bytes, as plain XML", () => {
  for (const durable of [null, "node", "pair"] as const) {
    for (const word of ["ok", "unsubscribe"] as const) {
      const { rendered } = statusAnswer(word, durable);
      for (const bytes of [rendered.close, rendered.keepAlive]) {
        const { head, body } = split(bytes);
        expect(body).toEqual(sample(`resp-40-${word}.xml`));
        expect(bytes.length).toBeLessThan(1024);
        expect(head).toStartWith("HTTP/1.1 200 OK\r\n");
        expect(head).toContain("\r\nContent-Type: text/xml; charset=utf-8\r\n");
        expect(head).toContain(`\r\nContent-Length: ${body.length}`);
        expect(/\r\nInboxbell-Durable: (\w+)/.exec(head)?.[1] ?? null).toBe(durable);
        expect(head).not.toMatch(/content-encoding|transfer-encoding|set-cookie/i);
      }
    }
  }
});

test("no answer is a challenge or a redirect", () => {
  for (const answer of [statusAnswer("ok", "node"), NOT_FOUND, BAD_REQUEST, UNAVAILABLE]) {
    expect([200, 400, 404, 503]).toContain(answer.status);
    expect(answer.rendered.close.toString("latin1")).not.toMatch(/authenticate|location:/i);
  }
});
