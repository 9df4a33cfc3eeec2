// What Prometheus set-ups expect to know of a process: the few of prom-client's default metrics that mean under Bun what
// their names say. The others read Node's internals, which Bun answers with zeros, or with numbers of something else.
import { readdir } from "node:fs/promises";
import { Counter, Gauge, type Registry } from "prom-client";

const MICROSECONDS = 1e6;

/** Adds them to a registry; each is measured when it is read. */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  const startedAt = Date.now() / 1000 - process.uptime();
  new Counter({
    name: "inboxbell_process_cpu_seconds_total",
    help: "CPU time that the process has used, in user and system mode.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / MICROSECONDS);
    },
  });
  new Gauge({
    name: "inboxbell_process_resident_memory_bytes",
    help: "Memory of the process that is in RAM.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "inboxbell_process_open_fds",
    help: "Open file descriptors: connections, files and sockets.",
    registers,
    async collect() {
      // Without the one that reads the directory.
      this.set((await readdir("/proc/self/fd")).length - 1);
    },
  });
  new Gauge({
    name: "inboxbell_process_start_time_seconds",
    help: "When the process started, seconds since 1970.",
    registers,
  }).set(startedAt);
}
