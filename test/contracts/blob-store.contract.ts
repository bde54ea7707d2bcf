import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import type { TestContext } from 'node:test';
import type { BlobStore } from '#artifact/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';

/** An adapter under test: a new empty place, and the same place again as another process would find it. */
export interface BlobStorePlace {
  openStore(): Promise<BlobStore>;
  /** A place that has room for about `sizeBytes`; a string says why this machine cannot make one. */
  openSmallStore?(t: TestContext, sizeBytes: number): Promise<BlobStore | string>;
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    await new Promise((resolve) => setImmediate(resolve));
    yield part;
  }
}

async function* failing(part: Uint8Array): AsyncGenerator<Uint8Array> {
  yield part;
  await Promise.resolve();
  throw new Error('the source broke');
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function listed(store: BlobStore): Promise<readonly Digest[]> {
  const found: Digest[] = [];
  for await (const digest of store.list()) found.push(digest);
  return found.sort();
}

const absent = digestOf(Buffer.from('never stored'));

/** What every `BlobStore` keeps (src/artifact/blob-store.ts). `makePlace` is called once per test. */
export function blobStoreContract(
  name: string,
  makePlace: (t: TestContext) => Promise<BlobStorePlace>,
): void {
  const run = (what: string, body: (t: TestContext, place: BlobStorePlace) => Promise<void>): void => {
    test(`${name}: ${what}`, async (t) => body(t, await makePlace(t)));
  };

  run('what was put is found, whole and by its digest', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(3_000_017);
    const descriptor = await store.put(chunks(bytes.subarray(0, 1), bytes.subarray(1)));
    assert.deepEqual(descriptor, { digest: digestOf(bytes), sizeBytes: bytes.length });
    assert.deepEqual(await store.stat(descriptor.digest), descriptor);
    for (const reopened of [store, await place.openStore()]) {
      await using blob = await reopened.open(descriptor.digest);
      assert.ok(blob);
      assert.equal(blob.sizeBytes, bytes.length);
      assert.deepEqual(await readAll(blob.stream()), bytes);
      if (blob.localPath !== undefined) assert.deepEqual(await readFile(blob.localPath), bytes);
    }
  });

  run('what was never put is not there', async (_t, place) => {
    const store = await place.openStore();
    assert.equal(await store.open(absent), undefined);
    assert.equal(await store.stat(absent), undefined);
    assert.deepEqual(await listed(store), []);
  });

  run('zero bytes are a blob', async (_t, place) => {
    const store = await place.openStore();
    const empty = digestOf(new Uint8Array());
    const sources = [new Uint8Array(), chunks(), chunks(new Uint8Array(), new Uint8Array())];
    for (const source of sources) {
      assert.deepEqual(await store.put(source, { digest: empty, sizeBytes: 0 }), {
        digest: empty,
        sizeBytes: 0,
      });
    }
    await using blob = await store.open(empty);
    assert.ok(blob);
    assert.equal((await readAll(blob.stream())).length, 0);
    assert.equal((await blob.read(0, 10)).length, 0);
    assert.deepEqual(await listed(store), [empty]);
  });

  run('other bytes than declared leave nothing visible', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(70_000);
    const digest = digestOf(bytes);
    const lies = [
      { digest: absent },
      { sizeBytes: bytes.length + 1 },
      { sizeBytes: bytes.length - 1 },
      { sizeBytes: 0 },
      { digest, sizeBytes: bytes.length - 1 },
      { digest: absent, sizeBytes: bytes.length },
    ];
    for (const expected of lies) {
      await assert.rejects(store.put(chunks(bytes.subarray(0, 9), bytes.subarray(9)), expected), {
        name: 'Fault',
        code: 'blob.mismatch',
      });
      assert.equal(await store.stat(absent), undefined);
      assert.equal(await store.stat(digest), undefined);
    }
    assert.deepEqual(await listed(store), []);
    assert.deepEqual(await store.put(bytes, { digest, sizeBytes: bytes.length }), {
      digest,
      sizeBytes: 70_000,
    });
  });

  run('a lie about a blob that is there is still a mismatch', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(500);
    const { digest } = await store.put(bytes);
    await assert.rejects(store.put(randomBytes(500), { digest }), { code: 'blob.mismatch' });
    await assert.rejects(store.put(bytes, { digest, sizeBytes: 499 }), { code: 'blob.mismatch' });
    await using blob = await store.open(digest);
    assert.deepEqual(await readAll(blob?.stream() ?? chunks()), bytes);
  });

  run('an endless source is cut at the declared size', async (_t, place) => {
    const store = await place.openStore();
    let given = 0;
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) {
        given += 1;
        yield new Uint8Array(1000);
        await Promise.resolve();
      }
    };
    await assert.rejects(store.put(endless(), { sizeBytes: 10_000 }), { code: 'blob.mismatch' });
    assert.ok(given < 20, `${given} chunks were taken`);
  });

  run('an absurd declared size is refused before or after reading, never stored', async (_t, place) => {
    const store = await place.openStore();
    await assert.rejects(store.put(chunks(Buffer.from('a')), { sizeBytes: 2 ** 53 - 1 }), (error: unknown) =>
      /^(disk\.full|blob\.mismatch)$/.test(String((error as { code?: unknown }).code)),
    );
    assert.deepEqual(await listed(store), []);
  });

  run('a source that breaks leaves nothing visible', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(1000);
    await assert.rejects(store.put(failing(bytes)), { message: 'the source broke' });
    assert.equal(await store.stat(digestOf(bytes)), undefined);
    assert.deepEqual(await listed(store), []);
    await store.put(bytes);
    await assert.rejects(store.put(failing(bytes), { digest: digestOf(bytes) }), {
      message: 'the source broke',
    });
    assert.deepEqual(await listed(store), [digestOf(bytes)]);
  });

  run('concurrent puts of the same bytes are one blob', async (_t, place) => {
    const stores = [await place.openStore(), await place.openStore()];
    const bytes = randomBytes(200_000);
    const digest = digestOf(bytes);
    const puts = Array.from({ length: 24 }, (_, index) => {
      const store = stores[index % 2] ?? assert.fail();
      const cut = index * 1000;
      return store.put(
        chunks(bytes.subarray(0, cut), bytes.subarray(cut)),
        index % 3 === 0 ? {} : { digest },
      );
    });
    for (const descriptor of await Promise.all(puts))
      assert.deepEqual(descriptor, { digest, sizeBytes: 200_000 });
    assert.deepEqual(await listed(stores[0] ?? assert.fail()), [digest]);
  });

  run('a reader keeps its bytes while the same blob is put again', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(100_000);
    const { digest } = await store.put(bytes);
    await using blob = await store.open(digest);
    await store.put(bytes);
    assert.deepEqual(await readAll(blob?.stream() ?? chunks()), bytes);
  });

  run('reads and ranges give exactly the bytes asked for', async (_t, place) => {
    const store = await place.openStore();
    const bytes = randomBytes(2_500_000);
    const { digest } = await store.put(bytes);
    await using blob = await store.open(digest);
    assert.ok(blob);
    const spans: readonly (readonly [number, number])[] = [
      [0, 0],
      [0, 1],
      [5, 5],
      [1, 2_499_999],
      [1_048_575, 1_048_577],
      [2_499_999, 2_500_000],
      [2_500_000, 2_500_000],
      [0, 2_500_000],
    ];
    for (const [start, end] of spans) {
      assert.deepEqual(await readAll(blob.stream({ start, end })), bytes.subarray(start, end));
      const target = Buffer.alloc(end - start + 3, 0xee);
      const expected = bytes.subarray(start, end + 3);
      assert.equal(await blob.readInto(target, start), expected.length);
      assert.deepEqual(target.subarray(0, expected.length), Buffer.from(expected));
      assert.ok(target.subarray(expected.length).every((byte) => byte === 0xee));
      assert.deepEqual(Buffer.from(await blob.read(start, end - start)), bytes.subarray(start, end));
    }
    assert.equal((await blob.read(2_499_990, 1_000_000_000_000)).length, 10);
    assert.equal((await blob.read(3_000_000, 5)).length, 0);
    await Promise.all([1, 2, 3].map(async () => assert.deepEqual(await readAll(blob.stream()), bytes)));
    for (const range of [
      { start: -1, end: 5 },
      { start: 5, end: 4 },
      { start: 0, end: 2_500_001 },
      { start: 0.5, end: 2 },
      { start: Number.NaN, end: 2 },
    ]) {
      assert.throws(() => blob.stream(range), { name: 'Fault', code: 'request.invalid' });
    }
    await assert.rejects(blob.read(-1, 5), { name: 'Fault', code: 'request.invalid' });
    await blob.close();
    await blob.close();
  });

  run('every blob is listed once', async (_t, place) => {
    const store = await place.openStore();
    const puts = Array.from({ length: 40 }, (_, index) => store.put(Buffer.from(`blob ${index % 30}`)));
    const digests = new Set((await Promise.all(puts)).map(({ digest }) => digest));
    assert.deepEqual(await listed(store), [...digests].sort());
    assert.equal(digests.size, 30);
  });

  run('a full disk is a Fault and leaves nothing visible', async (t, place) => {
    const store = (await place.openSmallStore?.(t, 1_000_000)) ?? 'the adapter has no small place';
    if (typeof store === 'string') return t.skip(store);
    const small = await store.put(randomBytes(100_000));
    const large = randomBytes(3_000_000);
    const expectations = [{}, { digest: digestOf(large) }, { sizeBytes: large.length }];
    for (const expected of expectations) {
      await assert.rejects(store.put(chunks(large.subarray(0, 50_000), large.subarray(50_000)), expected), {
        name: 'Fault',
        code: 'disk.full',
      });
      assert.equal(await store.stat(digestOf(large)), undefined);
    }
    assert.deepEqual(await listed(store), [small.digest]);
    const after = await store.put(randomBytes(300_000));
    assert.equal((await listed(store)).length, 2);
    await using blob = await store.open(after.digest);
    const hash = createHash('sha256');
    for await (const part of blob?.stream() ?? chunks()) hash.update(part);
    assert.equal(`sha256:${hash.digest('hex')}`, after.digest);
  });
}
