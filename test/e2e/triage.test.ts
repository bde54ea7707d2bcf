import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { TriageReport } from '#producers/scan/triage-report.ts';
import { gguf, ggufPair, ggufTensor, ggufText } from '../support/model-bytes.ts';
import { openLoopbackHub, type LoopbackHub } from '../support/hub/hub.ts';
import type { HubContent } from '../support/hub/repository.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { runWeighbridge, type CommandResult } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import { sparseFile, sparseSafetensors, sparseZip } from '../support/sparse-files.ts';

const GB = 1_000_000_000;
const command = pickle(called(named('posix', 'system'), text('id')));
const storages = 120;

/** 1 + 120 storages of 30 MB and the pickle behind them all. */
const torchFile = sparseZip([
  { name: 'archive/byteorder', content: Buffer.from('little') },
  ...Array.from({ length: storages }, (_, index) => ({
    name: `archive/data/${index}`,
    content: 30_000_000,
  })),
  { name: 'archive/data.pkl', content: command },
  { name: 'archive/version', content: Buffer.from('3\n') },
]);

function largeGguf(template: string): HubContent {
  const elements = 9 * GB;
  const bytes = gguf({
    pairs: [ggufPair('tokenizer.chat_template', 8, ggufText(template))],
    tensors: [ggufTensor('blk.0.weight', [elements], 0)],
  });
  return sparseFile(bytes.length + elements, [{ offset: 0, bytes }]);
}

const shards = Object.fromEntries(
  Array.from({ length: 18 }, (_, index) => [
    `model-${String(index + 1).padStart(5, '0')}-of-00018.safetensors`,
    sparseSafetensors(200, (5 * GB) / 200),
  ]),
);

const honest: Readonly<Record<string, HubContent>> = {
  ...shards,
  'model.Q8.gguf': largeGguf('{{ messages[0].content }}'),
  'config.json': '{"architectures":["LlamaForCausalLM"]}',
  'README.md': '# A model\n',
};

let hub: LoopbackHub;
before(async () => {
  hub = await openLoopbackHub();
});
after(() => hub.close());

async function scan(
  reference: string,
  flags: readonly string[] = [],
): Promise<CommandResult & { readonly report: TriageReport }> {
  const said = await runWeighbridge(
    ['scan', reference, `--upstream=${hub.url.href}`, '--output=json', ...flags],
    { timeoutMs: 120_000 },
  );
  return { ...said, report: JSON.parse(said.stdout) as TriageReport };
}

const rulesAbout = (report: TriageReport, path: string): readonly string[] =>
  report.files.find((file) => file.path === path)?.findings.map(({ ruleId }) => ruleId) ?? [];

describe('a triage of 100 GB', () => {
  test('that hold nothing bad is inconclusive, never clean, and costs next to nothing', async () => {
    const commit = await hub.commit('org/large', honest);
    hub.forgetRequests();
    const { code, report } = await scan('hf://org/large');
    assert.equal(code, 1);
    assert.deepEqual([report.verdict, report.completeness], ['nothing found', 'inconclusive']);
    assert.deepEqual(report.repository, { type: 'models', id: 'org/large', revision: 'HEAD', commit });
    assert.ok(report.bytesTotal > 99 * GB, String(report.bytesTotal));
    assert.ok(report.bytesCovered < report.bytesTotal / 1_000, String(report.bytesCovered));
    assert.ok(report.bytesCovered <= report.bytesFetched);
    const files = hub.seen.filter(({ url }) => !url.startsWith('/api/'));
    assert.equal(report.requests, files.length);
    assert.ok(report.requests <= Object.keys(honest).length * 8, String(report.requests));
    const config = report.files.find(({ path }) => path === 'config.json');
    assert.deepEqual([config?.completeness, config?.bytesCovered], ['complete', config?.sizeBytes]);
    for (const { path, format, completeness } of report.files) {
      if (path.endsWith('.safetensors'))
        assert.deepEqual([format, completeness], ['safetensors', 'inconclusive']);
    }
    assert.doesNotMatch(JSON.stringify(report), /"clean"/);
  });

  test('finds the pickle at the end of the archive, the template, the configuration and its code', async () => {
    await hub.commit('org/planted', {
      ...honest,
      'model.Q8.gguf': largeGguf("{{ ''.__class__.__mro__ }}"),
      'pytorch_model.bin': torchFile,
      'config.json': '{"auto_map":{"AutoModel":"modeling_x.X"}}',
      'modeling_x.py': 'import os\n',
      'tokenizer_config.json': JSON.stringify({ chat_template: '{{ cycler.__init__.__globals__ }}' }),
    });
    const { code, report } = await scan('hf://models/org/planted@main');
    assert.equal(code, 2);
    assert.equal(report.verdict, 'malicious');
    assert.ok(rulesAbout(report, 'pytorch_model.bin').includes('PKL-CALL-DENIED'));
    assert.ok(rulesAbout(report, 'config.json').includes('CFG-AUTO-MAP'));
    assert.ok(rulesAbout(report, 'modeling_x.py').includes('CODE-REFERENCED'));
    assert.ok(rulesAbout(report, 'tokenizer_config.json').some((id) => id.startsWith('TPL-')));
    assert.ok(rulesAbout(report, 'model.Q8.gguf').some((id) => id.startsWith('TPL-')));
    assert.ok(!rulesAbout(report, 'pytorch_model.bin').includes('FMT-POLYGLOT'));
    assert.ok(report.bytesFetched < report.bytesTotal / 1_000, String(report.bytesFetched));
    assert.ok(report.requests < 400, String(report.requests));
  });

  test('finds it among more members than there are requests, and says what it left', async () => {
    const members = [
      ...Array.from({ length: 2_000 }, (_, index) => ({ name: `a/data/${index}`, content: 1_000_000 })),
      { name: 'a/data.pkl', content: command },
    ];
    await hub.commit('org/many', { 'pytorch_model.bin': sparseZip(members) });
    const { code, report } = await scan('hf://org/many');
    assert.equal(code, 2);
    const [file] = report.files;
    assert.ok(file !== undefined && file.findings.some(({ ruleId }) => ruleId === 'PKL-CALL-DENIED'));
    assert.ok(file.incompleteReasons.some((reason) => /2001 members of the archive need more/.test(reason)));
    assert.ok(report.requests < 20, String(report.requests));
  });

  test('finds what stands before the bound of a pickle that is larger', async () => {
    const start = Buffer.from(command.subarray(0, -1));
    const size = 400_000_000;
    // POP and NONE for as long as anybody reads.
    const body = sparseFile(size, [{ offset: 0, bytes: start }], 0x4e);
    await hub.commit('org/long', { 'model.pkl': body });
    const { code, report } = await scan('hf://org/long');
    assert.equal(code, 2);
    const [file] = report.files;
    assert.ok(file !== undefined && file.findings.some(({ ruleId }) => ruleId === 'PKL-CALL-DENIED'));
    assert.ok(!file.findings.some(({ ruleId }) => ruleId === 'PKL-TRUNCATED'));
    assert.ok(file.incompleteReasons.some((reason) => reason.includes('beyond what a triage fetches')));
    assert.ok(report.bytesFetched <= 40 * 1024 * 1024, String(report.bytesFetched));
  });

  test('text for people says what was read and what it is worth', async () => {
    await hub.commit('org/words', { 'model.safetensors': sparseSafetensors(4, GB), 'config.json': '{}' });
    const said = await runWeighbridge(['scan', 'hf://org/words', `--upstream=${hub.url.href}`], {
      timeoutMs: 60_000,
    });
    assert.equal(said.code, 1, said.stderr);
    assert.match(said.stdout, /^org\/words@[0-9a-f]{12}: nothing found, inconclusive$/m);
    assert.match(
      said.stdout,
      /^read \d+ of 4\d{9} bytes \(0\.0\d+ %\) in \d requests; 1 of 2 files not to their end$/m,
    );
    assert.match(said.stdout, /a triage is not a scan: no gate opens for it/);
    assert.equal(said.stderr, '');
  });

  test('of files that all came whole and have their digests is complete', async () => {
    await hub.commit('org/small', { 'config.json': '{}', 'README.md': '# small\n' });
    const { code, report } = await scan('hf://org/small');
    assert.deepEqual([code, report.completeness, report.verdict], [0, 'complete', 'nothing found']);
    assert.equal(report.bytesCovered, report.bytesTotal);
  });
});

describe('a hub that lies', () => {
  for (const lie of ['wrong-range', 'long', 'short', 'encoded', 'redirect-inside'] as const) {
    test(`${lie} ends the triage with a Fault`, async () => {
      const id = `org/lie-${lie}`;
      await hub.commit(id, { 'model.safetensors': sparseSafetensors(4, GB) });
      hub.lie(id, lie, { path: 'model.safetensors' });
      const said = await runWeighbridge(
        ['scan', `hf://${id}`, `--upstream=${hub.url.href}`, '--output=json'],
        {
          timeoutMs: 60_000,
        },
      );
      assert.equal(said.code, 2, said.stdout);
      assert.match(said.stdout, /"code":"upstream\.lied"/);
    });
  }

  test('other bytes in a file that comes whole are a lie', async () => {
    await hub.commit('org/other', {
      'config.json': '{"a":1}',
      'model.safetensors': sparseSafetensors(4, GB),
    });
    hub.lie('org/other', 'wrong-bytes', { path: 'config.json' });
    const said = await runWeighbridge(['scan', 'hf://org/other', `--upstream=${hub.url.href}`], {
      timeoutMs: 60_000,
    });
    assert.equal(said.code, 2, said.stdout);
    assert.match(said.stderr, /`config\.json` has other bytes than it declares \(upstream\.lied\)/);
  });

  test('no such repository, no such revision, no such name', async () => {
    await hub.commit('org/there', { 'config.json': '{}' });
    for (const [reference, pattern] of [
      ['hf://org/none', /upstream has no repository `org\/none`/],
      ['hf://org/there@gone', /upstream has no revision `gone`/],
      ['hf://../../etc', /is not a repository name|dot segment|is not a hub repository/],
      ['hf://org/there@', /is not a hub repository/],
    ] as const) {
      const said = await runWeighbridge(['scan', reference, `--upstream=${hub.url.href}`], {
        timeoutMs: 60_000,
      });
      assert.equal(said.code, 1, said.stdout);
      assert.match(said.stderr, pattern);
    }
  });
});

describe('POST /wb/v1/triage', () => {
  test('answers the same, needs a token, writes nothing and opens no gate', async () => {
    await using house = await openWholeHouse();
    await house.hub.commit('org/evil', { 'config.json': '{}', 'pytorch_model.bin': Buffer.from(command) });
    await house.hub.commit('org/good', { 'config.json': '{}', 'README.md': '# good\n' });
    const before = await house.call('GET', '/wb/v1/log/head');
    const ask = (repository: string, revision: string | null = null) =>
      house.call('POST', '/wb/v1/triage', { type: 'models', repository, revision });
    const evil = await ask('org/evil', 'main');
    assert.equal(evil.status, 200);
    assert.equal((evil.body as TriageReport).verdict, 'malicious');
    const good = await ask('org/good');
    const { verdict, completeness } = good.body as TriageReport;
    assert.deepEqual([verdict, completeness], ['nothing found', 'complete']);
    assert.deepEqual(await house.call('GET', '/wb/v1/log/head'), before);
    assert.deepEqual((await house.call('GET', '/wb/v1/artifacts')).body, { items: [], next: null });
    const refused = await fetch(`${house.server.clients}/org/evil/resolve/main/pytorch_model.bin`);
    assert.equal(refused.status, 403);
    assert.equal((await ask('org/none')).status, 404);
    assert.equal((await ask('../etc')).status, 400);
    assert.equal((await ask('org/good', 'a..b')).status, 400);
    const stranger = await fetch(`${house.server.console}/wb/v1/triage`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'models', repository: 'org/good', revision: null }),
    });
    assert.equal(stranger.status, 401);
  });
});
