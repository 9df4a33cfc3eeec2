// Debian's HAProxy and nginx as load balancers before the appliance: their configurations, and running them.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Running, start, until } from "../helpers.ts";

const NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so";
export const hasHaproxy = Bun.which("haproxy") !== null;
export const hasNginx = Bun.which("nginx") !== null && existsSync(NGINX_STREAM);

/** The address that the proxies connect from, so that it differs from their clients'. */
export const PROXY_ADDRESS = "127.0.0.50";

export interface Route {
  /** Where its clients connect. */
  readonly port: number;
  readonly backend: number;
  /** File names in the directory, without `.pem` and `.key`. */
  readonly certificate: string;
}

export interface Setting {
  /** Holds `ca.pem`, and `tls/` with certificates and keys. */
  readonly directory: string;
  readonly routes: readonly Route[];
}

export interface FrontProxy {
  readonly name: string;
  readonly isInstalled: boolean;
  /** What the listeners behind it are told. */
  readonly listener: "" | "trusted" | "proxy_protocol";
  start(setting: Setting): Promise<Running>;
}

const LISTENER_LINES = {
  "": "",
  trusted: `, trusted_proxies: [${PROXY_ADDRESS}]`,
  proxy_protocol: `, trusted_proxies: [${PROXY_ADDRESS}], proxy_protocol: on`,
} as const;

/** The text that a listener's line of the configuration gets. */
export function listenerLine(proxy: FrontProxy): string {
  return LISTENER_LINES[proxy.listener];
}

function haproxy(
  name: string,
  mode: "tcp" | "http",
  send: string,
  listener: FrontProxy["listener"],
): FrontProxy {
  return {
    name: `HAProxy, ${name}`,
    isInstalled: hasHaproxy,
    listener,
    async start({ directory, routes }) {
      for (const { certificate } of routes) {
        const part = (suffix: string) => Bun.file(join(directory, "tls", `${certificate}.${suffix}`)).text();
        await Bun.write(
          join(directory, `haproxy-${certificate}.pem`),
          (await part("pem")) + (await part("key")),
        );
      }
      const isHttp = mode === "http";
      const sections = routes.map(({ port, backend, certificate }) => {
        const bind = isHttp ? ` ssl crt ${directory}/haproxy-${certificate}.pem` : "";
        const secured = isHttp ? ` ssl verify required ca-file ${directory}/ca.pem` : "";
        return [
          `listen route-${port}`,
          `  mode ${mode}`,
          `  bind 127.0.0.1:${port}${bind}`,
          isHttp ? "  option forwardfor" : "",
          `  source ${PROXY_ADDRESS}`,
          `  server bell 127.0.0.1:${backend}${secured}${send}`,
        ].join("\n");
      });
      const text = [
        "global\n  maxconn 200",
        "defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s",
        ...sections,
        "",
      ].join("\n");
      const file = join(directory, "haproxy.cfg");
      await Bun.write(file, text);
      return up(["haproxy", "-db", "-f", file], routes);
    },
  };
}

function nginx(
  name: string,
  listener: FrontProxy["listener"],
  block: (route: Route, directory: string) => string,
): FrontProxy {
  return {
    name: `nginx, ${name}`,
    isInstalled: hasNginx,
    listener,
    async start({ directory, routes }) {
      const kind = name.startsWith("stream") ? "stream" : "http";
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
        (each) => `${each}_temp_path ${directory}/nginx-${each};`,
      );
      const text = [
        `load_module ${NGINX_STREAM};`,
        "user root;",
        "daemon off;",
        "worker_processes 1;",
        `pid ${directory}/nginx.pid;`,
        `error_log ${directory}/nginx.log;`,
        "events { worker_connections 256; }",
        `${kind} {`,
        kind === "http" ? ["access_log off;", ...temporary].join("\n") : "",
        ...routes.map((route) => block(route, directory)),
        "}",
        "",
      ].join("\n");
      const file = join(directory, "nginx.conf");
      await Bun.write(file, text);
      return up(["nginx", "-c", file, "-p", directory, "-e", join(directory, "nginx.log")], routes);
    },
  };
}

async function up(command: readonly string[], routes: readonly Route[]): Promise<Running> {
  const running = start(command);
  const isUp = async ({ port }: Route) => {
    if (running.ended() !== null) throw new Error(`${command[0]} ended: ${running.lines.join("\n")}`);
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(
      () => null,
    );
    socket?.end();
    return socket !== null;
  };
  for (const route of routes) await until(() => isUp(route), `${command[0]} listens on ${route.port}`);
  return running;
}

const stream = (extra: string) => (route: Route) =>
  `server { listen 127.0.0.1:${route.port}; proxy_bind ${PROXY_ADDRESS}; proxy_pass 127.0.0.1:${route.backend}; ${extra} }`;

const overHttp = (route: Route, directory: string) => `server {
  listen 127.0.0.1:${route.port} ssl;
  ssl_certificate ${directory}/tls/${route.certificate}.pem;
  ssl_certificate_key ${directory}/tls/${route.certificate}.key;
  location / {
    proxy_bind ${PROXY_ADDRESS};
    proxy_pass https://127.0.0.1:${route.backend};
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate ${directory}/ca.pem;
    proxy_ssl_name localhost;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }
}`;

export const FRONT_PROXIES: readonly FrontProxy[] = [
  haproxy("tcp", "tcp", "", ""),
  haproxy("tcp with the PROXY protocol 1", "tcp", " send-proxy", "proxy_protocol"),
  haproxy("tcp with the PROXY protocol 2", "tcp", " send-proxy-v2", "proxy_protocol"),
  haproxy("http with X-Forwarded-For", "http", "", "trusted"),
  haproxy("http with X-Forwarded-For and the PROXY protocol 2", "http", " send-proxy-v2", "proxy_protocol"),
  nginx("stream", "", stream("")),
  nginx("stream with the PROXY protocol", "proxy_protocol", stream("proxy_protocol on;")),
  nginx("http with X-Forwarded-For", "trusted", overHttp),
];
