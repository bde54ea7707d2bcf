import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { openMemoryLogFiles } from '../../../test/support/memory-log-files.ts';
import { openMemorySequenceStore } from '../../../test/support/memory-sequence-store.ts';
import { memoryBlobs } from '../../../test/support/memory-blobs.ts';
import { openTestLog, testOrigin, type TestLog } from '../../../test/support/log.ts';
import { ed25519Signer, pendingEntry } from '../../../test/support/signing.ts';
import { injectFault, type FaultSite } from '#lib/fault-point.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { verifyConsistency } from '#lib/merkle.ts';
import { openCheckpoint } from './checkpoint.ts';
import { checkLog } from './fsck.ts';
import { openProjector, type Projection } from './project.ts';
import { encodeProof, parseProof, proveEntry, proveExtension, verifyProof } from './proof.ts';
import { reindex } from './reindex.ts';
import type { SequencedEntry } from './sequence-store.ts';
import { openSequencer } from './sequence.ts';
import {
  edgeRoot,
  emptyEdge,
  expectedPaths,
  growTiles,
  isLogPath,
  parseEntries,
  readEdge,
  tilePath,
} from './tile.ts';

const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};
/** What the published checkpoint covers; older partial tiles may lie beside it. */
function snapshot({ files, store }: TestLog): string {
  const paths = ['checkpoint', ...expectedPaths(store.head?.size ?? 0)].sort();
  const lines = paths.map((path) => `${path} ${hash('sha256', files.bytes.get(path) ?? 'missing')}`);
  return lines.join('\n');
}
function plain(entry: SequencedEntry): string {
  return encodeJcsText({ ...entry, leaf: [...entry.leaf], envelopeBytes: [...entry.envelopeBytes] });
}
async function codes(log: Projection, more: object = {}): Promise<string[]> {
  const { findings } = await checkLog(log, more);
  return [...new Set(findings.map(({ code }) => code))].sort();
}
async function grown(...counts: readonly number[]): Promise<TestLog> {
  const log = await openTestLog();
  for (const count of counts) await log.grow(count);
  return log;
}

test('paths are those of tlog-tiles and nothing else is a log path', () => {
  assert.equal(tilePath(0, 1_234_067), 'tile/0/x001/x234/067');
  assert.equal(tilePath(1, 5, 3), 'tile/1/005.p/3');
  assert.equal(tilePath('entries', 0), 'tile/entries/000');
  for (const path of ['checkpoint', 'tile/0/x001/x234/067', 'tile/entries/000.p/255'])
    assert.ok(isLogPath(path));
  const bad = [
    '',
    '../checkpoint',
    'tile/0/../../x',
    'tile/6/000',
    'tile/0/000.p/0',
    'tile/0/0',
    'checkpoint/',
    'tile/0/x/000',
    'tile/00/000',
    'tile/0/000\n',
  ];
  for (const path of bad) assert.equal(isLogPath(path), false, path);
});

test('cut or overfull entry tiles are refused', () => {
  for (const bytes of [[0], [0, 2, 1], [0, 1], Array(514 * 2).fill(0)]) {
    assert.throws(() => parseEntries(Uint8Array.from(bytes)), fault('proof.invalid'));
  }
});

test('the tiles of any growth are those of one growth, and the edge reads back', async () => {
  const leaves = Array.from({ length: 700 }, (_, index) => Buffer.from(`leaf ${index}`));
  for (const cuts of [[1, 2], [255, 256, 257], [256, 512], [600]]) {
    let edge = emptyEdge;
    for (const end of [...cuts, 700]) ({ edge } = growTiles(edge, leaves.slice(edge.size, end)));
    assert.deepEqual(edgeRoot(edge), edgeRoot(growTiles(emptyEdge, leaves).edge));
  }
  const log = await grown(10);
  const edge = await readEdge(log.files, 11);
  assert.equal(edge && Buffer.from(edgeRoot(edge)).toString('base64'), log.store.head?.rootHash);
});

test('what is published is complete for its checkpoint, which is written last', async () => {
  const log = await grown(5, 250, 1, 300);
  const { size } = openCheckpoint(Buffer.from(log.files.bytes.get('checkpoint') ?? '').toString(), log.log);
  assert.equal(size, 557);
  for (const path of expectedPaths(size)) assert.ok(log.files.bytes.has(path), path);
  assert.equal(log.files.writes.at(-1), 'checkpoint');
  assert.equal(log.blobs.held.size, 557);
  assert.deepEqual(await codes(log, { fingerprint: log.fingerprint }), []);
  const superseded = [...log.files.bytes.keys()].filter((path) => path.startsWith('tile/0/000.p'));
  assert.deepEqual(superseded, [], 'partial tiles go when the full one is there');
});

test('every entry has a proof, and every altered proof fails', async () => {
  const log = await grown(3, 260);
  for (const index of [0, 1, 255, 256, 257, 263]) {
    const proof = parseProof(encodeProof(await proveEntry(log.files, log.log, index)));
    const leaf = log.store.entries[index]?.leaf ?? assert.fail();
    assert.equal(verifyProof(proof, leaf, log.log).size, 264);
    assert.throws(() => verifyProof({ ...proof, index: index + 1 }, leaf, log.log), fault('proof.invalid'));
    assert.throws(
      () => verifyProof({ ...proof, hashes: proof.hashes.slice(1) }, leaf, log.log),
      fault('proof.invalid'),
    );
    assert.throws(() => verifyProof(proof, leaf.subarray(1), log.log), fault('proof.invalid'));
    const forged = proof.checkpoint.replace('\n264\n', '\n265\n');
    assert.throws(() => verifyProof({ ...proof, checkpoint: forged }, leaf, log.log), fault('note.invalid'));
  }
  await assert.rejects(proveEntry(log.files, log.log, 264), fault('proof.invalid'));
  await assert.rejects(proveEntry(log.files, log.log, -1), fault('proof.invalid'));
  const text = encodeProof({ ...(await proveEntry(log.files, log.log, 0)), extra: Uint8Array.of(1) });
  assert.deepEqual(parseProof(text).extra, Uint8Array.of(1));
  const bad = [
    '',
    text.slice(1),
    text.replace('index 0', 'index 00'),
    text.replace('index 0', 'index -1'),
    text.replace('index 0\n', 'index 0\nAAAA\n'),
    text.replace('extra AQ==', 'extra A'),
    text.replace('\n\n', '\n'),
    `c2sp.org/tlog-proof@v1\nindex 0\n${`${'A'.repeat(43)}=\n`.repeat(64)}\nx`,
  ];
  for (const one of bad) assert.throws(() => parseProof(one), fault('proof.invalid'), one.slice(0, 80));
});

test('consistency proofs between published sizes hold', async () => {
  const log = await grown(9);
  const old = openCheckpoint(Buffer.from(log.files.bytes.get('checkpoint') ?? '').toString(), log.log);
  await log.grow(290);
  const { hashes, head } = await proveExtension(log.files, log.log, old.size);
  const root = new Uint8Array(Buffer.from(head.rootHash, 'base64'));
  assert.equal(verifyConsistency(old, { size: head.size, root }, hashes), true);
  assert.equal(verifyConsistency({ ...old, root }, { size: head.size, root }, hashes), false);
  await assert.rejects(proveExtension(log.files, log.log, 1000), fault('proof.invalid'));
});

test('deleted or damaged tiles come back byte for byte at the next start', async () => {
  const log = await grown(300, 20);
  const before = snapshot(log);
  const full = tilePath('entries', 0);
  const damages: readonly (() => void)[] = [
    () => log.files.bytes.clear(),
    () => log.files.bytes.delete('checkpoint'),
    () => log.files.bytes.delete(full),
    () => log.files.bytes.delete(tilePath(0, 0)),
    () => log.files.bytes.delete(tilePath(1, 0, 1)),
    () => log.files.bytes.set(tilePath(0, 1, 65), Buffer.alloc(65 * 32)),
    () => log.files.bytes.set(tilePath('entries', 1, 65), Buffer.alloc(3)),
    () => flip(log, tilePath('entries', 1, 65)),
    () => flip(log, tilePath(1, 0, 1)),
  ];
  for (const [at, damage] of damages.entries()) {
    damage();
    await openProjector(log).catch((thrown: unknown) => assert.fail(`damage ${at}: ${String(thrown)}`));
    assert.equal(snapshot(log), before, `damage ${at}`);
  }
});

test('without a published checkpoint everything is published again, lost envelopes too', async () => {
  const log = await grown(20);
  log.blobs.held.delete(log.store.entries[7]?.envelopeDigest ?? assert.fail());
  assert.deepEqual(await codes(log), ['blob']);
  log.files.bytes.delete('checkpoint');
  await openProjector(log);
  assert.deepEqual(await codes(log), []);
});

test('an older database, another history or a foreign checkpoint is ledger.diverged', async () => {
  const log = await grown(5);
  const olderHead = log.store.head;
  const olderEntries = log.store.entries.slice();
  await log.grow(5);
  const restored = openMemorySequenceStore();
  restored.head = olderHead;
  restored.entries.push(...olderEntries);
  const before = [...log.files.writes];
  await assert.rejects(openProjector({ ...log, store: restored }), fault('ledger.diverged'));
  await assert.rejects(openProjector({ ...log, store: openMemorySequenceStore() }), fault('ledger.diverged'));

  const fork = openMemorySequenceStore();
  const clock = { now: () => 1_800_000_000_000 };
  const sequencer = await openSequencer({ store: fork, signer: log.keys.log, origin: testOrigin, clock });
  for (const count of [11, 3]) {
    const entries = Array.from({ length: count }, (_, index) =>
      pendingEntry(log.keys.evidence, `fork ${count} ${index}`),
    );
    await sequencer.append(await Promise.all(entries));
    await assert.rejects(openProjector({ ...log, store: fork }), fault('ledger.diverged'), `${count}`);
    const damaged = openMemoryLogFiles();
    await damaged.write([{ path: 'checkpoint', bytes: log.files.bytes.get('checkpoint') ?? assert.fail() }]);
    await assert.rejects(openProjector({ ...log, store: fork, files: damaged }), fault('ledger.diverged'));
  }
  const foreign = await grown(1);
  await assert.rejects(openProjector({ ...log, files: foreign.files }), fault('ledger.diverged'));
  assert.deepEqual(log.files.writes, before, 'and nothing that was published is touched');
});

test('rows that do not give the signed root are never published', async () => {
  const log = await grown(4);
  const entry = log.store.entries[2] ?? assert.fail();
  log.store.entries[2] = { ...entry, leaf: Uint8Array.from(entry.leaf).fill(7, 1) };
  const files = openMemoryLogFiles();
  await assert.rejects(openProjector({ ...log, files }), fault('ledger.diverged'));
  assert.equal(files.bytes.has('checkpoint'), false);
  log.store.entries.splice(2, 1);
  await assert.rejects(openProjector({ ...log, files }), fault('ledger.diverged'));
});

test('a failure on either side of each write leaves a complete old or new log, and the next run finishes', async (t) => {
  t.after(() => injectFault(undefined));
  const sites: readonly FaultSite[] = ['log.envelopes', 'log.entries', 'log.tiles', 'log.checkpoint'];
  for (const site of sites) {
    for (const moment of ['before', 'after'] as const) {
      const log = await grown(5);
      injectFault({ site, moment, action: 'fail', passing: 1 });
      await assert.rejects(log.grow(20), /injected fault/);
      injectFault(undefined);
      const size = site === 'log.checkpoint' && moment === 'after' ? 26 : 6;
      const published = openCheckpoint(
        Buffer.from(log.files.bytes.get('checkpoint') ?? '').toString(),
        log.log,
      );
      assert.equal(published.size, size);
      for (const path of expectedPaths(size)) assert.ok(log.files.bytes.has(path));
      assert.deepEqual(await codes(log), size === 6 ? ['published-behind'] : []);
      if (moment === 'before') await log.projector.project();
      else await openProjector(log);
      assert.deepEqual(await codes(log), []);
    }
  }
});

test('reindex gives the identical database and head', async () => {
  const log = await grown(7, 260);
  const store = openMemorySequenceStore();
  const seen: number[] = [];
  const head = await reindex(log, store, { progress: (entries) => seen.push(entries) });
  assert.deepEqual(seen, [256, 268]);
  assert.deepEqual(store.entries.map(plain), log.store.entries.map(plain));
  assert.deepEqual({ ...store.head, frontier: [] }, { ...log.store.head, frontier: [] });
  assert.equal(head.checkpoint, log.store.head?.checkpoint);
  assert.deepEqual(await codes({ ...log, store }, { fingerprint: log.fingerprint }), []);
  const clock = { now: () => 0 };
  const sequencer = await openSequencer({ store, signer: log.keys.log, origin: testOrigin, clock });
  const [next] = await sequencer.append([await pendingEntry(ed25519Signer(), 'next')]);
  assert.equal(next?.logIndex, 268, 'and it goes on growing');
  assert.equal((await sequencer.head()).signedAtMs, 1_800_000_000_000, 'with the time that was signed');
  await assert.rejects(reindex(log, store), fault('ledger.diverged'));
});

test('reindex believes nothing', async () => {
  const damages: readonly (readonly [string, (log: TestLog) => void])[] = [
    ['proof.invalid', (log) => log.files.bytes.clear()],
    ['proof.invalid', (log) => log.files.bytes.delete(tilePath('entries', 0, 4))],
    [
      'proof.invalid',
      (log) => log.files.bytes.set(tilePath('entries', 0, 4), Buffer.from('000100'.repeat(4), 'hex')),
    ],
    ['note.invalid', (log) => log.files.bytes.set('checkpoint', Buffer.from('x'))],
    ['blob.missing', (log) => log.blobs.held.delete(log.store.entries[2]?.envelopeDigest ?? assert.fail())],
    [
      'blob.corrupt',
      (log) => log.blobs.held.set(log.store.entries[2]?.envelopeDigest ?? assert.fail(), Buffer.from('x')),
    ],
    ['proof.invalid', (log) => swapLeaves(log)],
  ];
  for (const [code, damage] of damages) {
    const log = await grown(3);
    damage(log);
    const store = openMemorySequenceStore();
    await assert.rejects(reindex(log, store), fault(code));
    assert.deepEqual([store.head, store.entries.length], [undefined, 0]);
  }
});

test('fsck finds every planted disagreement', async () => {
  const damages: readonly (readonly [readonly string[], (log: TestLog) => unknown])[] = [
    [['tile'], (log) => log.files.bytes.delete(tilePath(0, 0, 5))],
    [['tile'], (log) => flip(log, tilePath('entries', 0, 5))],
    [['tile'], (log) => flip(log, tilePath(0, 0, 5))],
    [['checkpoint'], (log) => flip(log, 'checkpoint')],
    [['published-behind'], (log) => log.files.bytes.delete('checkpoint')],
    [['blob'], (log) => log.blobs.held.clear()],
    [
      ['blob'],
      (log) => log.blobs.held.set(log.store.entries[1]?.envelopeDigest ?? assert.fail(), Buffer.from('x')),
    ],
    [['entry'], (log) => change(log, 1, { namespace: 'team-a' })],
    [['entry'], (log) => change(log, 1, { statement: log.store.entries[2]?.statement })],
    [['blob', 'entry'], (log) => change(log, 1, { envelopeBytes: Buffer.from('{}') })],
    [
      ['entry', 'evidence'],
      (log) =>
        change(log, 1, {
          envelope: {
            ...log.store.entries[1]?.envelope,
            signatures: log.store.entries[2]?.envelope.signatures,
          },
        }),
    ],
    [['checkpoint', 'entry', 'head', 'tile'], (log) => change(log, 1, { leaf: log.store.entries[2]?.leaf })],
    [
      ['checkpoint', 'entry', 'head', 'tile'],
      (log) =>
        log.store.entries.reverse() &&
        void log.store.entries
          .reverse()
          .splice(3, 2, log.store.entries[4] ?? assert.fail(), log.store.entries[3] ?? assert.fail()),
    ],
    [['missing-entry'], (log) => log.store.entries.pop()],
    [['head'], (log) => setHead(log, { frontier: [] })],
    [['head'], (log) => setHead(log, { signedAtMs: 5 })],
    [
      ['published-ahead'],
      (log) => {
        log.store.head = undefined;
      },
    ],
  ];
  for (const [expected, damage] of damages) {
    const log = await grown(4);
    assert.deepEqual(await codes(log), []);
    damage(log);
    const found = await codes(log);
    for (const code of expected)
      assert.ok(found.includes(code), `${expected.join()} not in ${found.join()}: ${String(damage)}`);
  }
});

test('fsck holds the trust chain: pin, order and entitlement', async () => {
  const log = await grown(1);
  const other = await grown(1);
  assert.deepEqual(await codes(log, { fingerprint: other.fingerprint }), ['trust']);
  const forged = await pendingEntry(ed25519Signer(), 'forged');
  await log.sequencer.append([forged]);
  await log.projector.project();
  const { findings } = await checkLog(log);
  assert.deepEqual(
    findings.map(({ code, logIndex }) => [code, logIndex]),
    [['evidence', 2]],
  );

  const store = openMemorySequenceStore();
  const clock = { now: () => 0 };
  const sequencer = await openSequencer({ store, signer: log.keys.log, origin: testOrigin, clock });
  await sequencer.append([await pendingEntry(log.keys.evidence, 'rootless')]);
  const bare = { store, files: openMemoryLogFiles(), blobs: memoryBlobs(), log: sequencer.log };
  await openProjector(bare);
  assert.deepEqual(await codes(bare), ['trust']);
});

function flip({ files }: TestLog, path: string): void {
  const bytes = Uint8Array.from(files.bytes.get(path) ?? assert.fail(path));
  bytes[bytes.length - 5] = (bytes.at(-5) ?? 0) ^ 1;
  files.bytes.set(path, bytes);
}

function swapLeaves({ files }: TestLog): void {
  const path = tilePath('entries', 0, 4);
  const bytes = Buffer.from(files.bytes.get(path) ?? assert.fail());
  const swapped = Buffer.concat([
    bytes.subarray(0, 67),
    bytes.subarray(134, 201),
    bytes.subarray(67, 134),
    bytes.subarray(201),
  ]);
  files.bytes.set(path, swapped);
}

function change({ store }: TestLog, index: number, fields: object): void {
  const entry = store.entries[index] ?? assert.fail();
  store.entries[index] = { ...entry, ...fields };
}

function setHead({ store }: TestLog, fields: object): void {
  store.head = { ...(store.head ?? assert.fail()), ...fields };
}
