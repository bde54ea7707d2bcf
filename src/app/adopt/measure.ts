import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, read, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { hashFile } from '#artifact/hash.ts';
import { openHashPool } from '#artifact/hash-pool.ts';
import type { HashPool } from '#artifact/hash-pool.ts';
import { createGitBlobReader } from '#artifact/tap.ts';
import type { TapReader } from '#artifact/tap.ts';
import { Fault, toFault } from '#lib/fault.ts';
import type { TaskSource } from '#lib/worker-pool.ts';
import type { Judgement } from '#producers/scan/finding.ts';
import type { Scanner } from '#producers/scan/scanner.ts';
import { identityOf, keyOf } from './found.ts';
import type { FileIdentity, FoundFile } from './found.ts';
import { openBelow } from './open-folder.ts';
import type { AdoptionState, KnownDigest } from './state.ts';

/** What is known of a file's bytes, or why nothing is. */
export type Measured =
  | {
      readonly kind: 'measured';
      readonly digest: Digest;
      readonly gitOid: string | undefined;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'unread'; readonly reason: string };

export interface MeasureTools {
  readonly state: AdoptionState;
  readonly scanner: Scanner;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the inventory that are done since the last call, and the file that was met. */
  readonly onBytes?: ((bytes: number, path: string) => void) | undefined;
}

export interface MeasuredWork {
  filesHashed: number;
  filesKnown: number;
  bytesHashed: number;
  blobsScanned: number;
}

/** Up to this size a file is read and hashed at once. */
const smallBytes = 256 * 1024;
/** A file in git itself is small: above this only one whose layout declares a git id is hashed for it. */
const gitBytes = 16 * 1024 * 1024;

/**
 * Reads files, each physical file once however many models hold it, and scans each content once. What an earlier run left
 * in the state is not read again as long as the file's identity and times are the same.
 */
export class Measurement implements AsyncDisposable {
  readonly work: MeasuredWork = { filesHashed: 0, filesKnown: 0, bytesHashed: 0, blobsScanned: 0 };
  readonly #tools: MeasureTools;
  readonly #files = new Map<string, Promise<Measured>>();
  readonly #scans = new Map<Digest, Promise<Judgement>>();
  readonly #pool: HashPool | undefined;

  /** `expectedBytes`: how much there is in all; threads are worth their start from some hundred MiB on. */
  constructor(tools: MeasureTools, expectedBytes: number) {
    this.#tools = tools;
    const threads = availableParallelism() > 1 && expectedBytes >= 256 * 1024 * 1024;
    this.#pool = threads ? openHashPool(Math.min(4, availableParallelism()), this.#passed) : undefined;
  }

  /** Digest of a file, and its scan in `scanOf` afterwards. Faults only where the caller's signal aborts. */
  measure(root: string, file: FoundFile): Promise<Measured> {
    const mayBeInGit = file.identity.sizeBytes <= gitBytes;
    const wantsGit = file.declared === undefined ? mayBeInGit : file.declared.kind === 'git';
    const key = `${keyOf(file.identity)} ${wantsGit}`;
    const known = this.#files.get(key);
    if (known !== undefined) {
      this.#tools.onBytes?.(0, file.path);
      return known;
    }
    const measuring = this.#measureOnce(root, file, wantsGit);
    this.#files.set(key, measuring);
    return measuring;
  }

  /** The scan of a measured content. */
  scanOf(digest: Digest): Promise<Judgement> | undefined {
    return this.#scans.get(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.[Symbol.asyncDispose]();
  }

  readonly #passed = (bytes: number): void => {
    this.work.bytesHashed += bytes;
    this.#tools.onBytes?.(bytes, '');
  };

  async #measureOnce(root: string, file: FoundFile, wantsGit: boolean): Promise<Measured> {
    const { signal } = this.#tools;
    signal?.throwIfAborted();
    let descriptor: number | undefined;
    try {
      descriptor = openBelow(root, file.location);
      const identity = identityOf(fstatSync(descriptor, { bigint: true }));
      const known = await this.#digest(descriptor, identity, { path: file.path, wantsGit });
      await this.#scan(descriptor, identity, known.digest);
      return { kind: 'measured', ...known, sizeBytes: identity.sizeBytes };
    } catch (error) {
      signal?.throwIfAborted();
      const fault = toFault(error);
      if (fault.code === 'internal.unexpected' || fault.code === 'disk.full') throw fault;
      return { kind: 'unread', reason: fault.message };
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  async #digest(
    descriptor: number,
    identity: FileIdentity,
    { path, wantsGit }: { readonly path: string; readonly wantsGit: boolean },
  ): Promise<KnownDigest> {
    const { state, onBytes } = this.#tools;
    const known = state.digestOf(identity);
    if (known !== undefined && (known.gitOid !== undefined || !wantsGit)) {
      this.work.filesKnown += 1;
      onBytes?.(identity.sizeBytes, path);
      return known;
    }
    const atMs = Date.now();
    onBytes?.(0, path);
    const hashed = await this.#hash(descriptor, identity.sizeBytes, wantsGit);
    refuseChange(descriptor, identity, path);
    this.work.filesHashed += 1;
    state.saveDigest(identity, hashed, atMs);
    return hashed;
  }

  async #hash(descriptor: number, sizeBytes: number, wantsGit: boolean): Promise<KnownDigest> {
    if (sizeBytes <= smallBytes) {
      const found = hashSmall(descriptor, sizeBytes, wantsGit);
      this.#passed(sizeBytes);
      return found;
    }
    if (!wantsGit && this.#pool !== undefined) {
      const { digest } = await this.#pool.hash(descriptor);
      return { digest, gitOid: undefined };
    }
    const { signal } = this.#tools;
    const passing: TapReader = {
      write: (chunk) => {
        signal?.throwIfAborted();
        this.#passed(chunk.length);
      },
      end: () => undefined,
    };
    const git = wantsGit ? createGitBlobReader(sizeBytes) : undefined;
    const { digest } = await hashFile(descriptor, git === undefined ? [passing] : [passing, git]);
    return { digest, gitOid: git?.oid };
  }

  /** Resolves when the content is scanned, by whoever met it first; the descriptor stays open as long. */
  async #scan(descriptor: number, identity: FileIdentity, digest: Digest): Promise<void> {
    const { state, scanner, signal } = this.#tools;
    const known = state.scanOf('blob', digest);
    if (known !== undefined) {
      this.#scans.set(digest, Promise.resolve(known));
      return;
    }
    const running = this.#scans.get(digest);
    if (running !== undefined) {
      await running;
      return;
    }
    const scanning = scanner.scanBlob(descriptorSource(descriptor, identity.sizeBytes), signal);
    this.#scans.set(digest, scanning);
    try {
      const judgement = await scanning;
      refuseChange(descriptor, identity, 'the file');
      this.work.blobsScanned += 1;
      state.saveScan('blob', digest, judgement);
    } catch (error) {
      this.#scans.delete(digest);
      throw error;
    }
  }
}

/** Bytes through a descriptor that is open already: a worker that opened the path itself would leave a time of access. */
export function descriptorSource(descriptor: number, sizeBytes: number): TaskSource {
  return {
    sizeBytes,
    async read(offset, lengthBytes) {
      const target = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
      let filled = 0;
      while (filled < target.length) {
        const count = await readAt(descriptor, target.subarray(filled), offset + filled);
        if (count === 0) throw new Error('the file became shorter while it was read');
        filled += count;
      }
      return target;
    },
  };
}

function readAt(descriptor: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, target, 0, target.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

function refuseChange(descriptor: number, before: FileIdentity, path: string): void {
  if (keyOf(identityOf(fstatSync(descriptor, { bigint: true }))) === keyOf(before)) return;
  throw new Fault('file.changed', `\`${path}\` changed while it was read`);
}

const buffer = Buffer.allocUnsafeSlow(smallBytes);

function hashSmall(descriptor: number, sizeBytes: number, wantsGit: boolean): KnownDigest {
  let length = 0;
  while (length < sizeBytes) {
    const count = readSync(descriptor, buffer, length, sizeBytes - length, length);
    if (count === 0) throw new Fault('file.changed', 'the file became shorter while it was read');
    length += count;
  }
  const bytes = buffer.subarray(0, length);
  const gitOid = wantsGit
    ? createHash('sha1').update(`blob ${length}\0`).update(bytes).digest('hex')
    : undefined;
  return { digest: digestOfHex(hash('sha256', bytes, 'hex')), gitOid };
}
