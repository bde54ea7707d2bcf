import type { ByteSource } from '../../blob-store.ts';
import { decodeUtf8 } from '../json/read-json.ts';
import {
  isJsonArray,
  isJsonObject,
  parseJsonDocument,
  type JsonObject,
  type JsonValue,
} from '../json/json-document.ts';
import type { Flaw, ReadingOutcome } from '../reading.ts';
import { limits } from '#lib/limits.ts';

export type SafetensorsFlawCode =
  | 'safetensors.header-length'
  | 'safetensors.header-syntax'
  | 'safetensors.duplicate-key'
  | 'safetensors.tensor-invalid'
  | 'safetensors.size-mismatch'
  | 'safetensors.overlap'
  | 'safetensors.gap'
  | 'safetensors.trailing'
  | 'safetensors.truncated'
  | 'safetensors.metadata-invalid';

export interface SafetensorsTensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly elements: bigint;
  /** Bytes of the data section, `end` excluded. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsFacts extends ReadingOutcome<SafetensorsFlawCode> {
  readonly headerBytes: number;
  /** In order of `begin`, then name. */
  readonly tensors: readonly SafetensorsTensor[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Bits of one element. Types of the format as its reference implementation names them. */
const bitsOfType: ReadonlyMap<string, bigint> = new Map([
  ['BOOL', 8n],
  ['F4', 4n],
  ['F6_E2M3', 6n],
  ['F6_E3M2', 6n],
  ['U8', 8n],
  ['I8', 8n],
  ['F8_E5M2', 8n],
  ['F8_E4M3', 8n],
  ['F8_E8M0', 8n],
  ['F8_E4M3FNUZ', 8n],
  ['F8_E5M2FNUZ', 8n],
  ['I16', 16n],
  ['U16', 16n],
  ['F16', 16n],
  ['BF16', 16n],
  ['I32', 32n],
  ['U32', 32n],
  ['F32', 32n],
  ['C64', 64n],
  ['F64', 64n],
  ['I64', 64n],
  ['U64', 64n],
]);

/**
 * May the source be safetensors? The ninth byte opens a JSON object and the eight before it are no text, or they
 * give a header length that fits the file. A header length that lies is still detected: the reader reports it.
 */
export function detectSafetensors(head: Uint8Array, source: ByteSource): boolean {
  if (head.byteLength < 9) return false;
  const opening = head[8];
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (
    length > 0n &&
    length + 8n <= BigInt(source.sizeBytes) &&
    length <= BigInt(limits.safetensorsHeaderBytes)
  ) {
    return opening === 0x7b || ((opening === 0x20 || opening === 0x0a) && head.includes(0x7b));
  }
  return opening === 0x7b && head.subarray(0, 8).some((byte) => byte < 0x09 || byte >= 0x80);
}

/**
 * A safetensors file, read as strictly as its reference implementation and more: header length ≤ 100 MB and inside
 * the file, UTF-8 JSON without duplicate keys, known types, exact dtype × shape (no overflow), and data offsets that
 * cover the data section exactly, without gap, overlap or trailing bytes. Reads the header only.
 */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsFacts> {
  const flaws: Flaw<SafetensorsFlawCode>[] = [];
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  const broken = (flaw: Flaw<SafetensorsFlawCode>): SafetensorsFacts => ({
    headerBytes: 0,
    tensors: [],
    metadata: new Map(),
    flaws: [...flaws, flaw],
    incompleteReasons: ['the safetensors header cannot be read, so the data it describes is unknown'],
  });
  if (length > BigInt(limits.safetensorsHeaderBytes) || length + 8n > BigInt(source.sizeBytes)) {
    return broken({
      code: 'safetensors.header-length',
      message: `the header says it is ${length} bytes long, in a file of ${source.sizeBytes}`,
      offset: 0,
    });
  }
  const headerBytes = Number(length);
  const text = decodeUtf8(await source.read(8, headerBytes));
  const outcome =
    text === undefined ? undefined : parseJsonDocument(text, { depth: 8, values: limits.jsonValues });
  if (outcome?.kind === 'limit') {
    return { ...broken({ code: 'safetensors.header-syntax', message: outcome.message, offset: 8 }) };
  }
  if (outcome?.kind !== 'value' || !isJsonObject(outcome.value) || text?.startsWith('{') !== true) {
    const why =
      outcome?.kind === 'syntax' ? outcome.message : 'it is not a JSON object in UTF-8 from its first byte';
    return broken({ code: 'safetensors.header-syntax', message: `the header is broken: ${why}`, offset: 8 });
  }
  for (const flaw of outcome.flaws) {
    const duplicate = flaw.code === 'duplicate-key';
    flaws.push({
      code: duplicate ? 'safetensors.duplicate-key' : 'safetensors.header-syntax',
      message: duplicate
        ? `\`${flaw.key.slice(0, 100)}\` stands twice in the header, so readers disagree about it`
        : `the header holds ${flaw.code} at \`${flaw.key.slice(0, 100)}\``,
      offset: 8 + flaw.offset,
    });
  }
  return readHeader(outcome.value, { headerBytes, dataBytes: source.sizeBytes - 8 - headerBytes }, flaws);
}

function readHeader(
  header: JsonObject,
  sizes: { readonly headerBytes: number; readonly dataBytes: number },
  flaws: Flaw<SafetensorsFlawCode>[],
): SafetensorsFacts {
  const tensors: SafetensorsTensor[] = [];
  const incompleteReasons: string[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of header) {
    if (name === '__metadata__') {
      metadata = readMetadata(value, flaws);
      continue;
    }
    const tensor = readTensor(name, value, flaws);
    if (tensor !== undefined) tensors.push(tensor);
  }
  if (tensors.length < header.size - (header.has('__metadata__') ? 1 : 0)) {
    incompleteReasons.push('some tensors of the safetensors header cannot be read');
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end || (a.name < b.name ? -1 : 1));
  checkCover(tensors, sizes, flaws);
  if (flaws.some((flaw) => flaw.code === 'safetensors.truncated')) {
    incompleteReasons.push('the file ends before its tensors do');
  }
  if (flaws.some((flaw) => flaw.code === 'safetensors.gap' || flaw.code === 'safetensors.trailing')) {
    incompleteReasons.push('bytes of the file belong to no tensor');
  }
  return { headerBytes: sizes.headerBytes, tensors, metadata, flaws, incompleteReasons };
}

function readMetadata(value: JsonValue, flaws: Flaw<SafetensorsFlawCode>[]): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (isJsonObject(value)) {
    for (const [key, text] of value) if (typeof text === 'string') metadata.set(key, text);
    if (metadata.size === value.size) return metadata;
  }
  flaws.push({
    code: 'safetensors.metadata-invalid',
    message: '`__metadata__` is not a map from text to text',
    pointer: '__metadata__',
  });
  return metadata;
}

function readTensor(
  name: string,
  value: JsonValue,
  flaws: Flaw<SafetensorsFlawCode>[],
): SafetensorsTensor | undefined {
  const shown = name.slice(0, 200);
  const invalid = (why: string): undefined => {
    flaws.push({
      code: 'safetensors.tensor-invalid',
      message: `tensor \`${shown}\`: ${why}`,
      pointer: shown,
    });
  };
  if (!isJsonObject(value)) return invalid('its entry is not an object');
  for (const key of value.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      return invalid(`its entry has the unknown key \`${key.slice(0, 100)}\``);
    }
  }
  const type = value.get('dtype');
  const bits = typeof type === 'string' ? bitsOfType.get(type) : undefined;
  if (typeof type !== 'string' || bits === undefined) return invalid('its data type is unknown');
  const shape = sizes(value.get('shape'));
  if (shape === undefined || shape.length > limits.tensorDimensions)
    return invalid('its shape is not a list of sizes');
  const offsets = sizes(value.get('data_offsets'));
  const [begin, end] = offsets ?? [];
  if (begin === undefined || end === undefined || offsets?.length !== 2 || begin > end) {
    return invalid('its data offsets are not two positions in order');
  }
  const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
  if (elements * bits !== BigInt(end - begin) * 8n) {
    flaws.push({
      code: 'safetensors.size-mismatch',
      message: `tensor \`${shown}\` has ${elements} elements of ${type} in ${end - begin} bytes`,
      pointer: shown,
    });
  }
  return { name, type, shape, elements, begin, end };
}

/** Non-negative integers that a double holds exactly, or undefined. */
function sizes(value: JsonValue | undefined): readonly number[] | undefined {
  if (!isJsonArray(value)) return undefined;
  const numbers = value.filter(
    (size): size is number => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0,
  );
  return numbers.length === value.length ? numbers : undefined;
}

function checkCover(
  tensors: readonly SafetensorsTensor[],
  { headerBytes, dataBytes }: { readonly headerBytes: number; readonly dataBytes: number },
  flaws: Flaw<SafetensorsFlawCode>[],
): void {
  const start = 8 + headerBytes;
  let covered = 0;
  for (const tensor of tensors) {
    const pointer = tensor.name.slice(0, 200);
    if (tensor.begin > covered) {
      flaws.push({
        code: 'safetensors.gap',
        message: `${tensor.begin - covered} bytes before tensor \`${pointer}\` belong to no tensor`,
        offset: start + covered,
        pointer,
      });
    } else if (tensor.begin < covered && tensor.end > tensor.begin) {
      flaws.push({
        code: 'safetensors.overlap',
        message: `tensor \`${pointer}\` shares bytes with the tensor before it`,
        offset: start + tensor.begin,
        pointer,
      });
    }
    covered = Math.max(covered, tensor.end);
  }
  if (covered > dataBytes) {
    flaws.push({
      code: 'safetensors.truncated',
      message: `the tensors need ${covered} bytes of data and the file has ${dataBytes}`,
      offset: start + dataBytes,
    });
  } else if (covered < dataBytes) {
    flaws.push({
      code: 'safetensors.trailing',
      message: `${dataBytes - covered} bytes after the last tensor belong to nothing`,
      offset: start + covered,
    });
  }
}
