import type { Digest } from '#artifact/digest.ts';
import { joined } from './found.ts';
import type { RiskBook } from './risks.ts';
import type { WeighedModel } from './weigh.ts';
import { sizeWords } from './words.ts';

interface Content {
  readonly sizeBytes: number;
  /** One place per physical file. */
  readonly places: Map<string, string>;
}

/** Copies of less than this are not worth a line. */
const listedFromBytes = 1024 * 1024;
const listedContents = 40;

/** What there is in all: physical files, and the same bytes in more than one of them. */
export class Holdings {
  files = 0;
  readonly #contents = new Map<Digest, Content>();
  readonly #physical = new Map<string, number>();

  add({ found, files }: WeighedModel): void {
    this.files += files.length;
    for (const { found: file, measured } of files) {
      const { device, inode, sizeBytes } = file.identity;
      const key = `${device}:${inode}`;
      this.#physical.set(key, sizeBytes);
      if (measured.kind === 'unread') continue;
      const content = this.#contents.get(measured.digest) ?? { sizeBytes, places: new Map() };
      this.#contents.set(measured.digest, content);
      if (!content.places.has(key)) content.places.set(key, joined(found.root, file.location));
    }
  }

  /** Bytes of all physical files. */
  get sizeBytes(): number {
    return [...this.#physical.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  get distinctBytes(): number {
    return [...this.#contents.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** What would be free if every content stood once. */
  get duplicateBytes(): number {
    return [...this.#contents.values()].reduce((sum, content) => sum + wasted(content), 0);
  }

  addDuplicates(book: RiskBook): void {
    const repeated = [...this.#contents]
      .filter(([, content]) => content.places.size > 1 && content.sizeBytes >= listedFromBytes)
      .sort(([, a], [, b]) => wasted(b) - wasted(a))
      .slice(0, listedContents);
    for (const [digest, content] of repeated) {
      const said = {
        severity: 'low',
        kind: 'duplicate',
        message: `the same ${sizeWords(content.sizeBytes)} stand in ${content.places.size} places (\`${digest.slice(0, 19)}…\`)`,
        remedy: 'keep one and let the others go, or pull through Weighbridge, which stores each content once',
      } as const;
      for (const place of content.places.values()) book.add(null, said, place);
    }
  }
}

function wasted({ sizeBytes, places }: Content): number {
  return sizeBytes * (places.size - 1);
}
