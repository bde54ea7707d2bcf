import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Database } from './database.ts';

/** A new ledger head was committed; the payload is its size. */
export const headChannel = 'weighbridge_head';
/** A job became ready; the payload is its queue. */
export const jobChannel = 'weighbridge_job';

type Channel = typeof headChannel | typeof jobChannel;

/** What a subscriber hears: a notification, or that some may have been missed because the connection was made anew. */
export interface Listener {
  readonly channel: Channel;
  /** `payload` is undefined after each (re)connection: read the state, notifications may have been lost before. */
  hear(payload: string | undefined): void;
}

export interface Listening {
  close(): Promise<void>;
}

const reconnectMs = 250;

/**
 * LISTEN on one connection for all listeners. Notifications are a wake-up, never the truth: every listener also polls
 * or checks age (DESIGN §1a: a replica that has not read the head for 10 s stops allowing). Connects again for ever.
 */
export function listen(database: Database, listeners: readonly Listener[]): Listening {
  const stop = new AbortController();
  let client: Client | undefined;
  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        client = await database.connect();
        await attend(client, listeners, stop.signal);
      } catch {
        await sleep(reconnectMs, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      }
    }
  })();
  return {
    close: async () => {
      stop.abort();
      await client?.end().catch(() => {});
      await running;
    },
  };
}

/** Ends by rejecting when the connection does, by resolving when we stop. */
async function attend(client: Client, listeners: readonly Listener[], signal: AbortSignal): Promise<void> {
  const ended = new Promise<void>((resolve, reject) => {
    client.on('error', reject);
    client.on('end', () => reject(new Error('the connection ended')));
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  ended.catch(() => {});
  client.on('notification', ({ channel, payload }) => {
    for (const listener of listeners) if (listener.channel === channel) listener.hear(payload ?? '');
  });
  for (const channel of new Set(listeners.map((listener) => listener.channel)))
    await client.query(`LISTEN ${channel}`);
  for (const listener of listeners) listener.hear(undefined);
  try {
    await ended;
  } finally {
    await client.end().catch(() => {});
  }
}
