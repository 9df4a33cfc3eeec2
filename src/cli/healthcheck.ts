// `healthcheck`: asks the running node's admin listener whether it is ready. Exit 0 ready, 1 not.
import { loadConfig } from "../config/load.ts";

// A manager that asks for health wants an answer soon, milliseconds.
const TIMEOUT_MS = 3_000;

export async function healthcheck(options: {
  readonly config: string;
  readonly json: boolean;
}): Promise<number> {
  const { address, port } = loadConfig(options.config, process.env).listen.admin;
  const host = address.includes(":") ? `[${address}]` : address;
  const url = `http://${host}:${port}/readyz?verbose`;
  let ready = false;
  let detail: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    ready = response.ok;
    detail = (await response.text()).trim();
  } catch {
    detail = `nobody answers on ${url}`;
  }
  console.log(options.json ? JSON.stringify({ ready, detail }) : detail);
  return ready ? 0 : 1;
}
