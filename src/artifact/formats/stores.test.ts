import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { bytesOf, u32, u64 } from '../../../test/support/model-bytes.ts';
import { faissHeader, flatFaiss, sqliteBytes } from '../../../test/support/store-bytes.ts';
import { readFormats, type Reading } from './formats.ts';
import { memorySource } from './reading.ts';

const folder = new URL('../../../test/vectors/embedding-stores/', import.meta.url);
const vector = (name: string): Buffer => readFileSync(new URL(name, folder));
const readings = (bytes: Uint8Array): Promise<readonly Reading[]> => readFormats(memorySource(bytes));

async function only(bytes: Uint8Array): Promise<Reading> {
  const found = await readings(bytes);
  const [first] = found;
  assert.ok(first !== undefined && found.length === 1, found.map(({ format }) => format).join());
  return first;
}

const codesOf = ({ facts }: Reading): readonly string[] => facts.flaws.map(({ code }) => code);

/** Name, code of the index, and whether every byte is accounted for. */
const written: readonly (readonly [string, string, boolean])[] = [
  ['flat-l2', 'IxF2', true],
  ['flat-ip', 'IxFI', true],
  ['flat-l1', 'IxFl', true],
  ['id-map', 'IxMp', true],
  ['id-map-2', 'IxM2', true],
  ['id-map-ivf', 'IxM2', true],
  ['hnsw-flat', 'IHNf', true],
  ['hnsw-sq', 'IHNs', true],
  ['ivf-flat', 'IwFl', true],
  ['ivf-many', 'IwFl', true],
  ['ivf-hnsw', 'IwFl', true],
  ['ivf-pq', 'IwPQ', true],
  ['ivf-sq', 'IwSq', true],
  ['pq', 'IxPq', true],
  ['sq', 'IxSQ', true],
  ['pca', 'IxPT', false],
  ['lsh', 'IxHe', false],
];

describe('FAISS', () => {
  for (const [name, kind, whole] of written) {
    test(`${name} as FAISS writes it`, async () => {
      const bytes = vector(`${name}.faiss`);
      const reading = await only(bytes);
      assert.ok(reading.format === 'faiss');
      const { facts } = reading;
      assert.deepEqual([facts.kind, facts.vectors, facts.dimensions], [kind, 40, 4]);
      assert.deepEqual(facts.flaws, []);
      assert.equal(facts.incompleteReasons.length === 0, whole, facts.incompleteReasons.join());
      if (!whole) return;
      assert.deepEqual(codesOf(await only(bytesOf(bytes, [1]))), ['store.trailing']);
      // Wherever it is cut, it is never whole.
      for (let length = 33; length < bytes.length; length += 7) {
        const [cut] = await readings(bytes.subarray(0, length));
        assert.ok(cut?.format === 'faiss' && cut.facts.incompleteReasons.length > 0, String(length));
      }
    });
  }

  test('lists in another file are named', async () => {
    const reading = await only(vector('ivf-on-disk.faiss'));
    assert.deepEqual(codesOf(reading), ['store.elsewhere']);
    assert.ok(reading.facts.incompleteReasons.length > 0);
  });

  test('counts that are not those of the header, and counts beyond everything', async () => {
    assert.deepEqual(codesOf(await only(flatFaiss(4, 3))), []);
    const other = bytesOf(faissHeader('IxF2', 4, 5), u64(12), new Uint8Array(48));
    assert.deepEqual(codesOf(await only(other)), ['store.count']);
    for (const count of [2n ** 64n - 1n, 2n ** 62n, 13n]) {
      const lying = bytesOf(faissHeader('IxF2', 4, 3), u64(count), new Uint8Array(48));
      const reading = await only(lying);
      assert.deepEqual(codesOf(reading), ['store.count']);
      assert.ok(reading.facts.incompleteReasons.length > 0);
    }
  });

  test('indexes in indexes end somewhere', async () => {
    const deep = bytesOf(...Array.from({ length: 200 }, () => faissHeader('IxMp', 4, 0)));
    const reading = await only(deep);
    assert.match(reading.facts.incompleteReasons.join(), /more than 8 deep/);
  });

  test('the name of a code alone is no FAISS', async () => {
    const other = bytesOf('IxF2', u32(4), u64(3), u64(1), u64(1), [1, 0, 0, 0, 0, 0]);
    assert.ok((await readings(other)).every(({ format }) => format !== 'faiss'));
    const words = await readings(Buffer.from('IxF2 is the code of an index that compares by distance\n'));
    assert.deepEqual(
      words.map(({ format }) => format),
      ['text'],
    );
  });
});

describe('hnswlib', () => {
  const bytes = vector('graph.hnswlib');

  test('as hnswlib writes it', async () => {
    const reading = await only(bytes);
    assert.ok(reading.format === 'hnswlib');
    const { vectors, dimensions, flaws, incompleteReasons } = reading.facts;
    assert.deepEqual([vectors, dimensions, flaws, incompleteReasons], [40, 4, [], []]);
  });

  test('cut, followed, with links of another length, with more elements', async () => {
    assert.deepEqual(codesOf(await only(bytes.subarray(0, -1))), ['store.truncated']);
    assert.deepEqual(codesOf(await only(bytesOf(bytes, 'x'))), ['store.trailing']);
    const links = Buffer.from(bytes);
    links.writeUInt32LE(3, 96 + 40 * Number(bytes.readBigUInt64LE(24)));
    assert.deepEqual(codesOf(await only(links)), ['store.structure']);
    const more = Buffer.from(bytes);
    more.writeBigUInt64LE(45n, 16);
    assert.ok((await only(more)).facts.incompleteReasons.length > 0);
  });

  test('any number of the header changed is no hnswlib, or is found', async () => {
    for (const at of [0, 24, 32, 40, 56, 64, 72, 87]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      const found = (await readings(changed)).filter(({ format }) => format === 'hnswlib');
      assert.deepEqual(found, [], `byte ${at}`);
    }
  });
});

describe('Lance', () => {
  test('data file and manifest are recognised, and never complete', async () => {
    for (const [name, kind] of [
      ['data.lance', 'data'],
      ['version.manifest', 'manifest'],
    ] as const) {
      const reading = await only(vector(name));
      assert.ok(reading.format === 'lance');
      assert.deepEqual([reading.facts.kind, codesOf(reading)], [kind, []]);
      assert.equal(reading.facts.incompleteReasons.length, 1);
    }
  });

  test('tables that do not lie where the footer says', async () => {
    const bytes = Buffer.from(vector('data.lance'));
    bytes.writeUInt32LE(4, bytes.length - 12);
    assert.deepEqual(codesOf(await only(bytes)), ['store.structure']);
    const inserted = bytesOf(bytes.subarray(0, 100), 'hidden', vector('data.lance').subarray(100));
    assert.deepEqual(codesOf(await only(inserted)), ['store.structure']);
  });
});

test('an Annoy index has nothing to be recognised by', async () => {
  assert.deepEqual(await readings(vector('trees.ann')), []);
});

describe('SQLite', () => {
  const chroma = ['collections', 'segments', 'embeddings', 'embedding_metadata', 'embeddings_queue'];

  test('a Chroma store by its tables, another database by its header; neither is complete', async () => {
    const store = await only(sqliteBytes(...chroma.map((name) => `CREATE TABLE ${name} (id INTEGER)`)));
    assert.ok(store.format === 'sqlite');
    assert.deepEqual([store.facts.kind, store.facts.tables, store.facts.flaws], ['chroma', chroma, []]);
    const other = await only(sqliteBytes('CREATE TABLE a (id INTEGER)'));
    assert.ok(other.format === 'sqlite' && other.facts.kind === 'database');
    for (const { facts } of [store, other]) assert.ok(facts.incompleteReasons.length > 0);
  });

  test('a schema over many pages, with long statements, in every encoding and page size', async () => {
    for (const setting of [
      'PRAGMA page_size = 512',
      'PRAGMA page_size = 65536',
      "PRAGMA encoding = 'UTF-16le'",
      "PRAGMA encoding = 'UTF-16be'",
    ]) {
      const long = `CREATE TABLE long (${Array.from({ length: 900 }, (_, index) => `column_${index} TEXT`).join()})`;
      const many = Array.from({ length: 300 }, (_, index) => `CREATE TABLE t${index} (a)`);
      const reading = await only(sqliteBytes(setting, long, ...many));
      assert.ok(reading.format === 'sqlite');
      assert.deepEqual(codesOf(reading), [], setting);
      assert.equal(reading.facts.tables.length, 301);
      assert.ok(reading.facts.tables.includes('long') && reading.facts.tables.includes('t299'));
    }
  });

  test('triggers, calls that load code, other sizes, broken schemas', async () => {
    const table = 'CREATE TABLE a (id INTEGER)';
    const trigger = 'CREATE TRIGGER watch AFTER INSERT ON a BEGIN SELECT 1; END';
    assert.deepEqual(codesOf(await only(sqliteBytes(table, trigger))), ['sqlite.trigger']);
    const view = "CREATE VIEW v AS SELECT load_extension('/tmp/x.so')";
    assert.deepEqual(codesOf(await only(sqliteBytes(table, view))), ['sqlite.extension']);
    const bytes = sqliteBytes(table);
    assert.deepEqual(codesOf(await only(bytesOf(bytes, new Uint8Array(4096)))), ['sqlite.size']);
    assert.ok(codesOf(await only(bytes.subarray(0, 4096))).includes('sqlite.size'));
    const broken = Buffer.from(bytes);
    broken[100] = 0x42;
    assert.deepEqual(codesOf(await only(broken)), ['sqlite.schema']);
    const header = Buffer.from(bytes);
    header.writeUInt16BE(1000, 16);
    assert.ok(codesOf(await only(header)).includes('sqlite.header'));
  });

  test('no change of one byte of the schema page is a crash', async () => {
    const bytes = sqliteBytes(
      'PRAGMA page_size = 512',
      'CREATE TABLE a (id INTEGER)',
      'CREATE VIEW b AS SELECT 1',
    );
    for (let at = 16; at < 512; at += 1) {
      for (const value of [0, 0x7f, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        await readings(changed);
      }
    }
  });
});
