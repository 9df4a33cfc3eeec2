// Plain questions to an address, without trust: a TCP connection with TLS to see who presents what, and one HTTP request.
import type { X509Certificate } from "node:crypto";
import { type RequestOptions, request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { presentedBy } from "./pem.ts";

/** How long a question may take, milliseconds: administrators watch. */
export const ASK_MS = 5_000;
const MAX_ANSWER_BYTES = 65_536;

export interface Presented {
  readonly chain: readonly X509Certificate[];
  /** The first certificate is trusted, for this name, by the authorities that were given. */
  readonly complaint: string | null;
  readonly localAddress: string;
  readonly remoteAddress: string;
}

export type TlsSight = Presented | { readonly failure: string };

/** Looks at what a host presents. @param ca whom to trust, PEM each */
export function lookAtTls(host: string, port: number, ca: readonly string[]): Promise<TlsSight> {
  return new Promise((resolve) => {
    const socket = connect(
      {
        host,
        port,
        rejectUnauthorized: false,
        ca: [...ca],
        ...(isIP(host) === 0 ? { servername: host } : {}),
      },
      () => {
        const { authorized, authorizationError } = socket;
        finish({
          chain: presentedBy(socket),
          complaint: authorized ? null : String(authorizationError ?? "untrusted"),
          localAddress: socket.localAddress ?? "",
          remoteAddress: socket.remoteAddress ?? "",
        });
      },
    );
    const timer = setTimeout(() => finish({ failure: "ETIMEDOUT" }), ASK_MS);
    const finish = (sight: TlsSight) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(sight);
    };
    socket.on("error", (error) => finish({ failure: codeOf(error) }));
    socket.on("close", () => finish({ failure: "ECONNRESET" }));
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Question {
  readonly method: "GET" | "POST";
  /** Scheme, host, port and path. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request on a connection of its own; whoever presents whatever certificate is believed. */
export function askHttp({
  method,
  url,
  headers = {},
  body = "",
}: Question): Promise<HttpAnswer | { readonly failure: string }> {
  return new Promise((resolve) => {
    const target = new URL(url);
    const secure = target.protocol === "https:";
    const host = target.hostname.replace(/^\[(.*)\]$/, "$1");
    const options: RequestOptions & { readonly rejectUnauthorized: boolean } = {
      method,
      host,
      port: target.port === "" ? (secure ? 443 : 80) : Number(target.port),
      path: target.pathname + target.search,
      agent: false,
      rejectUnauthorized: false,
      headers: {
        ...headers,
        host: target.host,
        connection: "close",
        ...(body === "" ? {} : { "content-length": String(Buffer.byteLength(body)) }),
      },
    };
    const asked = secure ? requestSecure(options) : requestPlain(options);
    const timer = setTimeout(() => finish({ failure: "ETIMEDOUT" }), ASK_MS);
    const finish = (answer: HttpAnswer | { readonly failure: string }) => {
      clearTimeout(timer);
      asked.destroy();
      resolve(answer);
    };
    asked.on("error", (error) => finish({ failure: codeOf(error) }));
    asked.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const done = () =>
        finish({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        });
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) done();
      });
      response.on("end", done);
      response.on("error", (error) => finish({ failure: codeOf(error) }));
    });
    asked.end(body);
  });
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
