// Debian's nginx as the measure: it answers the same request with a fixed body of the same bytes, on the same core.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KeyKind } from "../../src/rehearsal/certificates.ts";
import { childOf, end, MEASURED_CORE, spawnOn, until } from "./processes.ts";
import { freePorts, KEY_KINDS, type Stage } from "./stage.ts";

export interface Nginx {
  /** Process id of the worker, which does the work. */
  readonly pid: number;
  url(kind: KeyKind): string;
  stop(): Promise<void>;
}

const SERVER = (
  port: number,
  files: { readonly certificate: string; readonly key: string },
  body: string,
) => `
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${files.certificate};
    ssl_certificate_key ${files.key};
    location / { default_type "text/xml; charset=utf-8"; return 200 '${body}'; }
  }`;

/** @param body what the appliance answers */
export async function startNginx(stage: Stage, body: string): Promise<Nginx> {
  const directory = join(stage.root, "nginx");
  mkdirSync(directory);
  const ports = await freePorts(KEY_KINDS.length);
  const portOf = (kind: KeyKind) => ports[KEY_KINDS.indexOf(kind)] ?? 0;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const file = join(directory, "nginx.conf");
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid ${join(directory, "pid")};
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  ssl_protocols TLSv1.2 TLSv1.3;
  client_body_buffer_size 64k;
${temporary.map((name) => `  ${name}_temp_path ${join(directory, name)};`).join("\n")}
${KEY_KINDS.map((kind) => SERVER(portOf(kind), stage.tlsFiles(kind), body)).join("\n")}
}
`,
  );
  const child = spawnOn(MEASURED_CORE, ["nginx", "-p", directory, "-c", file]);
  const url = (kind: KeyKind) => `https://127.0.0.1:${portOf(kind)}`;
  await until("nginx answers", 10_000, async () => {
    if (child.exitCode !== null) throw new Error("nginx did not start.");
    const answer = await fetch(url("p256"), { tls: { ca: stage.ca } }).catch(() => null);
    return answer?.ok === true;
  });
  return { pid: childOf(child.pid), url, stop: () => end(child) };
}
