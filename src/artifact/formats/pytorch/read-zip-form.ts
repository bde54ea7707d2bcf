import type { ByteSource } from '#artifact/blob-store.ts';
import { readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { checkZipMember, openZipMember, type ZipAnomaly, type ZipMember, type ZipReading } from '#lib/zip.ts';
import type { PyTorchReading, TorchPickle, TorchProblem, TorchStorage } from './reading.ts';
import { storageIds, type StorageId } from './storages.ts';

interface Draft {
  readonly source: ByteSource;
  readonly zip: ZipReading;
  readonly byName: ReadonlyMap<string, readonly ZipMember[]>;
  readonly prefixes: ReadonlySet<string>;
  readonly pickles: TorchPickle[];
  readonly storages: TorchStorage[];
  readonly anomalies: ZipAnomaly[];
  readonly problems: TorchProblem[];
  readonly incomplete: Set<string>;
  /** Bytes that may still be inflated or checked: overlapping members must not make one read the same bytes for ever. */
  readonly budget: { bytes: number };
}

/** Small members that torch writes beside the pickle (torch/csrc, caffe2/serialize/inline_container.cc). */
const settings = new Set([
  'version',
  'byteorder',
  '.format_version',
  '.storage_alignment',
  '.data/serialization_id',
]);
const objectName = /(^|\/)data\.pkl$/;

type Role = 'object' | 'pickle' | 'storage' | 'setting' | 'script' | 'extra' | 'unexpected';

function roleOf(name: string, prefixes: ReadonlySet<string>): Role {
  if (objectName.test(name)) return 'object';
  if (name.endsWith('.pkl')) return 'pickle';
  const prefix = prefixOf(name, prefixes);
  const inner = name.slice(prefix?.length ?? 0);
  if (prefix !== undefined && /^data\/[^/]+$/.test(inner)) return 'storage';
  if (settings.has(inner)) return 'setting';
  if (inner.startsWith('code/')) return 'script';
  if (inner.startsWith('extra/')) return 'extra';
  return 'unexpected';
}

/** The folder of a `data.pkl` that the member lies under. */
function prefixOf(name: string, prefixes: ReadonlySet<string>): string | undefined {
  if (prefixes.has('')) return '';
  for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
    const prefix = name.slice(0, slash + 1);
    if (prefixes.has(prefix)) return prefix;
  }
  return undefined;
}

async function openMember(draft: Draft, member: ZipMember): Promise<ByteSource | undefined> {
  try {
    if (draft.budget.bytes <= 0)
      throw new Fault('limit.exceeded', 'the members are larger together than is read');
    const opened = await openZipMember(draft.source, member);
    const cost =
      roleOf(member.name, draft.prefixes) === 'storage' && member.method === 0 ? 0 : opened.sizeBytes;
    draft.budget.bytes -= cost;
    return opened;
  } catch (thrown) {
    // Faults are about the content; whatever else is thrown says that the bytes could not be had.
    if (!(thrown instanceof Fault)) throw thrown;
    const { message } = thrown;
    draft.problems.push({
      kind: 'member-unreadable',
      member: member.name,
      offset: member.headerOffset,
      message,
    });
    draft.incomplete.add(message);
    return undefined;
  }
}

async function beginsLikePickle(opened: ByteSource): Promise<boolean> {
  const [first = 0, second = 99] = await opened.read(0, 2);
  return first === 0x80 ? second <= 5 : [0x28, 0x63, 0x5d, 0x7d].includes(first);
}

/** Members that are not loaded but hold a pickle that does something: other loaders, or a renamed twin, may. */
async function readHiddenPickle(draft: Draft, member: ZipMember, opened: ByteSource): Promise<void> {
  if (!(await beginsLikePickle(opened))) return;
  const reading = await readPickle(opened);
  if (reading.streams[0]?.failure === undefined) {
    for (const reason of reading.incomplete) draft.incomplete.add(reason);
  }
  if (reading.imports.length === 0 && reading.extensions.length === 0 && reading.nested.length === 0) return;
  if (reading.streams[0]?.ending !== 'stop' && reading.calls.length === 0) return;
  draft.pickles.push({ member: member.name, role: 'other', reading });
}

async function readMember(draft: Draft, member: ZipMember): Promise<void> {
  const role = roleOf(member.name, draft.prefixes);
  const opened = await openMember(draft, member);
  if (opened === undefined) return;
  if (role !== 'storage') draft.anomalies.push(...(await checkZipMember(member, opened)));
  if (role === 'storage' && opened.sizeBytes !== member.sizeBytes) {
    draft.incomplete.add('a storage is not as long as its header says');
  }
  if (role === 'object' || role === 'pickle') {
    const reading = await readPickle(opened);
    draft.pickles.push({ member: member.name, role: role === 'object' ? 'object' : 'other', reading });
    for (const reason of reading.incomplete) draft.incomplete.add(reason);
    return;
  }
  await readHiddenPickle(draft, member, opened);
  if (role === 'unexpected' && !member.name.endsWith('/')) {
    const message = 'torch.save writes no such member';
    draft.problems.push({
      kind: 'member-unexpected',
      member: member.name,
      offset: member.headerOffset,
      message,
    });
  }
}

function matchStorages(draft: Draft): void {
  const claimed = new Set<string>();
  for (const { member = '', reading, role } of draft.pickles) {
    const prefix = member.replace(/[^/]*$/, '');
    if (role === 'other' && !draft.prefixes.has(prefix)) continue;
    for (const id of storageIds(reading, member, draft.problems).values()) {
      const name = `${prefix}data/${id.key}`;
      claimed.add(name);
      claimStorage(draft, name, id);
    }
  }
  for (const member of draft.zip.members) {
    if (roleOf(member.name, draft.prefixes) !== 'storage' || claimed.has(member.name)) continue;
    const message = 'no pickle of the file refers to this storage';
    draft.problems.push({
      kind: 'member-unexpected',
      member: member.name,
      offset: member.headerOffset,
      message,
    });
  }
}

function claimStorage(draft: Draft, name: string, id: StorageId): void {
  const members = draft.byName.get(name) ?? [];
  const [member] = members;
  draft.storages.push({
    ...id,
    offset: member?.method === 0 ? member.dataOffset : undefined,
    lengthBytes: member?.sizeBytes,
  });
  if (member === undefined) {
    const message = 'the file has no bytes for this storage';
    draft.problems.push({ kind: 'storage-missing', member: name, offset: undefined, message });
    return;
  }
  const expected = id.elementBytes === undefined ? undefined : id.elementBytes * id.elements;
  if (expected === undefined)
    draft.incomplete.add(`the storage type \`${id.type.slice(0, 100)}\` is not known`);
  for (const { sizeBytes, headerOffset } of members) {
    if (expected === undefined || expected === sizeBytes) continue;
    const message = `the storage has ${sizeBytes} bytes where the pickle says ${expected}`;
    draft.problems.push({ kind: 'storage-size', member: name, offset: headerOffset, message });
  }
}

/** Undefined where no member is a `data.pkl`. */
export async function readZipForm(source: ByteSource, zip: ZipReading): Promise<PyTorchReading | undefined> {
  const objects = zip.members.filter(({ name }) => objectName.test(name));
  if (objects.length === 0) return undefined;
  const draft: Draft = {
    source,
    zip,
    byName: Map.groupBy(zip.members, ({ name }) => name),
    prefixes: new Set(objects.map(({ name }) => name.slice(0, name.length - 'data.pkl'.length))),
    pickles: [],
    storages: [],
    anomalies: [...zip.anomalies],
    problems: [],
    incomplete: new Set(zip.incomplete),
    budget: { bytes: source.sizeBytes + limits.zipTotalBytes },
  };
  for (const member of zip.members) await readMember(draft, member);
  matchStorages(draft);
  if (draft.prefixes.size > 1) {
    const message = 'the archive holds more than one data.pkl';
    draft.problems.push({ kind: 'several-objects', member: objects[1]?.name, offset: undefined, message });
  }
  const torchScript = zip.members.some(
    ({ name }) => roleOf(name, draft.prefixes) === 'script' || /(^|\/)constants\.pkl$/.test(name),
  );
  if (torchScript) draft.incomplete.add('TorchScript code is not read');
  const { pickles, storages, anomalies, problems, incomplete } = draft;
  return { form: 'zip', pickles, storages, anomalies, problems, torchScript, incomplete: [...incomplete] };
}
