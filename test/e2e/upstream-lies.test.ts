import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { blobPath } from '#adapters/filesystem/blob-store.ts';
import { digestOf, digestOfHex, parseDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { readIncident, sourceDigest } from '#app/intake/incidents.ts';
import { decodePayload, parseEnvelope } from '#evidence/envelope.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { IncidentKind } from '#evidence/predicates.ts';
import { parseStatement } from '#evidence/statement.ts';
import type { Envelope } from '#evidence/statement.ts';
import { verifyEvidence, verifyTrustRootChain } from '#evidence/verify.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import type { Lie } from '../support/hub/state.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

/**
 * Every way in which an upstream misbehaves, against the real server: what the client is told, word by word; that nothing
 * of it is published; that it stands in the ledger as evidence about the source; and that the truth passes afterwards.
 */
interface Row {
  readonly lie: Lie;
  /** A lie about one file; of the whole repository where absent. */
  readonly path?: string;
  readonly also?: Lie;
  readonly kind: IncidentKind;
  /** What the client reads; `N` is the true size of the file. */
  readonly says: string;
  /**
   * The tree was believed before the bytes contradicted it: one commit has one tree, so this commit stays refused, and the
   * truth needs a new one.
   */
  readonly burnt?: true;
  /** The source is named without a commit, because upstream never named one that could be believed. */
  readonly nameless?: true;
}

const weights = 'model.safetensors';
const rows: readonly Row[] = [
  {
    lie: 'wrong-bytes',
    path: weights,
    kind: 'wrong-digest',
    says: `\`${weights}\` of \`ID\` has other bytes than it declares`,
  },
  {
    lie: 'wrong-bytes',
    path: 'config.json',
    kind: 'wrong-digest',
    says: '`config.json` of `ID` has another git id than it declares',
  },
  {
    lie: 'wrong-digest',
    path: weights,
    burnt: true,
    kind: 'wrong-digest',
    says: `\`${weights}\` of \`ID\` has other bytes than it declares`,
  },
  {
    lie: 'wrong-digest',
    path: 'config.json',
    kind: 'wrong-digest',
    says: '`config.json` of `ID` has another git id than it declares',
  },
  {
    lie: 'wrong-size',
    path: weights,
    burnt: true,
    kind: 'wrong-size',
    says: `\`${weights}\` of \`ID\` is announced with {N} bytes instead of {N+1}`,
  },
  {
    lie: 'short',
    path: weights,
    kind: 'wrong-size',
    says: `\`${weights}\` of \`ID\` is announced with {N-1} bytes instead of {N}`,
  },
  {
    lie: 'long',
    path: weights,
    kind: 'wrong-size',
    says: `\`${weights}\` of \`ID\` is announced with {N+1} bytes instead of {N}`,
  },
  {
    lie: 'short-chunked',
    path: weights,
    kind: 'short',
    says: `\`${weights}\` of \`ID\` has {N-1} bytes instead of {N}`,
  },
  {
    lie: 'long-chunked',
    path: weights,
    kind: 'long',
    says: `\`${weights}\` of \`ID\` has more than {N} bytes`,
  },
  {
    lie: 'encoded',
    path: weights,
    kind: 'encoded',
    says: `\`${weights}\` of \`ID\` comes encoded although it was asked for as it is`,
  },
  {
    lie: 'wrong-range',
    also: 'cut',
    path: weights,
    kind: 'wrong-range',
    says: `\`${weights}\` of \`ID\` continues at another place`,
  },
  {
    lie: 'changed-between',
    path: weights,
    kind: 'wrong-size',
    says: `\`${weights}\` of \`ID\` is announced with {N+7} bytes instead of {N}`,
  },
  { lie: 'gone', path: weights, kind: 'omitted', says: `\`${weights}\` of \`ID\` is listed and not there` },
  { lie: 'omitted', path: weights, kind: 'omitted', says: `the tree of \`ID\` leaves out \`${weights}\`` },
  {
    lie: 'redirect-inside',
    path: weights,
    kind: 'redirect-refused',
    says: 'upstream redirects to where it may not; hint: only https and the configured upstream are followed',
  },
  {
    lie: 'redirect-elsewhere',
    path: weights,
    kind: 'redirect-refused',
    says: 'upstream redirects to where it may not; hint: only https and the configured upstream are followed',
  },
  {
    lie: 'redirect-private',
    path: weights,
    kind: 'redirect-refused',
    says: 'upstream redirects to a private address',
  },
  {
    lie: 'redirect-loop',
    path: weights,
    kind: 'redirect-refused',
    says: 'upstream redirects more than 5 times',
  },
  {
    lie: 'bad-path',
    path: weights,
    kind: 'malformed-tree',
    says: 'upstream lists a path that is not a path',
  },
  { lie: 'duplicate', path: weights, kind: 'malformed-tree', says: `upstream lists \`${weights}\` twice` },
  { lie: 'foreign-page', kind: 'malformed-tree', says: 'upstream continues a tree somewhere else' },
  { lie: 'same-page', kind: 'malformed-tree', says: 'upstream lists `config.json` twice' },
  {
    lie: 'not-json',
    kind: 'malformed-answer',
    says: 'upstream answered with something that is not JSON',
    nameless: true,
  },
];

/** One request fails over and over; each waits for its retries, and the scheduler must not mistake one for the host. */
const absences: readonly { readonly lie: Lie; readonly kind: IncidentKind; readonly says: string }[] = [
  { lie: 'status-500', kind: 'server-error', says: 'upstream answered 500' },
  { lie: 'silent', kind: 'stall', says: 'upstream did not answer' },
  { lie: 'status-429-ratelimit', kind: 'rate-limited', says: 'upstream answered 429' },
];

interface Planted {
  readonly id: string;
  readonly commit: string;
  readonly bytes: Buffer;
}

let hub: LoopbackHub;
let server: TestServer;
let trusted: Parameters<typeof verifyEvidence>[1];
let planted = 0;
const burnt = new Set<string>();

const start = (data?: string): Promise<TestServer> =>
  startTestServer({
    upstream: hub.url,
    flags: ['--hold-wait=30', '--upstream-wait=30', '--upstream-timeout=1'],
    ...(data === undefined ? {} : { data }),
  });

before(async () => {
  hub = await openLoopbackHub();
  server = await start();
  const { envelopes } = await evidence(server.data);
  const roots = envelopes.filter((one) => typeOf(one) === predicateTypes.trustRoot);
  const chain = verifyTrustRootChain(roots, parseDigest(server.fingerprint));
  assert.ok(chain.ok);
  trusted = chain.trust;
});
after(async () => {
  await server.stop();
  await hub.close();
  await removeFolder(server.data);
});

/** A repository of its own, with weights that no other one has. */
async function plant(name: string): Promise<Planted> {
  planted += 1;
  const id = `lies/${name}-${planted}`;
  const size = 4_096 + planted * 16;
  const bytes = Buffer.from(safetensors({ weight: tensor(0, size) }, size));
  const commit = await hub.commit(id, {
    'config.json': `{"model_type":"bert","n":${planted}}`,
    [weights]: bytes,
  });
  return { id, commit, bytes };
}

async function ask(path: string, init: RequestInit = {}) {
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`${server.clients}${path}`, init);
    const body = Buffer.from(await answer.arrayBuffer());
    const { status, headers } = answer;
    // 503: still on its way.
    if (status !== 503 || tries > 100)
      return {
        status,
        body,
        code: headers.get('x-error-code'),
        says: headers.get('x-error-message'),
        headers,
      };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Every envelope that lies among the blobs. */
async function evidence(
  data: string,
): Promise<{ readonly envelopes: readonly Envelope[]; readonly leftovers: readonly string[] }> {
  const blobs = join(data, 'blobs');
  const all = await readdir(blobs, { recursive: true, withFileTypes: true });
  const envelopes: Envelope[] = [];
  const leftovers: string[] = [];
  for (const entry of all.filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (path.startsWith(join(blobs, 'tmp'))) leftovers.push(path);
    // An empty partial of a file that never came is given up after a day, and its note with it.
    else if (path.startsWith(join(blobs, 'partial')) && !path.endsWith('.spans') && (await sizeOf(path)) > 0)
      leftovers.push(path);
    else if (path.startsWith(join(blobs, 'sha256'))) {
      const bytes = await readFile(path);
      if (bytes.includes('"payloadType"')) envelopes.push(parseEnvelope(bytes));
    }
  }
  return { envelopes, leftovers };
}

/** 0 for what was removed meanwhile. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function typeOf(envelope: Envelope): string {
  return parseStatement(decodePayload(envelope)).predicateType;
}

/** Incidents about a source that verify against the trust root which the server printed. */
async function incidentsAbout(uri: string, namespace = 'default') {
  const { envelopes } = await evidence(server.data);
  return envelopes
    .filter((one) => typeOf(one) === predicateTypes.upstreamIncident)
    .map((envelope) => verifyEvidence(envelope, trusted, { subjects: [sourceDigest(uri)], namespace }))
    .filter((verified) => verified.ok)
    .map(({ issuer, statement }) => ({ issuer, statement, incident: readIncident(statement) }));
}

/** The log is projected to blobs a moment after it is committed. */
async function untilIncident(uri: string, namespace?: string) {
  for (let tries = 0; ; tries += 1) {
    const found = await incidentsAbout(uri, namespace);
    if (found.length > 0 || tries > 60) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const wordsOf = (row: { readonly says: string }, { id, bytes }: Planted): string =>
  row.says
    .replaceAll('ID', id)
    .replaceAll(/\{N([+-]\d+)?\}/g, (_all, shift: string | undefined) =>
      String(bytes.length + Number(shift ?? 0)),
    );

function isPublished(digest: Digest): boolean {
  return existsSync(blobPath(join(server.data, 'blobs'), digest));
}

describe('an upstream that lies', { concurrency: 4 }, () => {
  for (const row of rows) {
    test(`${row.lie}${row.path === undefined ? '' : ` in ${row.path}`}`, async () => {
      const told = await plant(row.lie);
      hub.lie(told.id, row.lie, row.path === undefined ? {} : { path: row.path });
      if (row.also !== undefined) hub.lie(told.id, row.also, { path: weights, times: 1 });
      const path = `/${told.id}/resolve/main/${row.path ?? weights}`;
      for (const method of ['HEAD', 'GET', 'HEAD']) {
        const { status, code, says, body } = await ask(path, { method });
        assert.deepEqual(
          { status, code, says },
          { status: 403, code: 'GatedRepo', says: wordsOf(row, told) },
        );
        assert.ok(!body.includes(told.bytes.subarray(64)));
      }
      assert.ok(!isPublished(digestOf(told.bytes)));
      assert.ok(!isPublished(digestOfHex('0'.repeat(64))));

      const source = `hf://models/${told.id}`;
      const uri = row.nameless === true ? source : `${source}@${told.commit}`;
      const [found, ...more] = await untilIncident(uri);
      assert.ok(found?.incident);
      assert.deepEqual(more, []);
      const { kind, message, path: about, source: place } = found.incident;
      assert.deepEqual(
        { kind, message, place, role: found.issuer.role },
        {
          kind: row.kind,
          message: wordsOf(row, told).replace(/; hint: .*/, ''),
          place: { uri, upstream: hub.url.host },
          role: 'evidence',
        },
      );
      assert.equal(about, aboutOf(row));
      if (row.burnt === true) burnt.add(told.id);
    });
  }
});

/** Lies about the tree as a whole name no path, the others do. */
function aboutOf({ kind, path }: Row): string | null {
  return kind.startsWith('malformed') ? null : (path ?? null);
}

test('one commit with two trees: the second is refused, the first is served on', async () => {
  const told = await plant('other-tree');
  const path = `${told.id}/resolve/main/${weights}`;
  assert.equal((await ask(`/${path}`)).status, 200);
  const command = (...words: readonly string[]) => runWeighbridge([...words, '--data', server.data]);
  await command('namespace', 'set', 'team-a', '--environment', 'development');
  const made = await command('token', 'create', '--namespace', 'team-a', '--name', 'ci');
  assert.equal(made.code, 0, made.stderr);
  hub.lie(told.id, 'other-tree');
  const refused = await ask(`/hf/team-a/${path}`, {
    headers: { authorization: `Bearer ${made.stdout.trim()}` },
  });
  assert.deepEqual(
    [refused.status, refused.code, refused.says],
    [403, 'GatedRepo', `upstream lists other files for commit \`${told.commit}\` than before`],
  );
  const [found] = await untilIncident(`hf://models/${told.id}@${told.commit}`, 'team-a');
  assert.equal(found?.incident?.kind, 'changed-commit');
  assert.deepEqual((await ask(`/${path}`)).body, told.bytes);
});

test(
  'an upstream that is away is retried, answered as such, and recorded once',
  { timeout: 60_000 },
  async () => {
    for (const row of absences) {
      const told = await plant(row.lie);
      hub.lie(told.id, row.lie, { path: weights });
      const answer = await ask(`/${told.id}/resolve/main/${weights}`, { method: 'HEAD' });
      assert.deepEqual(
        {
          status: answer.status,
          code: answer.code,
          says: answer.says,
          again: answer.headers.has('retry-after'),
        },
        { status: 502, code: 'upstream.unavailable', says: row.says, again: true },
      );
      assert.ok(!isPublished(digestOf(told.bytes)));
      const [found] = await untilIncident(`hf://models/${told.id}@${told.commit}`);
      assert.equal(found?.incident?.kind, row.kind);
      // Of another repository, at the same moment: the host is not away because one file is.
      const beside = await plant('beside');
      assert.equal((await ask(`/${beside.id}/resolve/main/${weights}`)).status, 200, row.lie);
    }
  },
);

test('what breaks once is continued, and nobody is told', async () => {
  const told = await plant('once');
  for (const lie of ['cut', 'stall', 'status-503', 'status-429-ratelimit'] as const)
    hub.lie(told.id, lie, { path: weights, times: 1 });
  const answer = await ask(`/${told.id}/resolve/main/${weights}`);
  assert.deepEqual([answer.status, answer.says], [200, null]);
  assert.deepEqual(answer.body, told.bytes);
  assert.deepEqual(await incidentsAbout(`hf://models/${told.id}@${told.commit}`), []);
});

test('while upstream limits us, a branch that is known is answered from what is stored', async () => {
  const told = await plant('stale');
  const path = `/${told.id}/resolve/main/${weights}`;
  assert.equal((await ask(path)).status, 200);
  hub.lie(told.id, 'status-429-ratelimit');
  assert.deepEqual((await ask(path)).body, told.bytes);
  assert.equal((await ask(`/${told.id}/resolve/v9/${weights}`)).status, 502);
});

test('the interface for people shows how upstream behaves', async () => {
  const answer = await fetch(`${server.console}/wb/v1/upstreams`, {
    headers: { authorization: `Bearer ${server.token}` },
  });
  assert.equal(answer.status, 200);
  const { upstreams, incidents } = (await answer.json()) as {
    upstreams: { host: string; role: string; requests: number; failures: number; incidents24h: number }[];
    incidents: { kind: string }[];
  };
  const upstream = upstreams.find(({ role }) => role === 'upstream');
  assert.equal(upstream?.host, hub.url.host);
  assert.ok(upstream.requests > 50 && upstream.failures > 3 && upstream.incidents24h >= rows.length);
  assert.equal(incidents.length, 20);
  assert.ok(upstreams.some(({ host, role }) => role === 'redirect' && host === hub.cdnUrl.host));
});

test(
  'after all that the truth passes, nothing is left over, and the log is whole',
  { timeout: 120_000 },
  async () => {
    const ids = hub.repositories();
    for (const id of ids) hub.honest(id);
    await server.stop();
    server = await start(server.data);
    const truth = await Promise.all(
      ids.map(async (id) => ({ id, ...(await ask(`/${id}/resolve/main/${weights}`)) })),
    );
    for (const { id, status, says } of truth)
      assert.equal(status, burnt.has(id) ? 403 : 200, `${id}: ${says}`);
    assert.equal(burnt.size, 2);
    for (const id of burnt) {
      const size = 8_192;
      await hub.commit(id, { [weights]: Buffer.from(safetensors({ weight: tensor(0, size) }, size)) });
      assert.equal((await ask(`/${id}/resolve/main/${weights}`)).status, 200, id);
    }
    let { leftovers } = await evidence(server.data);
    // The server that was just started may be writing still.
    for (let tries = 0; leftovers.length > 0 && tries < 50; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      ({ leftovers } = await evidence(server.data));
    }
    assert.deepEqual(leftovers, []);
    const examined = await runWeighbridge(['doctor', '--data', server.data]);
    assert.equal(examined.code, 0, examined.stdout + examined.stderr);
  },
);
