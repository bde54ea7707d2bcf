import type { ByteSource } from '../blob-store.ts';
import { detectExecutable, readExecutable, type ExecutableFacts } from './executable/read-executable.ts';
import { detectFaiss, readFaiss } from './faiss/read-faiss.ts';
import type { GgufFacts } from './gguf/gguf-facts.ts';
import { detectGguf, readGguf } from './gguf/read-gguf.ts';
import { detectHnswlib, readHnswlib } from './hnswlib/read-hnswlib.ts';
import { detectJson, readJson, type JsonFacts } from './json/read-json.ts';
import { readLance } from './lance/read-lance.ts';
import { readPickleFacts, type PickleFacts } from './pickle-reading.ts';
import { readPyTorchFacts, readZipFacts, type PyTorchFacts, type ZipFacts } from './pytorch-reading.ts';
import type { ReadingOutcome } from './reading.ts';
import type { StoreFacts } from './store-reading.ts';
import { detectSqlite, readSqlite, type SqliteFacts } from './sqlite/read-sqlite.ts';
import { detectSafetensors, readSafetensors, type SafetensorsFacts } from './safetensors/read-safetensors.ts';
import {
  detectLfsPointer,
  detectText,
  readLfsPointer,
  readText,
  type LfsPointerFacts,
  type TextFacts,
} from './text/read-text.ts';

/** What one format's reader found in the bytes. */
export type Reading =
  | { readonly format: 'empty'; readonly facts: ReadingOutcome<never> }
  | { readonly format: 'executable'; readonly facts: ExecutableFacts }
  | { readonly format: 'faiss'; readonly facts: StoreFacts }
  | { readonly format: 'gguf'; readonly facts: GgufFacts }
  | { readonly format: 'hnswlib'; readonly facts: StoreFacts }
  | { readonly format: 'json'; readonly facts: JsonFacts }
  | { readonly format: 'lance'; readonly facts: StoreFacts }
  | { readonly format: 'lfs-pointer'; readonly facts: LfsPointerFacts }
  | { readonly format: 'pickle'; readonly facts: PickleFacts }
  | { readonly format: 'pytorch-legacy'; readonly facts: PyTorchFacts }
  | { readonly format: 'pytorch-zip'; readonly facts: PyTorchFacts }
  | { readonly format: 'safetensors'; readonly facts: SafetensorsFacts }
  | { readonly format: 'sqlite'; readonly facts: SqliteFacts }
  | { readonly format: 'text'; readonly facts: TextFacts }
  | { readonly format: 'zip'; readonly facts: ZipFacts };

export type FormatId = Reading['format'];

export interface Format {
  readonly id: FormatId;
  /** Cheap and by content only, never by name; true where the source may be of this format. `head`: first 4 KiB. */
  detect(head: Uint8Array, source: ByteSource): boolean | Promise<boolean>;
  /**
   * The facts, or undefined where it is not this format after all. `earlier`: the readings of the rows above. Never
   * throws for bad bytes, only for I/O.
   */
  read(source: ByteSource, earlier: readonly Reading[]): Promise<Reading | undefined>;
  /** Readings that say nothing more once this one holds: JSON is also text. */
  readonly implies: readonly FormatId[];
}

const headBytes = 4096;

/** The table of formats. A format is one folder and one row; content may be of several, and each of them counts. */
export const formats: readonly Format[] = [
  {
    id: 'empty',
    detect: (_head, source) => source.sizeBytes === 0,
    read: () => Promise.resolve({ format: 'empty', facts: { flaws: [], incompleteReasons: [] } }),
    implies: [],
  },
  {
    id: 'executable',
    detect: detectExecutable,
    read: async (source) => reading('executable', await readExecutable(source)),
    implies: [],
  },
  {
    id: 'gguf',
    detect: detectGguf,
    read: async (source) => reading('gguf', await readGguf(source)),
    implies: [],
  },
  {
    id: 'safetensors',
    detect: detectSafetensors,
    read: async (source) => reading('safetensors', await readSafetensors(source)),
    implies: [],
  },
  {
    id: 'faiss',
    detect: detectFaiss,
    read: async (source) => reading('faiss', await readFaiss(source)),
    implies: [],
  },
  {
    id: 'hnswlib',
    detect: detectHnswlib,
    read: async (source) => reading('hnswlib', await readHnswlib(source)),
    implies: [],
  },
  {
    id: 'lance',
    detect: (head) => !detectText(head),
    read: async (source) => reading('lance', await readLance(source)),
    implies: [],
  },
  {
    id: 'sqlite',
    detect: detectSqlite,
    read: async (source) => reading('sqlite', await readSqlite(source)),
    implies: [],
  },
  {
    id: 'pytorch-zip',
    detect: (head) => !detectText(head),
    read: async (source) => reading('pytorch-zip', await readPyTorchFacts(source, 'zip')),
    implies: ['zip'],
  },
  {
    id: 'pytorch-legacy',
    detect: (head) => head[0] === 0x80,
    read: async (source) => reading('pytorch-legacy', await readPyTorchFacts(source, 'legacy')),
    implies: ['pickle'],
  },
  {
    id: 'zip',
    detect: (head) => !detectText(head),
    read: async (source) => reading('zip', await readZipFacts(source)),
    implies: [],
  },
  {
    id: 'lfs-pointer',
    detect: detectLfsPointer,
    read: async (source) => reading('lfs-pointer', await readLfsPointer(source)),
    implies: ['text'],
  },
  {
    id: 'json',
    detect: detectJson,
    read: async (source) => reading('json', await readJson(source)),
    implies: ['text'],
  },
  {
    id: 'text',
    detect: detectText,
    read: async (source) => reading('text', await readText(source)),
    implies: [],
  },
  // Last, because almost any bytes begin like a pickle: whether one is meant depends on what else they are.
  {
    id: 'pickle',
    detect: (head) => head.byteLength > 0,
    read: async (source, earlier) => reading('pickle', await readPickleFacts(source, otherwise(earlier))),
    implies: [],
  },
];

/** What the bytes are besides a pickle. */
function otherwise(earlier: readonly Reading[]): 'text' | 'binary' | undefined {
  if (earlier.length === 0) return undefined;
  const texts: ReadonlySet<FormatId> = new Set<FormatId>(['json', 'lfs-pointer', 'text']);
  return earlier.every(({ format }) => texts.has(format)) ? 'text' : 'binary';
}

function reading<F extends FormatId>(
  format: F,
  facts: Extract<Reading, { format: F }>['facts'] | undefined,
): Reading | undefined {
  return facts === undefined ? undefined : ({ format, facts } as Reading);
}

/** What to make of a reader that threw; throwing again ends the whole reading. */
export type Unread = (format: FormatId, thrown: unknown) => Promise<Reading | undefined>;

/**
 * Every reading that the content admits, in the order of the table; none means that the format is unknown. With
 * `only`, the other formats are not looked for; without `unread`, the first failure to get bytes is thrown.
 */
export async function readFormats(
  source: ByteSource,
  only?: readonly FormatId[],
  unread: Unread = (_format, thrown) => Promise.reject(thrown),
): Promise<readonly Reading[]> {
  const head = await source.read(0, headBytes);
  const readings: Reading[] = [];
  const implied = new Set<FormatId>();
  for (const format of formats) {
    if (only?.includes(format.id) === false || implied.has(format.id) || !(await format.detect(head, source)))
      continue;
    const found = await format.read(source, readings).catch((thrown: unknown) => unread(format.id, thrown));
    if (found === undefined) continue;
    readings.push(found);
    for (const id of format.implies) implied.add(id);
  }
  return readings;
}
