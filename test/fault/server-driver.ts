import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { openLogDirectory } from '#adapters/filesystem/log-files.ts';
import { parseLeaf } from '#evidence/log/leaf.ts';
import { edgeRoot, emptyEdge, growTiles, readEntryTile, tileWidth } from '#evidence/log/tile.ts';
import { member } from '../../src/app/cli/connection.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { cleanEnvironment, root, testToken } from '../support/server.ts';

/** A server as traffic sees it. */
export interface Driven {
  readonly data: string;
  readonly clients: string;
  readonly console: string;
}

/** What the server has answered for: it must still be true after whatever happens to it. */
export interface Acknowledged {
  /** SHA-256 of the bytes of every 200, by the path that was asked. */
  readonly files: Map<string, string>;
  /** Envelope digest by log index. */
  readonly entries: Map<number, string>;
  /** Root hash by log size. */
  readonly heads: Map<number, string>;
}

export function nothingAcknowledged(): Acknowledged {
  return { files: new Map(), entries: new Map(), heads: new Map() };
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The real `npm start`, started as a person would, with its exit as the shell sees it. */
export interface NpmServer extends Driven {
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  output(): string;
  stop(): Promise<void>;
}

/** Resolves with the server when it serves, or with its end where it ended before. */
export async function npmStart(
  data: string,
  hub: LoopbackHub,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly server: NpmServer; readonly serves: boolean }> {
  const flags = ['--data', data, '--listen', '127.0.0.1:0', '--console-listen', '127.0.0.1:0'];
  const child = spawn(
    'npm',
    ['start', '--', ...flags, '--upstream', hub.url.href, '--reference-ttl', '0', '--log-level', 'error'],
    {
      cwd: root,
      env: { ...cleanEnvironment(), WEIGHBRIDGE_ADMIN_TOKEN: testToken, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on('exit', (code, signal) => resolve({ code, signal })),
  );
  const banner = new Promise<string>((resolve) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const url = /export HF_ENDPOINT=(\S+)/.exec(output)?.[1];
      if (url !== undefined) resolve(url);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
  });
  const clients = await Promise.race([banner, exit.then(() => undefined)]);
  const server = {
    data,
    clients: clients ?? '',
    console: /console\s+(http\S+?)\/console\//.exec(output)?.[1] ?? '',
    exit,
    output: () => output,
    stop: async () => {
      process.kill(await serverPid(child.pid ?? 0), 'SIGTERM');
      await exit;
    },
  };
  return { server, serves: clients !== undefined };
}

/** npm runs a shell that runs the launcher, which becomes the server: the one that is asked to stop is the last. */
export async function serverPid(pid: number): Promise<number> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
  if (commandLine.includes('/src/app/main.ts\0serve')) return pid;
  for (const child of (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')) {
    const found = child === '' ? 0 : await serverPid(Number(child));
    if (found > 0) return found;
  }
  return 0;
}

async function ask(server: Driven, path: string, body?: unknown): Promise<unknown> {
  const headers = { authorization: `Bearer ${testToken}` };
  const answer = await fetch(`${server.console}${path}`, {
    ...(body === undefined
      ? { headers }
      : {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${path}: ${text}`);
  return JSON.parse(text);
}

/** Pulls a file as a hub client does, waiting while it is held. Gives the status and the bytes. */
export async function pull(
  server: Driven,
  path: string,
): Promise<{ readonly status: number; readonly bytes: Uint8Array; readonly headers: Headers }> {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${server.clients}${path}`, { signal: AbortSignal.timeout(60_000) });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (answer.status !== 503 || tries > 30) return { status: answer.status, bytes, headers: answer.headers };
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

export async function readHead(server: Driven, acknowledged?: Acknowledged): Promise<number> {
  const head = await ask(server, '/wb/v1/log/head');
  const size = Number(member(head, 'size'));
  acknowledged?.heads.set(size, String(member(head, 'rootHash')));
  return size;
}

export async function artifactOf(server: Driven, repository: string): Promise<string> {
  const listed = await ask(server, `/wb/v1/artifacts?search=${encodeURIComponent(repository)}`);
  const items = member(listed, 'items');
  assert.ok(Array.isArray(items) && items.length > 0, `${repository} is not in the inventory`);
  return String(member(items[0], 'artifact'));
}

export async function showArtifact(server: Driven, digest: string): Promise<unknown> {
  return ask(server, `/wb/v1/artifacts/${digest}`);
}

export async function approve(
  server: Driven,
  digest: string,
): Promise<{ readonly logIndex: number; readonly envelopeDigest: string }> {
  const body = { reason: 'weighed by hand', root: 'loading', environments: ['production'], expiresAt: null };
  const answer = await ask(server, `/wb/v1/artifacts/${digest}/approve`, body);
  return {
    logIndex: Number(member(answer, 'logIndex')),
    envelopeDigest: String(member(answer, 'envelopeDigest')),
  };
}

/** The files of the n-th repository: all bytes new, small enough for many intakes. */
export function modelFiles(n: number): Readonly<Record<string, string | Uint8Array>> {
  return {
    'config.json': JSON.stringify({ model_type: 'bert', hidden_size: n }),
    'README.md': `# model ${n}\n`,
    'model.safetensors': safetensors({ [`weight.${n}`]: tensor(0, 4096, 'U8') }, 4096),
  };
}

/** A harmless policy of people, different for every n. */
export function editPolicy(data: string, n: number): Promise<void> {
  const text = [
    'apiVersion: weighbridge.dev/policy/v1',
    'name: zz-house',
    `description: edit ${n}`,
    'rules:',
    '  - id: open',
    '    effect: deny',
    '    description: the port is open',
    '    require: "true"',
    '    message: never said',
    '    who: the harbour master',
    '    remedy: none',
    '',
  ].join('\n');
  return writeFile(join(data, 'policies', 'zz-house.yaml'), text);
}

/**
 * The traffic that passes every write: an intake of a new repository, an approval, a policy edit. Everything that the
 * server answers is noted the moment it is answered. Throws where the server dies.
 */
export async function drive(
  server: Driven,
  hub: LoopbackHub,
  n: number,
  acknowledged: Acknowledged,
): Promise<void> {
  const repository = `org/model-${n}`;
  await hub.commit(repository, modelFiles(n));
  for (const name of ['config.json', 'model.safetensors', 'README.md']) {
    const path = `/${repository}/resolve/main/${name}`;
    const { status, bytes, headers } = await pull(server, path);
    assert.equal(status, 200, `${path}: ${headers.get('x-error-message')}`);
    acknowledged.files.set(path, sha256(bytes));
  }
  await readHead(server, acknowledged);
  const digest = await artifactOf(server, repository);
  const approval = await approve(server, digest);
  acknowledged.entries.set(approval.logIndex, approval.envelopeDigest);
  const evidence = member(await showArtifact(server, digest), 'evidence');
  assert.ok(Array.isArray(evidence));
  for (const row of evidence)
    acknowledged.entries.set(Number(member(row, 'logIndex')), String(member(row, 'envelopeDigest')));
  const before = await readHead(server, acknowledged);
  await editPolicy(server.data, n);
  for (let tries = 0; (await readHead(server, acknowledged)) === before; tries++) {
    assert.ok(tries < 100, 'the edited policy is not in force after 10 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // The decisions that follow from the new policy are in the log too.
  await pull(server, `/${repository}/resolve/main/config.json`);
  await readHead(server, acknowledged);
}

/** Every blob that can be seen is whole: its SHA-256 is its name. Gives the names. */
export async function wholeBlobs(data: string): Promise<ReadonlySet<string>> {
  const folder = join(data, 'blobs', 'sha256');
  const names = new Set<string>();
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!item.isFile()) continue;
    const path = join(item.parentPath, item.name);
    assert.equal(sha256(await readFile(path)), item.name, `${path} is not whole`);
    assert.equal((await stat(path)).mode & 0o777, 0o444);
    names.add(item.name);
  }
  return names;
}

/** The published log holds what was acknowledged: each entry at its index, each head as a prefix. */
export async function holdsHistory(data: string, size: number, acknowledged: Acknowledged): Promise<void> {
  const files = openLogDirectory(join(data, 'log'));
  let edge = emptyEdge;
  for (let start = 0; start < size; start += tileWidth) {
    const leaves = await readEntryTile(files, start / tileWidth, Math.min(tileWidth, size - start));
    assert.ok(leaves !== undefined, `the entry tile from ${start} is missing`);
    for (const [at, leaf] of leaves.entries()) {
      const noted = acknowledged.entries.get(start + at);
      if (noted !== undefined) assert.equal(parseLeaf(leaf).envelopeDigest, noted, `entry ${start + at}`);
      ({ edge } = growTiles(edge, [leaf]));
      const root = acknowledged.heads.get(edge.size);
      if (root !== undefined)
        assert.equal(Buffer.from(edgeRoot(edge)).toString('base64'), root, `head of ${edge.size}`);
    }
  }
  const beyond = [...acknowledged.heads.keys(), ...[...acknowledged.entries.keys()].map((at) => at + 1)];
  assert.ok(Math.max(0, ...beyond) <= size, `the log has ${size} entries and had ${Math.max(...beyond)}`);
}

/** Everything that was answered before is still there, from the running server and on the disk. */
export async function holdsEverything(server: Driven, acknowledged: Acknowledged): Promise<void> {
  const blobs = await wholeBlobs(server.data);
  for (const [path, digest] of acknowledged.files) {
    assert.ok(blobs.has(digest), `the bytes of ${path} are gone`);
    const { status, bytes } = await pull(server, path);
    assert.equal(status, 200, path);
    assert.equal(sha256(bytes), digest, path);
  }
  const size = await readHead(server);
  for (const digest of acknowledged.entries.values())
    assert.ok(blobs.has(digest.slice('sha256:'.length)), `the envelope ${digest} is gone`);
  await published(server.data, size);
  await holdsHistory(server.data, size, acknowledged);
}

/** Tiles follow a commit, and a server that just started may be committing still: waits until those of `size` are there. */
async function published(data: string, size: number): Promise<void> {
  const files = openLogDirectory(join(data, 'log'));
  const start = Math.floor((size - 1) / tileWidth) * tileWidth;
  for (let tries = 0; tries < 50; tries += 1) {
    const last = await readEntryTile(files, start / tileWidth, size - start);
    if (last !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
