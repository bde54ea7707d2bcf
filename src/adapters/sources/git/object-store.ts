import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault, isErrno } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openByteReader } from '#lib/byte-reader.ts';
import type { ByteReader } from '#lib/byte-reader.ts';

/** A file of a commit's tree. */
export interface GitFile {
  readonly mode: string;
  readonly oid: string;
  readonly sizeBytes: number;
  readonly path: string;
}

/** The objects of one pack in a directory of their own, read by the `git` program without network, hooks or settings. */
export interface GitObjects extends AsyncDisposable {
  /** Every entry that is not a directory. Fault `source.absent` where the commit is not in the pack. */
  tree(commit: string): Promise<readonly GitFile[]>;
  /** Must be read to its end before the next is asked for. */
  read(file: GitFile): AsyncGenerator<Uint8Array>;
}

interface Bounds {
  readonly scratch: string;
  readonly mostBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Indexes a pack, which recomputes the name of every object from its bytes. Fault `upstream.lied` where the pack is not
 * one, `limit.exceeded` where it is too large, `platform.unsupported` without `git`.
 */
export async function openGitObjects(
  pack: AsyncIterable<Uint8Array>,
  { scratch, mostBytes, signal }: Bounds,
): Promise<GitObjects> {
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(scratch, 'git-'));
  try {
    await run(folder, ['init', '--quiet', '--bare', '--template=', folder], signal);
    const bound = `--max-input-size=${mostBytes}`;
    await feed(start(folder, ['index-pack', '--stdin', '--threads=1', bound], signal), pack);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const reading = start(folder, ['cat-file', '--batch'], signal);
  reading.stdin.on('error', () => {});
  reading.stderr.resume();
  const ended = new Promise<void>((resolve) => reading.once('close', () => resolve()));
  const reader = openByteReader(reading.stdout);
  return {
    tree: async (commit) =>
      parseTree(await run(folder, ['ls-tree', '-r', '-z', '-l', '--full-tree', commit], signal)),
    read: (file) => readObject(reading, reader, file),
    [Symbol.asyncDispose]: async () => {
      reading.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function* readObject(
  child: ChildProcessWithoutNullStreams,
  reader: ByteReader,
  { oid, sizeBytes }: GitFile,
): AsyncGenerator<Uint8Array> {
  child.stdin.write(`${oid}\n`);
  const line = await reader.line(200);
  if (line !== `${oid} blob ${sizeBytes}`)
    throw new Fault('upstream.lied', 'the pack lacks a file of the commit');
  yield* reader.stream(sizeBytes);
  await reader.exactly(1);
}

/** git sees none of our environment, no settings of anybody, no network protocol, and bounded memory. */
function start(
  folder: string,
  words: readonly string[],
  signal: AbortSignal,
): ChildProcessWithoutNullStreams {
  const settings = [
    'core.bigFileThreshold=8m',
    'core.packedGitLimit=256m',
    'core.packedGitWindowSize=32m',
    'core.deltaBaseCacheLimit=64m',
    'protocol.allow=never',
    'core.hooksPath=/dev/null',
    'core.fsmonitor=false',
  ].flatMap((setting) => ['-c', setting]);
  const shell = `ulimit -v ${limits.gitMemoryBytes / 1024}; exec git "$@"`;
  return spawn('/bin/sh', ['-c', shell, 'git', ...settings, ...words], {
    cwd: folder,
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: folder,
      LC_ALL: 'C',
      GIT_DIR: folder,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ALLOW_PROTOCOL: '',
      GIT_NO_REPLACE_OBJECTS: '1',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
}

async function feed(child: ChildProcessWithoutNullStreams, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  child.stdout.resume();
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-2_000)));
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  closed.catch(() => {});
  // A pipe that git closed says less than git does; what the source itself had to say comes first.
  const fed = await pipeline(Readable.from(bytes), child.stdin).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (fed instanceof Fault) {
    child.kill('SIGKILL');
    await closed.catch(() => {});
    throw fed;
  }
  refuseFailure(await closed.catch(asMissing), words);
  if (fed !== undefined) throw fed;
}

function refuseFailure(code: number | null, words: string): void {
  if (code === 0) return;
  if (code === 127) throw asMissingFault();
  if (/maximum allowed size/.test(words)) {
    throw new Fault('limit.exceeded', 'the pack of the repository is too large', {
      hint: 'the operator can raise `intake-limit`',
    });
  }
  throw new Fault('upstream.lied', 'the git server sent a pack that is none', { cause: new Error(words) });
}

async function run(folder: string, words: readonly string[], signal: AbortSignal): Promise<Buffer> {
  const child = start(folder, words, signal);
  child.stdin.on('error', () => {}).end();
  const parts: Buffer[] = [];
  let size = 0;
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-2_000)));
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limits.manifestBytes) child.kill('SIGKILL');
    else parts.push(chunk);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).catch(asMissing);
  if (size > limits.manifestBytes)
    throw new Fault('artifact.too-large', 'the tree of the commit is too large');
  if (code === 127) throw asMissingFault();
  if (code !== 0) {
    throw new Fault('source.absent', 'the commit is not in what the git server sent', {
      cause: new Error(complaint),
    });
  }
  return Buffer.concat(parts);
}

function asMissing(error: unknown): never {
  throw isErrno(error) && error.code === 'ENOENT' ? asMissingFault() : error;
}

function asMissingFault(): Fault {
  return new Fault('platform.unsupported', 'reading git repositories needs the program `git`', {
    hint: 'install git 2.39 or newer on the server',
  });
}

/** `<mode> <type> <object> <size>\t<path>\0`, sizes padded, `-` for what has none. */
function parseTree(bytes: Buffer): readonly GitFile[] {
  const files: GitFile[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const end = bytes.indexOf(0, offset);
    const row = bytes.subarray(offset, end === -1 ? bytes.length : end);
    offset += row.length + 1;
    const tab = row.indexOf(0x09);
    const match = /^(\d{6}) (?:blob|commit) ([0-9a-f]{40}) +(\d+|-)$/.exec(
      row.subarray(0, tab).toString('latin1'),
    );
    const path = decodePath(row.subarray(tab + 1));
    if (tab === -1 || match === null || path === undefined)
      throw new Fault('path.invalid', 'a name in the tree of the commit is not UTF-8');
    const [, mode = '', oid = '', size = ''] = match;
    files.push({ mode, oid, sizeBytes: size === '-' ? 0 : Number(size), path });
  }
  return files;
}

function decodePath(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
