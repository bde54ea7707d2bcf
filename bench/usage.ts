import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Client } from 'pg';

/** What a server child has used, told over its channel: CPU of all its threads and the longest stall of its event loop. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Longest delay of the event loop since it was asked last, milliseconds. */
  readonly stallMs: number;
  readonly residentBytes: number;
  /** Statements sent to PostgreSQL since the start. */
  readonly queries: number;
}

let queries = 0;
const { query } = Client.prototype;
Client.prototype.query = function count(this: Client, ...words: unknown[]) {
  queries += 1;
  return Reflect.apply(query, this, words);
};

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

/** Preloaded into a child (`--import`): answers every message with its usage. */
process.on('message', () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const usage: Usage = {
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    stallMs: delay.max / 1e6,
    residentBytes: process.memoryUsage.rss(),
    queries,
  };
  delay.reset();
  process.send?.(usage);
});
process.channel?.unref();
