import type { PickleReading } from '#artifact/formats/pickle/reading.ts';
import { isNode, type Value } from '#artifact/formats/pickle/values.ts';
import type { TorchProblem } from './reading.ts';

const elementBytes: Readonly<Record<string, number>> = {
  BFloat16Storage: 2,
  BoolStorage: 1,
  ByteStorage: 1,
  CharStorage: 1,
  ComplexDoubleStorage: 16,
  ComplexFloatStorage: 8,
  DoubleStorage: 8,
  FloatStorage: 4,
  HalfStorage: 2,
  IntStorage: 4,
  LongStorage: 8,
  QInt32Storage: 4,
  QInt8Storage: 1,
  QUInt2x4Storage: 1,
  QUInt4x2Storage: 1,
  QUInt8Storage: 1,
  ShortStorage: 2,
  UntypedStorage: 1,
  _UntypedStorage: 1,
};

export interface StorageId {
  readonly key: string;
  readonly type: string;
  readonly elements: number;
  readonly elementBytes: number | undefined;
}

/** `("storage", type, key, location, elements, …)` (torch/serialization.py `persistent_load`); undefined for others. */
function parseStorageId(id: Value): StorageId | undefined {
  if (!isNode(id) || id.kind !== 'tuple') return undefined;
  const [tag, type, key, , elements] = id.items;
  if (tag !== 'storage' || typeof key !== 'string' || typeof elements !== 'number') return undefined;
  if (type === undefined || !isNode(type) || type.kind !== 'import' || type.mappedName === undefined)
    return undefined;
  if (!Number.isSafeInteger(elements) || elements < 0) return undefined;
  return { key, type: type.mappedName, elements, elementBytes: elementBytes[type.mappedName] };
}

/** The storages that a pickle names, first mention first; ids of another shape are problems. */
export function storageIds(
  reading: PickleReading,
  member: string | undefined,
  problems: TorchProblem[],
): ReadonlyMap<string, StorageId> {
  const found = new Map<string, StorageId>();
  for (const { id, offset } of reading.persistentIds) {
    const storage = parseStorageId(id);
    if (storage !== undefined) {
      const known = found.get(storage.key);
      if (known !== undefined && bytesOf(known) !== bytesOf(storage)) {
        const message = `the storage \`${storage.key.slice(0, 100)}\` is named with two sizes`;
        problems.push({ kind: 'storage-size', member, offset, message });
      }
      if (known === undefined) found.set(storage.key, storage);
    } else if (isModuleId(id)) continue;
    else
      problems.push({
        kind: 'storage-id',
        member,
        offset,
        message: 'a persistent id is not that of a storage',
      });
  }
  return found;
}

function bytesOf({ elements, elementBytes: each }: StorageId): number {
  return elements * (each ?? 0);
}

/** Legacy files keep the source text of a module's class: `("module", class, file, source)`. */
function isModuleId(id: Value): boolean {
  return isNode(id) && id.kind === 'tuple' && id.items[0] === 'module';
}
