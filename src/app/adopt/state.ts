import { closeSync, constants, fdatasyncSync, fstatSync, openSync, writeSync } from 'node:fs';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Check } from 'typebox/value';
import { digestOfHex, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { printable } from '#lib/printable.ts';
import { notFinished } from '#producers/scan/scanner.ts';
import { scanIdentity } from '#producers/scan/rule-set.ts';
import type { Judgement } from '#producers/scan/finding.ts';
import { findingSchema } from '../routes/schemas.ts';
import { keyOf } from './found.ts';
import type { FileIdentity } from './found.ts';

const hex = Type.String({ pattern: '^[0-9a-f]{64}$' });
const oid = Type.String({ pattern: '^[0-9a-f]{40}$' });

/** First line of the file: whoever finds another one there has not been given a state file. */
const headLine = '{"weighbridge":"adopt-state","version":1}';

const fileRecord = Type.Object({
  file: Type.String({ maxLength: 200 }),
  sha256: hex,
  git: Type.Optional(oid),
  /** When hashing began, milliseconds. */
  atMs: Type.Number(),
});
const scanRecord = Type.Object({
  /** SHA-256 of a blob, or digest of an artifact: then it is about what paths make of bytes. */
  scan: hex,
  scope: Type.Enum(['blob', 'artifact']),
  /** Rules and version of the scanner; results of others are not used. */
  rules: Type.String(),
  formats: Type.Array(Type.String()),
  verdict: Type.Enum(['clean', 'suspicious', 'malicious']),
  completeness: Type.Enum(['complete', 'inconclusive']),
  incompleteReasons: Type.Array(Type.String()),
  findings: Type.Array(findingSchema),
});
const treeRecord = Type.Object({
  /** `hf://models/org/name@commit`, and the hub that said so. */
  tree: Type.String(),
  upstream: Type.String(),
  /** Path, size, git blob id, SHA-256 of an LFS file. */
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      sizeBytes: Type.Integer(),
      gitOid: oid,
      sha256: Type.Union([hex, Type.Null()]),
    }),
  ),
});

export type ListedFile = Static<typeof treeRecord>['files'][number];

export interface KnownDigest {
  readonly digest: Digest;
  readonly gitOid: string | undefined;
}

/**
 * A time of change this close to the hashing is not believed: the clock of a file system ticks coarsely, and a write in
 * the same tick would leave the identity as it was.
 */
const settleMs = 2_000;

/**
 * What earlier runs found out, as lines of JSON that are only ever appended: a run that is killed leaves at worst one torn
 * line, which is skipped. Lines reach the kernel at once and the disk within a second, and before `close` resolves. The
 * file belongs to whoever runs the command (0600): what it says is believed. Trees of a commit are kept for ever, for a
 * commit never changes.
 */
export class AdoptionState implements Disposable {
  readonly path: string;
  readonly #descriptor: number;
  readonly #digests = new Map<string, KnownDigest>();
  readonly #scans = new Map<string, Judgement>();
  readonly #trees = new Map<string, readonly ListedFile[]>();
  #syncedMs = 0;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  /** Fault `file.special` for a file that is something else, which is not touched; `file.unreadable` otherwise. */
  static async open(path: string): Promise<AdoptionState> {
    const descriptor = openDescriptor(path);
    const state = new AdoptionState(path, descriptor);
    try {
      const { size } = fstatSync(descriptor);
      if (size === 0) state.#append(headLine);
      else await state.#read(size);
      return state;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  digestOf(identity: FileIdentity): KnownDigest | undefined {
    return this.#digests.get(keyOf(identity));
  }

  saveDigest(identity: FileIdentity, known: KnownDigest, atMs: number): void {
    const git = known.gitOid === undefined ? {} : { git: known.gitOid };
    this.#append(JSON.stringify({ file: keyOf(identity), sha256: hexOf(known.digest), ...git, atMs }));
    this.#digests.set(keyOf(identity), known);
  }

  scanOf(scope: 'blob' | 'artifact', digest: Digest): Judgement | undefined {
    return this.#scans.get(`${scope} ${hexOf(digest)}`);
  }

  /** A scan that the machine and not the bytes ended is for this run only. */
  saveScan(scope: 'blob' | 'artifact', digest: Digest, judgement: Judgement): void {
    this.#scans.set(`${scope} ${hexOf(digest)}`, judgement);
    if (judgement.incompleteReasons.some((reason) => reason.startsWith(notFinished))) return;
    this.#append(JSON.stringify({ scan: hexOf(digest), scope, rules, ...judgement }));
  }

  treeOf(upstream: URL, source: string): readonly ListedFile[] | undefined {
    return this.#trees.get(`${upstream.href} ${source}`);
  }

  saveTree(upstream: URL, source: string, files: readonly ListedFile[]): void {
    this.#trees.set(`${upstream.href} ${source}`, files);
    this.#append(JSON.stringify({ tree: source, upstream: upstream.href, files }));
  }

  [Symbol.dispose](): void {
    fdatasyncSync(this.#descriptor);
    closeSync(this.#descriptor);
  }

  #append(line: string): void {
    if (line.length > limits.adoptStateLineBytes) return;
    writeAll(this.#descriptor, Buffer.from(`${line}\n`));
    // Stopping before the sync: a killed process loses nothing, a power failure at most this second's lines.
    if (Date.now() - this.#syncedMs < 1_000) return;
    fdatasyncSync(this.#descriptor);
    this.#syncedMs = Date.now();
  }

  async #read(sizeBytes: number): Promise<void> {
    const stream = createReadStream('', {
      fd: this.#descriptor,
      start: 0,
      end: sizeBytes - 1,
      autoClose: false,
    });
    const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
    let first = true;
    for await (const line of lines) {
      if (first && line !== headLine) throw notState(this.path);
      if (!first && line.length <= limits.adoptStateLineBytes) this.#take(line);
      first = false;
    }
    // A torn last line must not swallow the next one.
    writeAll(this.#descriptor, Buffer.from('\n'));
  }

  #take(line: string): void {
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch {
      return;
    }
    if (Check(fileRecord, record)) {
      const changedNs = /:(\d+)$/.exec(record.file)?.[1];
      if (
        changedNs === undefined ||
        BigInt(changedNs) / 1_000_000n + BigInt(settleMs) > Math.floor(record.atMs)
      )
        return;
      this.#digests.set(record.file, { digest: digestOfHex(record.sha256), gitOid: record.git });
    } else if (Check(scanRecord, record)) {
      const { scan, scope, rules: by, ...judgement } = record;
      if (by === rules) this.#scans.set(`${scope} ${scan}`, judgement);
    } else if (Check(treeRecord, record)) {
      this.#trees.set(`${record.upstream} ${record.tree}`, record.files);
    }
  }
}

const rules = `${scanIdentity.version} ${scanIdentity.ruleSetDigest}`;

function openDescriptor(path: string): number {
  const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const descriptor = openSync(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o600);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
  } catch (cause) {
    if (isErrno(cause) && cause.code === 'ELOOP') throw notState(path);
    throw new Fault('file.unreadable', `the state file \`${printable(path)}\` cannot be opened`, {
      hint: 'name another one with `--state FILE`',
      cause,
    });
  }
  throw notState(path);
}

function notState(path: string): Fault {
  return new Fault('file.special', `\`${printable(path)}\` is not a state file of \`weighbridge adopt\``, {
    hint: 'name another file with `--state FILE`; this one was left as it is',
  });
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
}
