import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import { openFilesystemPartialStore } from '#adapters/filesystem/partial-store.ts';
import { digestOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import type { FillSource } from './fill.ts';
import { openFills } from './fills.ts';

const MiB = 1024 * 1024;
const chunkBytes = 256 * 1024;
const forever = new AbortController().signal;

/** Upstream as it was asked: which places, and how many bytes left. */
interface Upstream {
  content: Uint8Array;
  readonly asked: number[];
  sentBytes: number;
  ranges: boolean;
  /** Awaited before each chunk at this offset. */
  before: (offset: number, signal: AbortSignal) => Promise<void>;
  /** What other digests than that of `content` stand for. */
  readonly others: Map<Digest, Uint8Array>;
}

async function house(t: TestContext, content: Uint8Array) {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-fill-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const upstream: Upstream = {
    content,
    asked: [],
    sentBytes: 0,
    ranges: true,
    before: async () => {},
    others: new Map(),
  };
  const links = new Set<string>();
  const held = new Set<string>();
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const blobs = await openFilesystemBlobStore(directory);
  const partials = await openFilesystemPartialStore(directory);
  /** A process of its own on the same store: its own fills, its own end. */
  const replica = (own: Partial<Parameters<typeof openFills>[0]> = {}) => {
    const stop = new AbortController();
    const fills = openFills({
      partials,
      blobs,
      bytes: async function* bytes({ file }, { offset, signal, answered }) {
        const other = upstream.others.get(file.lfsDigest);
        upstream.asked.push(offset);
        answered?.(upstream.ranges);
        for (let at = offset; at < (other ?? upstream.content).length; at += chunkBytes) {
          if (other === undefined) await upstream.before(at, signal);
          signal.throwIfAborted();
          const chunk = (other ?? upstream.content).subarray(at, at + chunkBytes);
          upstream.sentBytes += chunk.length;
          yield chunk;
        }
      },
      acquire: async (name) => {
        if (held.has(name)) return undefined;
        held.add(name);
        return { release: async () => void held.delete(name) };
      },
      linked: async (namespace, digest) => links.has(`${namespace} ${digest}`),
      link: async (namespace, { digest }) => void links.add(`${namespace} ${digest}`),
      signal: stop.signal,
      clock,
      width: 4,
      ...own,
    });
    return { fills, stop };
  };
  return { directory, upstream, links, clock, blobs, replica };
}

function sourceOf(
  content: Uint8Array,
  path = 'model.safetensors',
  digest: Digest = digestOf(content),
): FillSource {
  return {
    namespace: 'default',
    repository: { type: 'models', id: 'org/name' },
    commit: 'c'.repeat(40),
    file: { path, sizeBytes: content.length, gitOid: '0'.repeat(40), lfsDigest: digest },
  };
}

async function readAll(
  reader: { readInto(target: Uint8Array, offset: number, signal: AbortSignal): Promise<number> },
  from: number,
  end: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(end - from);
  for (let at = 0; at < bytes.length;) {
    const length = await reader.readInto(bytes.subarray(at, at + 100_003), from + at, forever);
    assert.ok(length > 0);
    at += length;
  }
  return bytes;
}

test('twenty readers, some from the middle, some leaving: every byte leaves upstream once', async (t) => {
  const content = randomBytes(96 * MiB + 17);
  const { upstream, blobs, replica } = await house(t, content);
  upstream.before = () => sleep(1);
  const { fills } = replica();
  const source = sourceOf(content);
  const readers = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      const reader = fills.follow(source);
      assert.ok(reader !== undefined);
      const from = number === 7 ? 90 * MiB : 0;
      const end = number % 6 === 5 ? from + MiB : content.length;
      const bytes = await readAll(reader, from, end);
      reader.close();
      return bytes.equals(content.subarray(from, end));
    }),
  );
  await fills.fetch(source);
  assert.ok(readers.every(Boolean));
  assert.equal(upstream.sentBytes - content.length < 3 * chunkBytes, true, `${upstream.sentBytes}`);
  assert.ok(upstream.asked.length <= 4, `asked at ${upstream.asked.join()}`);
  assert.equal(upstream.asked[0], 0);
  assert.ok(upstream.asked.includes(90 * MiB), 'the middle was fetched before what lies between');
  assert.equal((await blobs.stat(digestOf(content)))?.sizeBytes, content.length);
  assert.deepEqual(fills.underWay(), []);
});

test('where upstream does not know ranges, the middle waits for its turn', async (t) => {
  const content = randomBytes(24 * MiB);
  const { upstream, replica } = await house(t, content);
  upstream.ranges = false;
  const { fills } = replica();
  const reader = fills.follow(sourceOf(content));
  assert.ok(reader !== undefined);
  assert.ok((await readAll(reader, 20 * MiB, 21 * MiB)).equals(content.subarray(20 * MiB, 21 * MiB)));
  reader.close();
  await fills.fetch(sourceOf(content));
  assert.deepEqual(upstream.asked, [0]);
});

test('a transfer that was stopped goes on where it was, and is hashed as a whole', async (t) => {
  const content = randomBytes(20 * MiB);
  const { upstream, blobs, directory, replica } = await house(t, content);
  const first = replica();
  const half = Promise.withResolvers<void>();
  upstream.before = async (at) => {
    if (at >= 10 * MiB) half.resolve();
    if (at >= 10 * MiB) await new Promise((_, reject) => first.stop.signal.addEventListener('abort', reject));
  };
  const stopped = assert.rejects(first.fills.fetch(sourceOf(content)));
  await half.promise;
  first.stop.abort();
  await stopped;
  await first.fills.settled();
  upstream.before = async () => {};
  const { fills } = replica();
  await fills.fetch(sourceOf(content));
  assert.deepEqual(upstream.asked, [0, 10 * MiB]);
  assert.equal(upstream.sentBytes, content.length);
  assert.equal((await blobs.stat(digestOf(content)))?.sizeBytes, content.length);
  assert.deepEqual(await readdir(join(directory, 'partial')), []);
});

test('a kept part that was damaged is fetched again before upstream is accused, and its readers are told', async (t) => {
  const content = randomBytes(20 * MiB);
  const { upstream, directory, replica } = await house(t, content);
  const first = replica();
  const half = Promise.withResolvers<void>();
  upstream.before = async (at) => {
    if (at < 10 * MiB) return;
    half.resolve();
    await new Promise((_, reject) => first.stop.signal.addEventListener('abort', reject));
  };
  const stopped = assert.rejects(first.fills.fetch(sourceOf(content)));
  await half.promise;
  first.stop.abort();
  await stopped;
  await first.fills.settled();
  const [name] = (await readdir(join(directory, 'partial'))).filter((entry) => !entry.endsWith('.spans'));
  await writeFile(join(directory, 'partial', name ?? ''), Buffer.alloc(10 * MiB));
  upstream.before = async () => {};
  const { fills } = replica();
  const reader = fills.follow(sourceOf(content));
  assert.ok(reader !== undefined);
  const damaged = readAll(reader, 0, content.length).catch(() => {});
  await fills.fetch(sourceOf(content));
  assert.deepEqual(upstream.asked, [0, 10 * MiB, 0]);
  await damaged;
  await assert.rejects(reader.readInto(Buffer.alloc(1), 0, forever), { code: 'upstream.unavailable' });
  reader.close();
});

test('other bytes than declared are a lie: nothing is kept, readers end, and it is not asked again for a while', async (t) => {
  const content = randomBytes(3 * MiB);
  const { upstream, blobs, clock, directory, replica, links } = await house(t, content);
  const { fills } = replica();
  const lied = sourceOf(content, 'model.safetensors', digestOf(randomBytes(8)));
  const reader = fills.follow(lied);
  assert.ok(reader !== undefined);
  const isLie = (error: unknown): boolean => error instanceof Fault && error.code === 'upstream.lied';
  await assert.rejects(fills.fetch(lied), isLie);
  await assert.rejects(reader.readInto(Buffer.alloc(1), 0, forever), isLie);
  reader.close();
  await assert.rejects(fills.fetch(lied), isLie);
  assert.throws(() => fills.follow(lied), isLie);
  assert.deepEqual(upstream.asked, [0]);
  assert.equal(await blobs.stat(lied.file.lfsDigest), undefined);
  assert.equal(links.size, 0);
  assert.deepEqual(await readdir(join(directory, 'partial')), []);
  clock.ms += 60_001;
  await assert.rejects(fills.fetch(lied), isLie);
  assert.deepEqual(upstream.asked, [0, 0]);
});

test('the same bytes from a liar do not refuse them to who asks an honest source', async (t) => {
  const content = randomBytes(3 * MiB);
  const { upstream, replica } = await house(t, randomBytes(3 * MiB));
  const { fills } = replica();
  const liar = sourceOf(content);
  const honest: FillSource = { ...sourceOf(content), commit: 'd'.repeat(40) };
  upstream.before = () => sleep(2);
  const lied = assert.rejects(fills.fetch(liar));
  assert.equal(fills.follow(honest), undefined, 'what another repository sends is nothing to stream');
  const fetched = fills.fetch(honest);
  await lied;
  upstream.content = content;
  await fetched;
});

test('another process follows, and takes over when the owner dies', async (t) => {
  const content = randomBytes(20 * MiB);
  const { upstream, replica } = await house(t, content);
  const [owner, other] = [replica(), replica()];
  const half = Promise.withResolvers<void>();
  upstream.before = async (at) => {
    if (at < 10 * MiB || owner.stop.signal.aborted) return;
    half.resolve();
    await new Promise((_, reject) => owner.stop.signal.addEventListener('abort', reject));
  };
  const died = assert.rejects(owner.fills.fetch(sourceOf(content)));
  await half.promise;
  const reader = other.fills.follow(sourceOf(content));
  assert.ok(reader !== undefined);
  assert.ok((await readAll(reader, 0, 8 * MiB)).equals(content.subarray(0, 8 * MiB)));
  assert.equal(other.fills.underWay()[0]?.state, 'following');
  owner.stop.abort();
  await died;
  assert.ok((await readAll(reader, 8 * MiB, content.length)).equals(content.subarray(8 * MiB)));
  reader.close();
  await other.fills.fetch(sourceOf(content));
  assert.deepEqual(upstream.asked, [0, 10 * MiB]);
  assert.equal(upstream.sentBytes, content.length);
});

test('another process whose owner throws away what it had ends its readers', async (t) => {
  const content = randomBytes(20 * MiB);
  const { upstream, directory, replica } = await house(t, content);
  const [first, owner, other] = [replica(), replica(), replica()];
  const half = Promise.withResolvers<void>();
  upstream.before = async (at) => {
    if (at < 10 * MiB) return;
    half.resolve();
    await new Promise((_, reject) => first.stop.signal.addEventListener('abort', reject));
  };
  const stopped = assert.rejects(first.fills.fetch(sourceOf(content)));
  await half.promise;
  first.stop.abort();
  await stopped;
  await first.fills.settled();
  const [name] = (await readdir(join(directory, 'partial'))).filter((entry) => !entry.endsWith('.spans'));
  await writeFile(join(directory, 'partial', name ?? ''), Buffer.alloc(10 * MiB));
  upstream.before = () => sleep(20);
  const owned = owner.fills.fetch(sourceOf(content));
  await sleep(30);
  const reader = other.fills.follow(sourceOf(content));
  assert.ok(reader !== undefined);
  const read = Buffer.alloc(MiB);
  assert.ok((await reader.readInto(read, 0, forever)) > 0);
  assert.equal(read[0], 0, 'it has read of what is damaged');
  const ended = assert.rejects(
    (async () => {
      for (let at = MiB; at < content.length;) at += await reader.readInto(read, at, forever);
      for (;;) {
        await sleep(20);
        await reader.readInto(read, 0, forever);
      }
    })(),
    { code: 'upstream.unavailable' },
  );
  await owned;
  await ended;
  reader.close();
  await other.fills.fetch(sourceOf(content));
});

test('another process that follows to the end asks upstream for nothing', async (t) => {
  const content = randomBytes(12 * MiB);
  const { upstream, replica } = await house(t, content);
  const [owner, other] = [replica(), replica()];
  upstream.before = () => sleep(5);
  const owned = owner.fills.fetch(sourceOf(content));
  await sleep(50);
  const reader = other.fills.follow(sourceOf(content));
  assert.ok(reader !== undefined);
  assert.ok((await readAll(reader, 0, content.length)).equals(content));
  await Promise.all([owned, other.fills.fetch(sourceOf(content))]);
  reader.close();
  assert.deepEqual(upstream.asked, [0]);
});

test('what another process threw away ends those who read it along: the rest of another transfer is not theirs', async (t) => {
  const content = randomBytes(24 * MiB);
  const { upstream, links, replica } = await house(t, content);
  const source = sourceOf(content);
  upstream.content = Buffer.concat([randomBytes(12 * MiB), content.subarray(12 * MiB)]);
  let pass = (): void => {};
  const held = new Promise<void>((resolve) => (pass = resolve));
  upstream.before = async (offset) => (offset >= 16 * MiB ? held : undefined);
  const [owner, follower] = [replica(), replica()];
  const lied = assert.rejects(owner.fills.fetch(source), { code: 'upstream.lied' });
  while (upstream.sentBytes < 8 * MiB) await sleep(10);
  const reader = follower.fills.follow(source);
  assert.ok(reader !== undefined);
  const seen = await readAll(reader, 0, 8 * MiB);
  assert.ok(seen.equals(upstream.content.subarray(0, 8 * MiB)), 'bytes of the lie');
  upstream.content = content;
  upstream.before = async () => {};
  pass();
  await lied;
  await assert.rejects(readAll(reader, 8 * MiB, content.length), { code: 'upstream.unavailable' });
  reader.close();
  await follower.fills.fetch(source);
  assert.ok(links.has(`default ${digestOf(content)}`));
});

test('what another process completed is read to its end by those who read it along', async (t) => {
  const content = randomBytes(24 * MiB);
  const { upstream, replica } = await house(t, content);
  const source = sourceOf(content);
  upstream.before = () => sleep(5);
  const [owner, follower] = [replica(), replica()];
  const done = owner.fills.fetch(source);
  while (upstream.sentBytes < 8 * MiB) await sleep(10);
  const reader = follower.fills.follow(source);
  assert.ok(reader !== undefined);
  assert.ok((await readAll(reader, 0, content.length)).equals(content));
  reader.close();
  await done;
  await follower.fills.fetch(source);
  assert.ok(upstream.sentBytes < content.length + 3 * chunkBytes, 'upstream was asked once');
});

for (const [how, turns] of [
  ['crawls', { slowMs: 40, slowBytes: MiB, longMs: 60_000 }],
  ['takes hours', { slowMs: 60_000, slowBytes: 0, longMs: 40 }],
] as const) {
  test(`a transfer that ${how} gives way to others, and is completed without a byte twice`, async (t) => {
    const [content, small] = [randomBytes(12 * MiB), randomBytes(MiB)];
    const { upstream, replica } = await house(t, content);
    const { fills } = replica({ width: 1, turns });
    upstream.others.set(digestOf(small), small);
    upstream.before = async (offset, signal) => {
      if (offset === 10 * MiB && upstream.asked.length === 1) await sleep(600_000, undefined, { signal });
    };
    const slow = fills.fetch(sourceOf(content));
    while (upstream.sentBytes < 10 * MiB) await sleep(5);
    await fills.fetch(sourceOf(small, 'small.safetensors'));
    await slow;
    // On a busy machine the small one may have to give way, too.
    assert.deepEqual(upstream.asked.slice(0, 2), [0, 0]);
    assert.ok(upstream.asked.includes(10 * MiB), upstream.asked.join());
    assert.ok(upstream.sentBytes - content.length - small.length <= 2 * chunkBytes, `${upstream.sentBytes}`);
  });
}

test('where upstream does not know ranges nobody gives way: it would begin from its first byte for ever', async (t) => {
  const [content, small] = [randomBytes(12 * MiB), randomBytes(MiB)];
  const { upstream, replica } = await house(t, content);
  upstream.ranges = false;
  const { fills } = replica({ width: 1, turns: { slowMs: 40, slowBytes: 100 * MiB, longMs: 40 } });
  upstream.others.set(digestOf(small), small);
  upstream.before = () => sleep(5);
  await Promise.all([fills.fetch(sourceOf(content)), fills.fetch(sourceOf(small, 'small.safetensors'))]);
  assert.deepEqual(upstream.asked, [0, 0]);
});
