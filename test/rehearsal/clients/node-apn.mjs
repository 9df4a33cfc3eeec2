// Sends notifications with @parse/node-apn, a client that shares no line with the simulators or the appliance.
// In (standard input): {"provider": options, "sends": [{"token", "notification": fields}]}.
// Out (standard output): for each send {"sent": true} or {"status", "reason", "timestamp"}.
import apn from "@parse/node-apn";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { provider: options, sends } = JSON.parse(Buffer.concat(chunks).toString());
if (options.pfx !== undefined) options.pfx = Buffer.from(options.pfx, "base64");

const provider = new apn.Provider(options);
const results = [];
for (const { token, notification } of sends) {
  const note = Object.assign(new apn.Notification(), notification);
  const { sent, failed } = await provider.send(note, token);
  const [failure] = failed;
  results.push(
    sent.length === 1
      ? { sent: true }
      : {
          status: failure.status,
          reason: failure.response?.reason ?? String(failure.error),
          timestamp: failure.response?.timestamp,
        },
  );
}
await provider.shutdown();
process.stdout.write(JSON.stringify(results));
