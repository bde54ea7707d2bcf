import type { ByteSource } from '../../blob-store.ts';
import type { Flaw, ReadingOutcome } from '../reading.ts';
import { BrokenSchema, readSchema, type PageGeometry, type SchemaRow } from './sqlite-schema.ts';

export type SqliteFlawCode =
  | 'sqlite.extension'
  | 'sqlite.header'
  | 'sqlite.schema'
  | 'sqlite.size'
  | 'sqlite.trigger';

export interface SqliteFacts extends ReadingOutcome<SqliteFlawCode> {
  /** `chroma` where the tables are those of a Chroma vector store. */
  readonly kind: 'chroma' | 'database';
  /** In order of the schema. */
  readonly tables: readonly string[];
}

const magic = Buffer.from('SQLite format 3\0', 'latin1');
/** Tables that every release of Chroma since 0.4 makes. */
const chromaTables = ['collections', 'segments', 'embeddings', 'embedding_metadata', 'embeddings_queue'];
/** Functions that load code or touch files when a view or trigger that names them is used. */
const reaching = /\b(load_extension|fts3_tokenizer|readfile|writefile|edit)\s*\(/i;
const encodings = ['utf-8', 'utf-8', 'utf-16le', 'utf-16be'] as const;

export function detectSqlite(head: Uint8Array): boolean {
  return head.byteLength >= 100 && magic.equals(head.subarray(0, 16));
}

/**
 * A SQLite database (sqlite.org/fileformat2.html): its header, pages that add up to the file, and its schema. Nothing in
 * a database runs when it is opened; what its schema makes run later is a flaw. Rows of tables are not read, and may hold
 * anything, pickles too: the facts are never complete.
 */
export async function readSqlite(source: ByteSource): Promise<SqliteFacts> {
  const header = Buffer.from(await source.read(0, 100));
  const flaws: Flaw<SqliteFlawCode>[] = [];
  const incompleteReasons = ['the rows of the database are not read'];
  const geometry = geometryOf(header, source.sizeBytes, flaws);
  let rows: readonly SchemaRow[] = [];
  try {
    if (geometry === undefined) throw new BrokenSchema('the header does not say how large pages are');
    rows = await readSchema(source, geometry);
  } catch (thrown) {
    if (!(thrown instanceof BrokenSchema)) throw thrown;
    flaws.push({ code: 'sqlite.schema', message: thrown.message });
    incompleteReasons.push('the schema of the database cannot be read');
  }
  flaws.push(...rows.flatMap(flawsOf));
  const tables = rows.filter(({ type }) => type === 'table').map(({ name }) => name.slice(0, 200));
  const chroma = chromaTables.every((name) => tables.includes(name));
  return { kind: chroma ? 'chroma' : 'database', tables, flaws, incompleteReasons };
}

function geometryOf(
  header: Buffer,
  sizeBytes: number,
  flaws: Flaw<SqliteFlawCode>[],
): PageGeometry | undefined {
  const stored = header.readUInt16BE(16);
  const pageBytes = stored === 1 ? 65_536 : stored;
  const reserved = header[20] ?? 0;
  const encoding = encodings[header.readUInt32BE(56)];
  const sane =
    pageBytes >= 512 &&
    (pageBytes & (pageBytes - 1)) === 0 &&
    pageBytes - reserved >= 480 &&
    header.subarray(21, 24).equals(Buffer.from([64, 32, 32])) &&
    header.subarray(72, 92).every((byte) => byte === 0);
  if (!sane || encoding === undefined) {
    flaws.push({ code: 'sqlite.header', message: 'the header is not one that SQLite writes', offset: 16 });
    return undefined;
  }
  // The count in the header holds only where it was written together with the change counter (§1.3.7).
  const counted = header.readUInt32BE(24) === header.readUInt32BE(92) ? header.readUInt32BE(28) : 0;
  const pageCount = counted === 0 ? Math.floor(sizeBytes / pageBytes) : counted;
  if (pageCount * pageBytes !== sizeBytes) {
    const message = `${pageCount} pages of ${pageBytes} bytes do not make a file of ${sizeBytes}`;
    flaws.push({ code: 'sqlite.size', message, offset: Math.min(sizeBytes, pageCount * pageBytes) });
  }
  return { pageBytes, usableBytes: pageBytes - reserved, pageCount, encoding };
}

function flawsOf({ type, name, sql }: SchemaRow): readonly Flaw<SqliteFlawCode>[] {
  const shown = name.slice(0, 100).toWellFormed();
  const flaws: Flaw<SqliteFlawCode>[] = [];
  if (type === 'trigger')
    flaws.push({ code: 'sqlite.trigger', message: `the trigger \`${shown}\` runs when rows change` });
  const call = reaching.exec(sql)?.[1];
  if (call !== undefined)
    flaws.push({
      code: 'sqlite.extension',
      message: `the ${type === 'view' ? 'view' : 'statement'} \`${shown}\` calls \`${call}\``,
    });
  return flaws;
}
