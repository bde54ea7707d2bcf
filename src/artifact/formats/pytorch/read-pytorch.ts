import type { ByteSource } from '#artifact/blob-store.ts';
import { readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import type { PickleReading } from '#artifact/formats/pickle/reading.ts';
import { isNode } from '#artifact/formats/pickle/values.ts';
import { readZip } from '#lib/zip.ts';
import type { PyTorchReading, TorchPickle, TorchProblem, TorchStorage } from './reading.ts';
import { readZipForm } from './read-zip-form.ts';
import { storageIds } from './storages.ts';

/** torch/serialization.py `MAGIC_NUMBER`. */
const magicNumber = 0x1950a86a20f9469cfc6cn;
const legacyStreams = 5;

/** Raw storages after the five pickles: for each key the element count (int64) and the elements. */
async function placeStorages(
  source: ByteSource,
  reading: PickleReading,
  problems: TorchProblem[],
): Promise<{
  readonly storages: readonly TorchStorage[];
  readonly end: number;
  readonly incomplete: readonly string[];
}> {
  const ids = storageIds(reading, undefined, problems);
  const keys = reading.streams[legacyStreams - 1]?.result;
  const storages: TorchStorage[] = [];
  let end = reading.end;
  if (keys === undefined || !isNode(keys) || keys.kind !== 'list' || keys.dropped > 0) {
    return { storages, end, incomplete: ['the list of storage keys cannot be read'] };
  }
  for (const key of keys.items) {
    const id = typeof key === 'string' ? ids.get(key) : undefined;
    if (id?.elementBytes === undefined) return { storages, end, incomplete: ['a storage key is not known'] };
    const header = Buffer.from(await source.read(end, 8));
    const elements = header.length < 8 ? -1n : header.readBigInt64LE(0);
    const lengthBytes = Number(elements) * id.elementBytes;
    const offset = end + 8;
    if (elements < 0n || offset + lengthBytes > source.sizeBytes) {
      problems.push({
        kind: 'storage-size',
        member: undefined,
        offset: end,
        message: 'the file ends inside a storage',
      });
      return { storages, end, incomplete: [] };
    }
    if (elements !== BigInt(id.elements)) {
      const message = `the storage has ${elements} elements where the pickle says ${id.elements}`;
      problems.push({ kind: 'storage-size', member: undefined, offset: end, message });
    }
    storages.push({ ...id, offset, lengthBytes });
    end = offset + lengthBytes;
  }
  for (const key of ids.keys()) {
    if (keys.items.includes(key)) continue;
    const message = 'the file has no bytes for a storage';
    problems.push({ kind: 'storage-missing', member: undefined, offset: undefined, message });
    break;
  }
  return { storages, end, incomplete: [] };
}

async function readLegacyForm(source: ByteSource): Promise<PyTorchReading | undefined> {
  const [first = 0] = await source.read(0, 1);
  if (first !== 0x80) return undefined;
  const magic = await readPickle(source, { maxStreams: 1, end: Math.min(source.sizeBytes, 64) });
  if (magic.streams[0]?.result !== magicNumber) return undefined;
  const reading = await readPickle(source, { maxStreams: legacyStreams });
  const problems: TorchProblem[] = [];
  const incomplete = new Set(reading.incomplete);
  const pickles: TorchPickle[] = [{ member: undefined, role: 'object', reading }];
  const placed = await placeStorages(source, reading, problems);
  if (placed.end < source.sizeBytes && placed.incomplete.length === 0) {
    const message = `${source.sizeBytes - placed.end} bytes follow the last storage`;
    problems.push({ kind: 'trailing', member: undefined, offset: placed.end, message });
    const rest = await readPickle(source, { start: placed.end });
    if (rest.streams[0]?.failure === undefined) for (const reason of rest.incomplete) incomplete.add(reason);
    if (rest.imports.length > 0) pickles.push({ member: undefined, role: 'other', reading: rest });
  }
  return {
    form: 'legacy',
    pickles,
    storages: placed.storages,
    anomalies: [],
    problems,
    torchScript: false,
    incomplete: [...new Set([...incomplete, ...placed.incomplete])],
  };
}

/**
 * Reads what `torch.save` writes: the zip form (a `data.pkl` under any prefix, storages under `data/`; every member of
 * every reading of the archive is accounted for and any that hides a pickle is read) and the legacy form (magic number,
 * protocol, system, object and storage keys as pickles, then raw storages). Bytes of storages are claimed, not read.
 * Undefined for anything else, also for a zip without `data.pkl`. Never throws for content.
 */
export async function readPyTorch(source: ByteSource): Promise<PyTorchReading | undefined> {
  const zip = await readZip(source);
  const asZip = zip === undefined ? undefined : await readZipForm(source, zip);
  return asZip ?? (await readLegacyForm(source));
}
