// Sends messages with firebase-admin, a client that shares no line with the simulators or the appliance. Its
// hosts are fixed: connections to them are led to the simulator, which must show a certificate for their names.
// In (standard input): {"port", "ca", "account": service account file, "sends": [{"message", "dryRun"?, "overHttp2"?}]}.
// Out (standard output): for each send {"name"} or {"code", "message"}.
import http2 from "node:http2";
import tls from "node:tls";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { port, ca, account, sends } = JSON.parse(Buffer.concat(chunks).toString());

// Node's https and http2 modules look the function up when they connect. They call it with (options) or with
// (port, host, options).
const connectTls = tls.connect;
tls.connect = (...given) => {
  const options = given.find((argument) => typeof argument === "object");
  const host = typeof given[1] === "string" ? given[1] : options.host;
  if (!host.endsWith(".googleapis.com")) throw new Error(`unexpected connection to ${host}`);
  return connectTls({ ...options, host: "127.0.0.1", port, ca, servername: host });
};

// This client writes the scheme with a colon, which is none (RFC 3986 §3.1). Google does not mind; Bun's HTTP/2
// server, which the simulator stands on, resets the stream.
const connectHttp2 = http2.connect;
http2.connect = (...given) => {
  const session = connectHttp2(...given);
  const request = session.request.bind(session);
  session.request = (headers, options) => request({ ...headers, ":scheme": "https" }, options);
  return session;
};

const { cert, deleteApp, initializeApp } = await import("firebase-admin/app");
const { getMessaging } = await import("firebase-admin/messaging");

const app = initializeApp({ credential: cert(account), projectId: account.project_id });
const messaging = getMessaging(app);
const results = [];
for (const { message, dryRun = false, overHttp2 = false } of sends) {
  try {
    if (overHttp2) {
      const { responses } = await messaging.sendEach([message], dryRun);
      if (responses[0].error !== undefined) throw responses[0].error;
      results.push({ name: responses[0].messageId });
    } else {
      results.push({ name: await messaging.send(message, dryRun) });
    }
  } catch (error) {
    results.push({ code: error.code, message: error.message });
  }
}
await deleteApp(app);
process.stdout.write(JSON.stringify(results));
