import type { ShowQueueAnswer } from './api/client.ts';
import { nextPaces, type Paces } from './pace.ts';

export type Arriving = ShowQueueAnswer['arriving'][number];
export type Transfer = Arriving['transfers'][number];

/** One row of the page. What has left the queue stays for a moment, so that nothing moves under a hand. */
export interface Arrival {
  readonly key: string;
  readonly arriving: Arriving;
  /** When it was first missing from an answer; undefined while it is on its way. */
  readonly goneAtMs: number | undefined;
}

/** What the page remembers from answer to answer. */
export interface Watch {
  readonly rows: readonly Arrival[];
  readonly paces: Paces;
}

export const nothingSeen: Watch = { rows: [], paces: new Map() };
const staysMs = 10_000;

export const transferKey = (arrival: string, { path }: Pick<Transfer, 'path'>): string =>
  `${arrival} ${path}`;

/** The rows after one more answer, oldest first. */
export function nextWatch(before: Watch, queue: ShowQueueAnswer, atMs: number): Watch {
  const now = queue.arriving.map((arriving) => ({ key: keyOf(arriving), arriving, goneAtMs: undefined }));
  const here = new Set(now.map(({ key }) => key));
  const gone = before.rows
    .filter(({ key }) => !here.has(key))
    .map((row) => ({ ...row, goneAtMs: row.goneAtMs ?? atMs }))
    .filter(({ goneAtMs }) => atMs - goneAtMs < staysMs);
  const transfers = now.flatMap(({ key, arriving }) =>
    arriving.transfers.map((transfer) => ({
      key: transferKey(key, transfer),
      receivedBytes: transfer.receivedBytes,
    })),
  );
  return {
    rows: [...now, ...gone].toSorted(
      (a, b) => order(a.arriving.since, b.arriving.since) || order(a.key, b.key),
    ),
    paces: nextPaces(before.paces, transfers, atMs),
  };
}

function keyOf({ repository, commit }: Arriving): string {
  return `${repository.type}/${repository.id}@${commit}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
