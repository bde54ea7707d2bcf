import { basename, dirname } from 'node:path';

/** What a program did to the disk, in order of completion, as far as power failure is concerned. */
export type DiskEvent =
  | { readonly kind: 'create'; readonly path: string }
  | { readonly kind: 'make-directory'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; readonly sizeBytes: number; bytes(): Buffer }
  | { readonly kind: 'sync'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }
  /** The program told somebody something: a line on standard output. */
  | { readonly kind: 'say'; readonly line: string }
  /** Bytes given to a socket; only in traces with `-yy`, which tells sockets apart. */
  | { readonly kind: 'send'; readonly socket: string; bytes(): Buffer };

/** Options for strace that `parseTrace` reads. */
export const straceArguments: readonly string[] = [
  '-f',
  '-y',
  '-s',
  '300',
  '-e',
  'trace=openat,open,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat',
];

/** The events below `root` and the lines said. Calls that another thread interrupts are put together again. */
export function parseTrace(trace: string, root: string): readonly DiskEvent[] {
  const unfinished = new Map<string, string>();
  const events: DiskEvent[] = [];
  for (const line of trace.split('\n')) {
    const [, thread, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (thread === undefined || rest === undefined) continue;
    const begun = /^(.*) <unfinished \.\.\.>$/.exec(rest)?.[1];
    if (begun !== undefined) {
      unfinished.set(thread, begun);
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    const event = parseCall(resumed === undefined ? rest : `${unfinished.get(thread) ?? ''}${resumed}`);
    if (event !== undefined && isBelow(event, root)) events.push(event);
  }
  return events;
}

function parseCall(call: string): DiskEvent | undefined {
  const [, name, rest, result] = /^(\w+)\((.*)\)\s+= (-?\d+)/.exec(call) ?? [];
  if (name === undefined || rest === undefined || result === undefined || result.startsWith('-'))
    return undefined;
  const paths = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? '');
  const descriptor = /^(\d+)<((?:TCP|TCPv6|UNIX[-A-Z]*):\[.*?\]|[^>]*)>/.exec(rest);
  switch (name) {
    case 'open':
    case 'openat':
      return rest.includes('O_CREAT') ? { kind: 'create', path: paths[0] ?? '' } : undefined;
    case 'mkdir':
    case 'mkdirat':
      return { kind: 'make-directory', path: paths[0] ?? '' };
    case 'fsync':
    case 'fdatasync':
      return { kind: 'sync', path: descriptor?.[2] ?? '' };
    case 'rename':
    case 'renameat':
    case 'renameat2':
      return { kind: 'rename', from: paths[0] ?? '', to: paths[1] ?? '' };
    case 'unlink':
    case 'unlinkat':
      return { kind: 'remove', path: paths[0] ?? '' };
    default:
      if (descriptor?.[1] === '1') return { kind: 'say', line: (paths[0] ?? '').replace(/\\n$/, '') };
      return parseWrite(descriptor?.[2] ?? '', paths, Number(result));
  }
}

function parseWrite(path: string, parts: readonly string[], sizeBytes: number): DiskEvent {
  const bytes = (): Buffer => Buffer.concat(parts.map(unescapeBytes)).subarray(0, sizeBytes);
  if (/^(?:TCP|UNIX)/.test(path)) return { kind: 'send', socket: path, bytes };
  return { kind: 'write', path, sizeBytes, bytes };
}

const escapes: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12 };

/** A string as strace prints it (C escapes, octal) to its bytes. */
function unescapeBytes(printed: string): Buffer {
  const octal = /^[0-7]/;
  return Buffer.from(
    printed.replaceAll(/\\([0-7]{1,3}|x[0-9a-f]{2}|.)/gs, (_, code: string) => {
      if (octal.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
      if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
      return String.fromCharCode(escapes[code] ?? code.charCodeAt(0));
    }),
    'latin1',
  );
}

function isBelow(event: DiskEvent, root: string): boolean {
  if (event.kind === 'say' || event.kind === 'send') return true;
  const path = event.kind === 'rename' ? event.to : event.path;
  return path === root || path.startsWith(`${root}/`);
}

interface Inode {
  writtenBytes: number;
  durableBytes: number;
}

/** The disk after a power failure that drops every write and every name that was not synced. */
export interface DiskAfterPowerFailure {
  /** Bytes of a file whose name and whose directories' names are all durable; undefined where one is not. */
  durableFile(path: string): number | undefined;
  /** Files that a reader may see under `path` in the luckiest case, with bytes written and bytes durable. */
  perhapsVisible(): ReadonlyMap<string, Readonly<Inode>>;
}

/** Plays events on an empty disk below `root`; `inspect` is called for the failure after each of them. */
export function replayPowerFailures(
  events: readonly DiskEvent[],
  root: string,
  inspect: (disk: DiskAfterPowerFailure, event: DiskEvent) => void,
): void {
  const files = new Map<string, Inode>();
  /** Per directory, the names that are durable in it and what they mean: a file, or `true` for a directory. */
  const durableNames = new Map<string, Map<string, Inode | true>>();
  const directories = new Set<string>([dirname(root)]);
  const disk: DiskAfterPowerFailure = {
    durableFile(path) {
      const found = durableNames.get(dirname(path))?.get(basename(path));
      if (found === undefined || found === true) return undefined;
      for (let at = dirname(path); at !== dirname(root); at = dirname(at)) {
        if (durableNames.get(dirname(at))?.get(basename(at)) !== true) return undefined;
      }
      return found.durableBytes;
    },
    perhapsVisible: () => files,
  };
  const syncDirectory = (path: string): void => {
    const names = new Map<string, Inode | true>();
    for (const [file, inode] of files) if (dirname(file) === path) names.set(basename(file), inode);
    for (const directory of directories)
      if (dirname(directory) === path) names.set(basename(directory), true);
    durableNames.set(path, names);
  };
  for (const event of events) {
    if (event.kind === 'create')
      files.set(event.path, files.get(event.path) ?? { writtenBytes: 0, durableBytes: 0 });
    else if (event.kind === 'make-directory') directories.add(event.path);
    else if (event.kind === 'remove') files.delete(event.path);
    else if (event.kind === 'write') {
      const inode = files.get(event.path);
      if (inode !== undefined) inode.writtenBytes += event.sizeBytes;
    } else if (event.kind === 'rename') {
      const inode = files.get(event.from);
      files.delete(event.from);
      if (inode !== undefined) files.set(event.to, inode);
    } else if (event.kind === 'sync') {
      const inode = files.get(event.path);
      if (inode !== undefined) inode.durableBytes = inode.writtenBytes;
      if (directories.has(event.path)) syncDirectory(event.path);
    }
    inspect(disk, event);
  }
}
