import type { ByteSource } from '../../blob-store.ts';
import type { Flaw } from '../reading.ts';
import type { StoreFacts, StoreFlawCode } from '../store-reading.ts';

const dataFooterBytes = 40;
const manifestFooterBytes = 16;

/**
 * A file of a Lance data set: a data file of version 2 (footer with three tables) or a manifest, both ending in `LANC`.
 * The tables must lie where the footer says and fit together. What the tables describe is not read, so the facts are
 * never complete. Undefined where the bytes do not end so.
 */
export async function readLance(source: ByteSource): Promise<StoreFacts | undefined> {
  const size = source.sizeBytes;
  if (size < dataFooterBytes) return undefined;
  const footer = Buffer.from(await source.read(size - dataFooterBytes, dataFooterBytes));
  if (footer.toString('latin1', 36) !== 'LANC') return undefined;
  const manifest = await isManifest(source, footer);
  const flaws = manifest ? [] : checkTables(footer, size);
  return {
    kind: manifest ? 'manifest' : 'data',
    vectors: undefined,
    dimensions: undefined,
    flaws,
    incompleteReasons: [
      manifest
        ? 'the manifest of a Lance data set is not read: it names the files that the data set is made of'
        : 'the columns of a Lance file are not read',
    ],
  };
}

/** A manifest ends in the place of its message; the message has its length before it and ends at the footer. */
async function isManifest(source: ByteSource, footer: Buffer): Promise<boolean> {
  const end = source.sizeBytes - manifestFooterBytes;
  const place = Number(footer.readBigUInt64LE(dataFooterBytes - manifestFooterBytes));
  if (place > end - 4) return false;
  const length = Buffer.from(await source.read(place, 4)).readUInt32LE(0);
  return place + 4 + length === end;
}

/** Column metadata, their table and the table of global buffers follow each other and end at the footer. */
function checkTables(footer: Buffer, size: number): readonly Flaw<StoreFlawCode>[] {
  const [columns, columnTable, bufferTable] = [0, 8, 16].map((at) => Number(footer.readBigUInt64LE(at)));
  const buffers = footer.readUInt32LE(24);
  const count = footer.readUInt32LE(28);
  const end = size - dataFooterBytes;
  const holds =
    columns !== undefined &&
    columnTable !== undefined &&
    bufferTable !== undefined &&
    columns <= columnTable &&
    columnTable + 16 * count === bufferTable &&
    bufferTable + 16 * buffers === end;
  if (holds) return [];
  const message = 'the tables at the end of the file do not lie where its last bytes say';
  return [{ code: 'store.structure', message, offset: end }];
}
