import { lieAboutFile } from '#adapters/hub/lie.ts';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Partial, PartialStore } from '#artifact/partial-store.ts';
import type { ListedFile } from '#gates/pull/ports.ts';
import { Fault, toFault } from '#lib/fault.ts';
import type { Span } from '#lib/spans.ts';
import { followOther } from './fill-watch.ts';
import { Waiting } from './fill-waiting.ts';
import type { Slot } from './slots.ts';
import { sniff } from './sniff.ts';
import type { Upstream } from './upstream.ts';

/** One large file of one commit, as one namespace asks for it. */
export interface FillSource {
  readonly namespace: string;
  readonly repository: RepositoryName;
  readonly commit: string;
  readonly file: ListedFile & { readonly lfsDigest: Digest };
}

export interface FillPorts {
  readonly partials: PartialStore;
  readonly blobs: Pick<BlobStore, 'open'>;
  readonly bytes: (
    source: FillSource,
    options: Parameters<Upstream['bytes']>[1],
  ) => AsyncIterable<Uint8Array>;
  /** Undefined where another process holds the lease; it ends with its process. */
  readonly acquire: (name: string) => Promise<{ release(): Promise<void> } | undefined>;
  readonly linked: (namespace: string, digest: Digest) => Promise<boolean>;
  readonly link: (namespace: string, blob: BlobDescriptor) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Reads a file along while it arrives; `close` must be called. */
export interface FillReader {
  /** At least one byte from `offset` on, waiting while there is none; 0 at the end. Rejects with what ended the transfer. */
  readInto(target: Uint8Array, offset: number, signal: AbortSignal): Promise<number>;
  close(): void;
}

/** Where bytes of the fill can be read now: our own partial, or the one that another process is writing. */
export interface Coverage {
  /** Another one where the bytes are not those that were read before. */
  readonly identity: string | undefined;
  reach(offset: number): number;
  readInto(target: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

export type FillState = 'waiting' | 'fetching' | 'following' | 'verifying';

/** Moves to a place that somebody waits for; afterwards the gaps are filled in order. */
const mostMoves = 16;
/** What is fetched of the beginning before the first move: headers first, whoever asks for the middle. */
const headBytes = 8 * 1024 * 1024;
/** What is fetched at a place before the next move, so that two far readers do not chase the transfer to and fro. */
const stayBytes = 64 * 1024 * 1024;

/**
 * The one transfer of one file. Begins at once; `done` resolves when the blob is stored and visible in the namespace. Bytes
 * can be read while they come. Everything after the last verified byte belongs to the store and the catalog.
 */
export class Fill {
  readonly source: FillSource;
  readonly sinceMs: number;
  readonly done: Promise<void>;
  /** After `done`, however it ended; with no reader left, everything written is noted and closed. */
  readonly closed: Promise<void>;
  readonly #ports: FillPorts;
  readonly #waiting = new Waiting();
  #coverage: Coverage | undefined;
  #failure: Fault | undefined;
  #format: Promise<string> | undefined;
  #generation = 0;
  #readers = 0;
  #ended = false;
  #slot: Slot | undefined;
  #enter: (() => Promise<Slot>) | undefined;
  #moves = 0;
  #ranges = false;
  #state: FillState = 'waiting';
  #receivedBytes = 0;

  /** `slot` admits one transfer; it is waited for before anything is asked of upstream. */
  constructor(
    source: FillSource,
    ports: FillPorts,
    start: { readonly nowMs: number; readonly slot: () => Promise<Slot> },
  ) {
    this.source = source;
    this.sinceMs = start.nowMs;
    this.#ports = ports;
    this.done = this.#run(start.slot);
    this.done.catch((error: unknown) => {
      this.#failure = toFault(error);
      this.#waiting.wakeAll();
    });
    this.closed = this.done
      .catch(() => {})
      .then(() => {
        this.#ended = true;
        return this.#closeUnused();
      });
  }

  get state(): FillState {
    return this.#state;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get readers(): number {
    return this.#readers;
  }

  /** What the first bytes are; once for all who ask. Rejects with the Fault that ended the transfer. */
  format(): Promise<string> {
    if (this.#format !== undefined) return this.#format;
    const reader = this.open();
    const { sizeBytes } = this.source.file;
    this.#format = sniff({
      sizeBytes,
      read: async (offset, lengthBytes) => {
        const target = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
        for (let filled = 0; filled < target.length;)
          filled += await reader.readInto(target.subarray(filled), offset + filled, this.#ports.signal);
        return target;
      },
    }).finally(() => reader.close());
    this.#format.catch(() => {});
    return this.#format;
  }

  /** Reads along from now on. A transfer that begins anew, or fails, ends every reader: what it has read may be wrong. */
  open(): FillReader {
    const generation = this.#generation;
    let open = true;
    this.#readers += 1;
    return {
      readInto: (target, offset, signal) => this.#readAlong(generation, { target, offset, signal }),
      close: () => {
        if (!open) return;
        open = false;
        this.#readers -= 1;
        void this.#closeUnused();
      },
    };
  }

  async #readAlong(
    generation: number,
    { target, offset, signal }: { target: Uint8Array; offset: number; signal: AbortSignal },
  ): Promise<number> {
    const { sizeBytes } = this.source.file;
    if (offset >= sizeBytes || target.length === 0) return 0;
    for (;;) {
      signal.throwIfAborted();
      this.#refuseStale(generation);
      const coverage = this.#coverage;
      const length = coverage === undefined ? 0 : await coverage.readInto(target, offset);
      this.#refuseStale(generation);
      if (length > 0) return length;
      if (this.#coverage !== undefined && this.#coverage.reach(offset) > offset) continue;
      await this.#waiting.at(offset, signal);
    }
  }

  #refuseStale(generation: number): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (generation !== this.#generation)
      throw new Fault(
        'upstream.unavailable',
        'the transfer began anew, because what was kept of it is damaged',
      );
  }

  async #run(slot: () => Promise<Slot>): Promise<void> {
    const { namespace, file } = this.source;
    const { acquire, linked, partials, signal } = this.#ports;
    this.#enter = slot;
    this.#slot = await slot();
    try {
      for (;;) {
        signal.throwIfAborted();
        const lease = await acquire(`fill ${namespace} ${file.lfsDigest}`);
        if (lease === undefined) {
          this.#state = 'following';
          await followOther(partials, this.#key(), {
            signal,
            found: (coverage) => this.#cover(coverage),
            grown: () => this.#waiting.wake((offset) => this.#reach(offset)),
          });
          await this.#giveWay();
          continue;
        }
        try {
          // Where another process has finished it, it is here: nobody asks upstream a second time.
          if (await linked(namespace, file.lfsDigest)) await this.#coverStored();
          else await this.#fill();
          return;
        } finally {
          await lease.release();
        }
      }
    } finally {
      this.#slot?.leave();
      this.#waiting.wakeAll();
    }
  }

  async #coverStored(): Promise<void> {
    const { lfsDigest, sizeBytes } = this.source.file;
    const blob = await this.#ports.blobs.open(lfsDigest);
    if (blob === undefined)
      throw new Fault('blob.missing', `the bytes of \`${lfsDigest}\` are not in the store`);
    this.#cover({
      identity: await this.#ports.partials.identityOf(lfsDigest),
      reach: (offset) => Math.max(offset, sizeBytes),
      readInto: (target, offset) => blob.readInto(target, offset),
      close: () => blob.close(),
    });
  }

  #key() {
    const { namespace, file } = this.source;
    return { namespace, digest: file.lfsDigest, sizeBytes: file.sizeBytes };
  }

  async #fill(): Promise<void> {
    let partial = await this.#ports.partials.open(this.#key());
    let continued = partial.spans.length > 0;
    this.#cover(partial);
    this.#state = 'fetching';
    for (;;) {
      await this.#transfer(partial);
      this.#state = 'verifying';
      try {
        const blob = await partial.publish();
        await this.#ports.link(this.source.namespace, blob);
        return;
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'blob.mismatch') throw error;
        if (!continued)
          throw lieAboutFile('wrong-digest', this.source, 'has other bytes than it declares', error);
      }
      // What an earlier process left may have been damaged; upstream is accused only of what it sent to this one.
      continued = false;
      partial = await this.#ports.partials.open(this.#key());
      this.#cover(partial);
      this.#state = 'fetching';
    }
  }

  /** Until no gap is left. Every byte is asked for once, in the order in which somebody waits for it. */
  async #transfer(partial: Partial): Promise<void> {
    const { sizeBytes } = this.source.file;
    for (;;) {
      const place = this.#next(partial, sizeBytes);
      if (place === undefined) return;
      await this.#fetch(partial, place);
      await this.#giveWay();
    }
  }

  /** Where others have waited long enough: to the end of the queue. What is written stays, and is what it was. */
  async #giveWay(): Promise<void> {
    if (this.#slot?.over.aborted !== true) return;
    const before = this.#state;
    this.#state = 'waiting';
    this.#slot.leave();
    this.#slot = await this.#enter?.();
    this.#state = before;
  }

  #next(partial: Partial, sizeBytes: number): Span | undefined {
    const headIsHere = partial.reach(0) >= Math.min(headBytes, sizeBytes);
    const wanted = headIsHere && this.#mayMove() ? this.#oldestWait(partial) : undefined;
    return partial.gap(wanted ?? 0) ?? partial.gap(0);
  }

  async #fetch(partial: Partial, place: Span): Promise<void> {
    const slot = this.#slot;
    const stopped = this.#ports.signal;
    const signal = slot === undefined ? stopped : AbortSignal.any([stopped, slot.over]);
    try {
      await this.#receive(partial, place, signal);
    } catch (error) {
      if (slot?.over.aborted !== true || stopped.aborted) throw error;
    }
  }

  async #receive(partial: Partial, place: Span, signal: AbortSignal): Promise<void> {
    let position = place.start;
    const stayUntil = place.start + (place.start === 0 ? headBytes : stayBytes);
    const bytes = this.#ports.bytes(this.source, {
      offset: place.start,
      signal,
      answered: (ranges) => {
        this.#ranges = ranges;
        if (!ranges) this.#slot?.keep();
      },
    });
    for await (const chunk of bytes) {
      const piece = chunk.subarray(0, place.end - position);
      await partial.write(piece, position);
      position += piece.length;
      this.#receivedBytes += piece.length;
      this.#slot?.moved(piece.length);
      this.#waiting.wake((offset) => partial.reach(offset));
      if (position >= place.end) return;
      if (position >= stayUntil && this.#isAwaitedElsewhere(partial, position)) {
        this.#moves += 1;
        return;
      }
    }
  }

  /** Somebody waits for a place that this connection does not come to soon. */
  #isAwaitedElsewhere(partial: Partial, position: number): boolean {
    const wanted = this.#mayMove() ? this.#oldestWait(partial) : undefined;
    return wanted !== undefined && (wanted < position || wanted > position + stayBytes);
  }

  #mayMove(): boolean {
    return this.#ranges && this.#moves < mostMoves;
  }

  #oldestWait(partial: Partial): number | undefined {
    return this.#waiting.oldest((offset) => partial.reach(offset) === offset);
  }

  #reach(offset: number): number {
    return this.#coverage?.reach(offset) ?? offset;
  }

  #cover(coverage: Coverage): void {
    const before = this.#coverage;
    this.#coverage = coverage;
    if (before === undefined) return this.#waiting.wake((offset) => this.#reach(offset));
    void before.close().catch(() => {});
    if (before.identity === coverage.identity) return this.#waiting.wake((offset) => this.#reach(offset));
    // Somebody threw away what was there and began anew: whoever has read of it must not go on with other bytes.
    this.#generation += 1;
    this.#format = undefined;
    this.#waiting.wakeAll();
  }

  async #closeUnused(): Promise<void> {
    if (!this.#ended || this.#readers > 0) return;
    const coverage = this.#coverage;
    this.#coverage = undefined;
    await coverage?.close().catch(() => {});
  }
}
