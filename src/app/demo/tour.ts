import { access, chmod, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blobPath } from '#adapters/filesystem/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import { printable } from '#lib/printable.ts';
import { pullFile } from './client.ts';
import type { Pulled } from './client.ts';
import { findIncident, findRecord } from './record.ts';
import type { ArtifactRecord, CallPeople } from './record.ts';
import { makeTensor, writeCard, writeCheckpointWithCommand, writeConfig, writeSafetensors } from './files.ts';
import type { DemoFile, DemoHub } from './hub.ts';
import { short } from './narration.ts';
import type { Narration } from './narration.ts';

/** Everything that the steps of the tour use. The server behind `endpoint` is the real one. */
export interface TourPorts {
  readonly hub: DemoHub;
  /** HF_ENDPOINT. */
  readonly endpoint: string;
  readonly data: string;
  /** Where the blobs lie. */
  readonly blobs: string;
  /** A folder where the command of the bad pickle would leave its mark. */
  readonly folder: string;
  readonly call: CallPeople;
  readonly narration: Narration;
  readonly signal: AbortSignal;
  /** Makes the files of this tour others than those of the tour before. */
  readonly seed: number;
}

type Step = (ports: TourPorts) => Promise<boolean>;

/** Steps in order; each says what it does and gives whether everything was as it has to be. */
const steps: readonly Step[] = [cleanPasses, commandIsRefused, alteredUpstream, alteredOnDisk];

/** Walks through all steps, also after one that went wrong. Gives how many went as expected, and of how many. */
export async function walk(ports: TourPorts): Promise<{ readonly expected: number; readonly steps: number }> {
  let expected = 0;
  for (const step of steps) if (await step(ports)) expected += 1;
  return { expected, steps: steps.length };
}

const cleanId = 'demo/clean-model';
const weightsName = 'model.safetensors';

function weightsOf(seed: number): Buffer {
  return writeSafetensors([
    makeTensor('embeddings.weight', [256, 64], seed),
    makeTensor('classifier.weight', [2, 64], seed + 1),
  ]);
}

function modelFiles(id: string, seed: number, weights: DemoFile): Readonly<Record<string, DemoFile>> {
  return {
    'README.md': { bytes: writeCard(id, `run ${seed}`) },
    'config.json': { bytes: writeConfig() },
    [weightsName]: weights,
  };
}

async function cleanPasses(ports: TourPorts): Promise<boolean> {
  const { narration, hub, endpoint } = ports;
  await narration.title('1  A clean model passes');
  await narration.tell(
    `A publisher uploads a safetensors model, its configuration and a model card to the hub at ${hub.url.origin}. A client asks Weighbridge for every file. Weighbridge fetches, hashes, scans and inventories them, signs what it saw, decides, and only then sends the first byte.`,
  );
  const files = modelFiles(cleanId, ports.seed, { bytes: weightsOf(ports.seed) });
  hub.publish(cleanId, files);
  await narration.row(
    'try it',
    `HF_ENDPOINT=${endpoint} hf download ${cleanId}`,
    curl(endpoint, cleanId, weightsName),
  );
  let right = true;
  for (const [path, { bytes }] of Object.entries(files)) {
    const pulled = await pullFile(endpoint, cleanId, path, ports.signal);
    const same = pulled.status === 200 && pulled.digest === digestOf(bytes);
    right &&= same;
    await narration.row(
      path === 'README.md' ? 'answer' : '',
      `${pulled.status}  ${path}, ${pulled.sizeBytes} bytes, ${same ? 'the bytes that were published' : pulled.message}`,
    );
  }
  const record = await findRecord(ports.call, cleanId);
  await showRecord(ports, cleanId, record);
  const expected = right && record?.verdict === 'allow';
  await narration.verdict(expected, 'every file arrived, and the decision that let it pass is in the log');
  return expected;
}

async function commandIsRefused(ports: TourPorts): Promise<boolean> {
  const { narration, hub, endpoint } = ports;
  const id = 'demo/command-model';
  const path = 'pytorch_model.bin';
  const marker = join(ports.folder, 'the-command-was-run');
  await narration.title('2  A pickle that runs a command is refused');
  await narration.tell(
    `The same weights as a PyTorch checkpoint. Its pickle calls os.system("touch …/the-command-was-run") while it is loaded: torch.load would run it on every machine. Weighbridge never loads it; it follows every opcode and sees the call.`,
  );
  const bytes = writeCheckpointWithCommand(
    [makeTensor('embeddings.weight', [256, 64], ports.seed)],
    `touch '${marker}'`,
  );
  hub.publish(id, { 'README.md': { bytes: writeCard(id, `run ${ports.seed}`) }, [path]: { bytes } });
  await narration.row(
    'try it',
    `HF_ENDPOINT=${endpoint} hf download ${id} ${path}`,
    curl(endpoint, id, path),
  );
  const pulled = await pullFile(endpoint, id, path, ports.signal);
  await showRefusal(narration, pulled);
  const record = await findRecord(ports.call, id);
  await showRecord(ports, id, record);
  const ran = await exists(marker);
  await narration.row('the mark', ran ? `${marker} WAS MADE` : 'was not made: the command ran nowhere');
  const expected =
    pulled.status === 403 && !ran && record?.verdict === 'deny' && pulled.digest !== digestOf(bytes);
  await narration.verdict(expected, 'refused with the rule and the call it found, and not a byte of it left');
  return expected;
}

async function alteredUpstream(ports: TourPorts): Promise<boolean> {
  const { narration, hub, endpoint } = ports;
  const id = 'demo/altered-model';
  await narration.title('3  What was altered on its way is refused');
  await narration.tell(
    'The hub lists the SHA-256 of the weights, and then sends other bytes: one bit differs, the size is the same. A broken mirror or somebody on the way would look like this.',
  );
  const bytes = weightsOf(ports.seed + 7);
  const altered = flipped(bytes);
  const commit = hub.publish(id, modelFiles(id, ports.seed, { bytes, altered }));
  await narration.row('try it', curl(endpoint, id, weightsName));
  const pulled = await pullFile(endpoint, id, weightsName, ports.signal);
  await showRefusal(narration, pulled);
  const stored = await exists(blobPath(ports.blobs, digestOf(altered)));
  const incident = await findIncident(ports.call, { id, commit });
  await narration.row(
    'evidence',
    incident === undefined
      ? 'NO INCIDENT WAS RECORDED'
      : `log entry ${incident.logIndex}  incident \`${printable(incident.kind)}\` of ${printable(incident.source)}`,
    `declared by the hub  ${digestOf(bytes)}`,
    `sent by the hub      ${digestOf(altered)}`,
    stored ? 'the altered bytes WERE KEPT' : 'nothing was kept under either name',
  );
  const expected = pulled.status === 403 && pulled.code === 'GatedRepo' && !stored && incident !== undefined;
  await narration.verdict(expected, 'the bytes are not the ones that were declared, so nobody gets them');
  return expected;
}

async function alteredOnDisk(ports: TourPorts): Promise<boolean> {
  const { narration, endpoint } = ports;
  const digest = digestOf(weightsOf(ports.seed));
  const path = blobPath(ports.blobs, digest);
  await narration.title('4  What was altered on our own disk is caught');
  await narration.tell(
    'Somebody with access to the machine writes one bit into the stored weights of step 1, which were allowed. Their decision still stands, but these are not its bytes.',
  );
  await narration.row('altered', path);
  if (!(await flipOnDisk(path))) {
    await narration.verdict(false, 'the stored file is not there');
    return false;
  }
  await narration.row('try it', curl(endpoint, cleanId, weightsName));
  const pulled = await pullFile(endpoint, cleanId, weightsName, ports.signal);
  await showRefusal(narration, pulled);
  const taken = join(ports.blobs, 'quarantine', digest.slice('sha256:'.length));
  const quarantined = await readFile(taken).catch(() => undefined);
  const record = await findRecord(ports.call, cleanId);
  const observed = record?.evidence.find(({ summary }) => summary.startsWith('observed'));
  await narration.row(
    'evidence',
    `in the log, entry ${observed?.logIndex ?? '?'}: ${weightsName} is ${digest}`,
    `on disk: ${quarantined === undefined ? 'NOT IN QUARANTINE' : digestOf(quarantined)}`,
    `now in ${taken}`,
  );
  await narration.row('more', `weighbridge doctor --data ${ports.data}`);
  const expected =
    pulled.status === 403 && /altered on disk/.test(pulled.message) && quarantined !== undefined;
  await narration.verdict(
    expected,
    'the altered copy was taken out of the store before a byte of it was sent',
  );
  return expected;
}

const curl = (endpoint: string, id: string, path: string): string =>
  `curl -sSi ${endpoint}/${id}/resolve/main/${path} | head -20`;

async function showRefusal(narration: Narration, { status, code, message }: Pulled): Promise<void> {
  await narration.row('answer', `${status}  ${code}`);
  await narration.quote(message);
}

async function showRecord(
  { narration, data }: TourPorts,
  id: string,
  record: ArtifactRecord | undefined,
): Promise<void> {
  if (record === undefined) return narration.row('decision', 'NONE');
  await narration.row('artifact', record.artifact);
  await narration.row(
    'decision',
    `${record.verdict}, ${short(record.decision)}, log entry ${record.logIndex}`,
  );
  await narration.row(
    'evidence',
    ...record.evidence.map(
      ({ logIndex, envelopeDigest, summary }) =>
        `log entry ${String(logIndex).padStart(2)}  ${short(envelopeDigest)}  ${printable(summary, 90)}`,
    ),
  );
  await narration.row('more', `weighbridge explain ${id} --environment development --data ${data}`);
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

/** Writes one bit into a stored blob, as somebody would who may write there; false where there is no such file. */
async function flipOnDisk(path: string): Promise<boolean> {
  if (!(await exists(path))) return false;
  const altered = flipped(await readFile(path));
  await chmod(path, 0o600);
  const handle = await open(path, 'r+');
  try {
    const middle = altered.length >> 1;
    await handle.write(altered, middle, 1, middle);
  } finally {
    await handle.close();
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
