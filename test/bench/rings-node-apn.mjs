// Sends the same notifications with @parse/node-apn under Node, which it was written for. It keeps nothing on a disk.
// Input (standard input): {"provider": options, "clientCount", "tokens", "topic"}. Output: as rings-own.ts.
import apn from "@parse/node-apn";

const STREAMS = 100;
const SETTINGS_MS = 200;
const SECOND_MS = 1000;

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { provider: options, clientCount, tokens, topic } = JSON.parse(Buffer.concat(chunks).toString());
const provider =
  clientCount === 1 ? new apn.Provider(options) : new apn.MultiProvider({ ...options, clientCount });

let next = 0;
let accepted = 0;
let first = null;
const mark = () => ({ at: performance.now(), count: accepted, cpu: process.cpuUsage() });

async function send(count) {
  while (next < count) {
    const token = tokens[next];
    const badge = 10 + (next % 90);
    next += 1;
    const note = new apn.Notification();
    note.topic = topic;
    note.pushType = "alert";
    note.priority = 10;
    note.expiry = Math.floor(Date.now() / 1000) + 30 * 24 * 3600;
    note.badge = badge;
    note.contentAvailable = true;
    note.payload = { bell: { reason: "mail" } };
    const { sent, failed } = await provider.send(note, token);
    if (sent.length !== 1) throw new Error(`node-apn failed: ${JSON.stringify(failed)}`);
    accepted += 1;
    if (first === null && accepted >= tokens.length / 5) first = mark();
  }
}

// Until a connection's first push is accepted, Apple allows one stream on it, and node-apn fails what is above: so
// each connection begins with one push alone, and time for the SETTINGS that follow. Its
// clients take turns, and each mints a token: in one second, so that they count as one.
await new Promise((resolve) => setTimeout(resolve, SECOND_MS - (Date.now() % SECOND_MS)));
await send(clientCount);
await new Promise((resolve) => setTimeout(resolve, SETTINGS_MS));
await Promise.all(Array.from({ length: STREAMS * clientCount }, () => send(tokens.length)));
const last = mark();
process.stdout.write(
  `${JSON.stringify({
    rings: last.count - first.count,
    seconds: (last.at - first.at) / 1000,
    cpuSeconds: (last.cpu.user + last.cpu.system - first.cpu.user - first.cpu.system) / 1e6,
  })}\n`,
);
process.exit(0);
