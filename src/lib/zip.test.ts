import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { buildZip, type ZipPart } from '../../test/support/zip-builder.ts';
import { Fault } from './fault.ts';
import { checkZipMember, openZipMember, type RandomAccess, readZip, type ZipAnomalyKind } from './zip.ts';

const memory = (bytes: Uint8Array): RandomAccess => ({
  sizeBytes: bytes.length,
  read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + lengthBytes)),
});
const utf8 = (text: string): Uint8Array => Buffer.from(text);
const part = (name: string, more: Partial<ZipPart> = {}): ZipPart => ({
  name,
  bytes: utf8(`of ${name}`),
  ...more,
});

async function anomaliesOf(bytes: Uint8Array): Promise<readonly string[]> {
  const source = memory(bytes);
  const reading = await readZip(source);
  assert.ok(reading, 'it is a zip');
  const kinds = reading.anomalies.map(({ kind }) => kind);
  for (const member of reading.members) {
    if (member.encrypted || ![0, 8].includes(member.method)) continue;
    const opened = await openZipMember(source, member).catch(() => undefined);
    if (opened !== undefined) kinds.push(...(await checkZipMember(member, opened)).map(({ kind }) => kind));
  }
  return [...new Set(kinds)];
}

const odd: Readonly<Record<ZipAnomalyKind, Uint8Array>> = {
  'bad-checksum': buildZip([part('a', { local: { crc: 1 }, central: { crc: 1 } })]),
  'bad-size': buildZip([part('a', { deflate: true, local: { sizeBytes: 2 }, central: { sizeBytes: 2 } })]),
  bomb: buildZip([part('a', { deflate: true, central: { sizeBytes: 2 ** 31 } })]),
  'broken-directory': buildZip([part('a')], { entries: 7 }),
  'broken-header': buildZip([part('a', { central: { offset: 5 } })]),
  'duplicate-name': buildZip([part('a'), part('a', { bytes: utf8('other') })]),
  encrypted: buildZip([part('a', { central: { flags: 1 } })]),
  gap: buildZip([part('a'), part('b', { gap: utf8('hidden bytes') })]),
  'hidden-member': buildZip([part('a'), part('b', { listed: 0 })]),
  link: buildZip([part('a', { central: { mode: 0o120777 } })]),
  mismatch: buildZip([part('a', { local: { method: 8 } })]),
  'name-mismatch': buildZip([part('a', { local: { name: 'b' } })]),
  overlap: buildZip([part('a', { central: { compressedBytes: 40 } }), part('b'), part('c')]),
  prefix: buildZip([part('a')], { prefix: utf8('#!/bin/sh\n') }),
  'several-directories': Buffer.concat([buildZip([part('a')]), buildZip([part('b')])]),
  trailing: buildZip([part('a')], { tail: utf8('more') }),
  'unknown-method': buildZip([part('a', { local: { method: 99 }, central: { method: 99 } })]),
  'unsafe-name': buildZip([part('../a')]),
};

for (const [kind, bytes] of Object.entries(odd)) {
  test(`an archive with ${kind} is told from an honest one`, async () => {
    assert.ok((await anomaliesOf(bytes)).includes(kind), (await anomaliesOf(bytes)).join());
  });
}

test('an honest archive has no anomalies and gives its bytes back', async () => {
  const bytes = buildZip([part('a'), part('folder/b', { deflate: true, bytes: Buffer.alloc(100_000, 'x') })]);
  assert.deepEqual(await anomaliesOf(bytes), []);
  const source = memory(bytes);
  const [, second] = (await readZip(source))?.members ?? [];
  assert.ok(second);
  const opened = await openZipMember(source, second);
  assert.equal(opened.sizeBytes, 100_000);
  assert.equal(Buffer.from(await opened.read(99_998, 10)).toString(), 'xx');
});

test('where headers disagree every reading is a member', async () => {
  const bytes = buildZip([part('a', { local: { name: 'b' } }), part('c', { listed: 0 })]);
  const reading = await readZip(memory(bytes));
  assert.deepEqual(
    reading?.members.map(({ name, according }) => [name, according]),
    [
      ['a', 'central'],
      ['b', 'local'],
      ['c', 'local'],
    ],
  );
});

test('a bomb is refused, not inflated', async () => {
  const block = deflateRawSync(Buffer.alloc(1024 * 1024), { finishFlush: constants.Z_FULL_FLUSH });
  const body = Buffer.concat([...Array.from({ length: 300 }, () => block), deflateRawSync(Buffer.alloc(0))]);
  const source = memory(buildZip([part('a', { deflate: true, body })]));
  const [member] = (await readZip(source))?.members ?? [];
  assert.ok(member);
  await assert.rejects(
    openZipMember(source, member),
    (error) => error instanceof Fault && error.code === 'limit.exceeded',
  );
});

test('what cannot be opened is a Fault', async () => {
  for (const bytes of [
    odd['encrypted'],
    odd['unknown-method'],
    buildZip([part('a', { local: { method: 8 }, central: { method: 8 } })]),
  ]) {
    const source = memory(bytes);
    const [member] = (await readZip(source))?.members ?? [];
    assert.ok(member);
    await assert.rejects(
      openZipMember(source, member),
      (error) => error instanceof Fault && error.code === 'bundle.invalid',
    );
  }
});

test('no truncation and no single changed byte makes it throw', async () => {
  const bytes = buildZip([part('a'), part('b', { deflate: true }), part('c')]);
  for (let length = 0; length < bytes.length; length++) await readZip(memory(bytes.subarray(0, length)));
  for (let index = 0; index < bytes.length; index++) {
    for (const value of [0, 0xff, 0x50]) {
      const copy = Buffer.from(bytes);
      copy[index] = value;
      await readZip(memory(copy));
    }
  }
  assert.equal(await readZip(memory(utf8('no zip'))), undefined);
});
