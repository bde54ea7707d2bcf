import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openLoopbackHub, type LoopbackHub } from '../../../test/support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../../../test/support/pull-house.ts';

const weights = Buffer.alloc(2_500_000, 'weights ');

describe('pull gate', () => {
  let hub: LoopbackHub;
  let house: PullHouse;
  let commit: string;

  before(async () => {
    hub = await openLoopbackHub();
    house = await openPullHouse(hub.url, { holdMs: 300, heartbeatMs: 50, longHoldMs: 2_000 });
    commit = await hub.commit('org/m', {
      'config.json': '{"a":1}',
      'empty.txt': '',
      'model.bin': weights,
      'evil.pkl': 'boom',
      'a/b/c.txt': 'deep',
      'ünï "x".txt': 'names',
    });
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await hub.close();
  });

  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(house.url + path, { redirect: 'manual', ...init });
  const resolve = (path: string, init: RequestInit = {}): Promise<Response> =>
    ask(`/org/m/resolve/main/${path}`, init);

  test('HEAD of an LFS file has everything that clients read', async () => {
    const answer = await resolve('model.bin', { method: 'HEAD' });
    assert.equal(answer.status, 200);
    const etag = answer.headers.get('etag') ?? '';
    assert.match(etag, /^"[0-9a-f]{64}"$/);
    assert.equal(answer.headers.get('x-linked-etag'), etag);
    assert.equal(answer.headers.get('x-repo-commit'), commit);
    assert.equal(answer.headers.get('content-length'), String(weights.length));
    assert.equal(answer.headers.get('x-linked-size'), String(weights.length));
    assert.equal(answer.headers.get('accept-ranges'), 'bytes');
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.match(answer.headers.get('content-disposition') ?? '', /^attachment; filename="model.bin"/);
    assert.match(answer.headers.get('content-security-policy') ?? '', /sandbox/);
  });

  test('GET of both kinds of file gives the bytes', async () => {
    assert.deepEqual(Buffer.from(await (await resolve('model.bin')).arrayBuffer()), weights);
    const small = await resolve('config.json');
    assert.match(small.headers.get('etag') ?? '', /^"[0-9a-f]{40}"$/);
    assert.equal(await small.text(), '{"a":1}');
    assert.equal(await (await resolve(encodeURIComponent('ünï "x".txt'))).text(), 'names');
  });

  test('nothing that upstream says in a header passes', async () => {
    const paths = [
      '/org/m/resolve/main/model.bin',
      '/api/models/org/m',
      '/api/models/org/m/tree/main',
      '/api/models/org/m/refs',
    ];
    for (const path of paths) {
      const answer = await ask(path);
      const text = `${JSON.stringify([...answer.headers])} ${path.startsWith('/api') ? await answer.text() : ''}`;
      for (const bait of [
        'xet',
        'bait',
        'invalid',
        'amz',
        hub.url.host,
        hub.cdnUrl.host,
        'set-cookie',
        'access-control',
      ]) {
        assert.ok(!text.toLowerCase().includes(bait), `${path} leaks ${bait}: ${text.slice(0, 600)}`);
      }
      if (!path.startsWith('/api')) await answer.arrayBuffer();
    }
  });

  test('ranges', async () => {
    const rows: readonly (readonly [string, number, string | null, number])[] = [
      ['bytes=0-0', 206, 'bytes 0-0/2500000', 1],
      ['bytes=2499999-', 206, 'bytes 2499999-2499999/2500000', 1],
      ['bytes=-5', 206, 'bytes 2499995-2499999/2500000', 5],
      ['bytes=1-99999999999999999999', 206, 'bytes 1-2499999/2500000', 2_499_999],
      ['bytes=2500000-', 416, 'bytes */2500000', -1],
      [`bytes=${'9'.repeat(300)}-`, 416, 'bytes */2500000', -1],
      ['bytes=0-1,3-4', 200, null, 2_500_000],
      ['bytes=5-2', 200, null, 2_500_000],
      ['chapters=1-2', 200, null, 2_500_000],
    ];
    for (const [range, status, contentRange, length] of rows) {
      const answer = await resolve('model.bin', { headers: { range } });
      assert.equal(answer.status, status, range);
      assert.equal(answer.headers.get('content-range'), contentRange, range);
      const body = await answer.arrayBuffer();
      if (length !== -1) assert.equal(body.byteLength, length, range);
    }
    const empty = await resolve('empty.txt', { headers: { range: 'bytes=0-0' } });
    assert.equal(empty.status, 200);
    assert.equal((await empty.arrayBuffer()).byteLength, 0);
  });

  test('a range with If-Range of another version gives the whole file', async () => {
    const answer = await resolve('config.json', { headers: { range: 'bytes=0-0', 'if-range': '"other"' } });
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), '{"a":1}');
  });

  test('If-None-Match gives 304, and a refusal where the decision is no', async () => {
    const etag = (await resolve('config.json', { method: 'HEAD' })).headers.get('etag') ?? '';
    for (const header of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      assert.equal(
        (await resolve('config.json', { headers: { 'if-none-match': header } })).status,
        304,
        header,
      );
    }
    assert.equal((await resolve('config.json', { headers: { 'if-none-match': '"x"' } })).status, 200);
    house.verdicts.denied.set('config.json', 'no');
    assert.equal((await resolve('config.json', { headers: { 'if-none-match': etag } })).status, 403);
    house.verdicts.denied.clear();
  });

  test('a refusal says rule, reason, remedy and where to read more, in one safe header line', async () => {
    house.verdicts.denied.set('evil.pkl', 'would call `os.system("id")`\r\nX-Evil: 1 \u001b[31m \u202e ü');
    for (const method of ['HEAD', 'GET']) {
      const answer = await resolve('evil.pkl', { method });
      assert.equal(answer.status, 403);
      assert.equal(answer.headers.get('x-error-code'), 'GatedRepo');
      assert.equal(answer.headers.get('x-evil'), null);
      const message = answer.headers.get('x-error-message') ?? '';
      assert.match(message, /^weighbridge refuses `evil\.pkl` of org\/m@/);
      assert.match(message, /\[no-code-on-load\] would call `os\.system\("id"\)`/);
      assert.match(message, /model security team: ask for a safetensors file; read more: http:\/\/127/);
      assert.match(message, /^[\x20-\x7e]*$/);
      assert.ok(message.includes('\\u{1b}') && message.includes('\\u{202e}'));
      assert.equal(answer.headers.get('etag'), null);
      if (method === 'GET')
        assert.match(((await answer.json()) as { error: string }).error, /no-code-on-load/);
    }
    house.verdicts.denied.clear();
    assert.equal(house.events.findLast(({ outcome }) => outcome === 'refused')?.reason, 'no-code-on-load');
  });

  test('an endless reason stays within the header bound', async () => {
    house.verdicts.denied.set('evil.pkl', 'ü'.repeat(100_000));
    const answer = await resolve('evil.pkl', { method: 'HEAD' });
    assert.equal(answer.status, 403);
    assert.ok((answer.headers.get('x-error-message') ?? '').length <= 2_000);
    house.verdicts.denied.clear();
  });

  test('a warning is told once with the file', async () => {
    house.verdicts.warned.set('config.json', 'approval ends soon');
    const answer = await resolve('config.json', { method: 'HEAD' });
    assert.equal(answer.headers.get('x-hf-warning'), 'weighbridge; [review-soon] approval ends soon');
    house.verdicts.warned.clear();
  });

  test('a withdrawn commit is 404 RevisionNotFound without a commit, on files and listings', async () => {
    house.verdicts.withdrawn.add(commit);
    for (const path of [
      '/org/m/resolve/main/config.json',
      '/api/models/org/m/revision/main',
      '/api/models/org/m/tree/main',
    ]) {
      const answer = await ask(path);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers.get('x-error-code'), 'RevisionNotFound');
      assert.equal(answer.headers.get('x-repo-commit'), null);
      assert.match(answer.headers.get('x-error-message') ?? '', /has withdrawn .*revoked: stolen/);
    }
    house.verdicts.withdrawn.clear();
  });

  test('what is missing has the code that clients know', async () => {
    const rows: readonly (readonly [string, string, string | null])[] = [
      ['/org/none/resolve/main/x', 'RepoNotFound', null],
      ['/org/m/resolve/nowhere/x', 'RevisionNotFound', null],
      ['/org/m/resolve/main/none.txt', 'EntryNotFound', commit],
      ['/org/m/resolve/main/a/b', 'EntryNotFound', commit],
      ['/api/models/org/m/tree/main/additional_chat_templates', 'EntryNotFound', commit],
      ['/api/models/org/none', 'RepoNotFound', null],
      ['/api/models/org/none/refs', 'RepoNotFound', null],
      ['/api/models/org/m/revision/nowhere', 'RevisionNotFound', null],
      ['/api/nothing', 'resource.unknown', null],
      ['/hf/team-b/org/m/resolve/main/config.json', 'resource.unknown', null],
    ];
    for (const [path, code, sha] of rows) {
      const answer = await ask(path);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers.get('x-error-code'), code, path);
      assert.equal(answer.headers.get('x-repo-commit'), sha, path);
    }
  });

  test('listings', async () => {
    const info = (await (await ask('/api/models/org/m/revision/main?blobs=true')).json()) as Record<
      string,
      unknown
    >;
    assert.equal(info['sha'], commit);
    assert.equal((info['siblings'] as unknown[]).length, 6);
    const top = (await (await ask('/api/models/org/m/tree/main')).json()) as { path: string; type: string }[];
    assert.deepEqual(
      top.map(({ path }) => path),
      ['a', 'config.json', 'empty.txt', 'evil.pkl', 'model.bin', 'ünï "x".txt'],
    );
    const all = (await (await ask('/api/models/org/m/tree/main?recursive=true&expand=true')).json()) as {
      path: string;
      lastCommit: { id: string };
    }[];
    assert.deepEqual(
      all.slice(0, 3).map(({ path }) => path),
      ['a', 'a/b', 'a/b/c.txt'],
    );
    assert.equal(all[0]?.lastCommit.id, commit);
    const refs = (await (await ask('/api/models/org/m/refs')).json()) as {
      branches: { targetCommit: string }[];
    };
    assert.equal(refs.branches[0]?.targetCommit, commit);
    const pointer = await (await ask('/org/m/raw/main/model.bin')).text();
    assert.match(
      pointer,
      /^version https:\/\/git-lfs\.github\.com\/spec\/v1\noid sha256:[0-9a-f]{64}\nsize 2500000\n$/,
    );
  });

  test('directory ids are those of git', async () => {
    const mine = (await (await ask('/api/models/org/m/tree/main?recursive=true')).json()) as {
      path: string;
      oid: string;
    }[];
    const upstream = await fetch(new URL('/api/models/org/m/tree/main?recursive=true', hub.url));
    const theirs = new Map(
      ((await upstream.json()) as { path: string; oid: string }[]).map(({ path, oid }) => [path, oid]),
    );
    for (const { path, oid } of mine) assert.equal(oid, theirs.get(path), path);
  });

  test('paths-info takes a form and JSON, leaves unknown paths out', async () => {
    const url = '/api/models/org/m/paths-info/main';
    const form = new URLSearchParams([
      ['paths', 'config.json'],
      ['paths', 'none'],
      ['paths', 'a'],
      ['expand', 'True'],
    ]);
    const byForm = (await (await ask(url, { method: 'POST', body: form })).json()) as {
      path: string;
      lastCommit?: object;
    }[];
    assert.deepEqual(
      byForm.map(({ path }) => path),
      ['config.json', 'a'],
    );
    assert.ok(byForm[0]?.lastCommit);
    const body = JSON.stringify({ paths: ['model.bin', 'none'] });
    const byJson = (await (
      await ask(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    ).json()) as { path: string; lfs: { oid: string } }[];
    assert.equal(byJson.length, 1);
    assert.match(byJson[0]?.lfs.oid ?? '', /^[0-9a-f]{64}$/);
  });

  test('whoami knows our tokens only; strange tokens are anonymous', async () => {
    const known = await ask('/api/whoami-v2', { headers: { authorization: 'Bearer wb_known' } });
    assert.equal(((await known.json()) as { name: string }).name, 'p-1');
    const strange = await ask('/api/whoami-v2', {
      headers: { authorization: `Bearer hf_${'x'.repeat(34)}` },
    });
    assert.equal(strange.status, 401);
    assert.equal(strange.headers.get('x-error-message'), 'Invalid credentials in Authorization header');
  });

  test('a token never reaches upstream', async () => {
    await hub.commit('org/fresh', { 'x.txt': 'x', 'y.bin': 'y' });
    const headers = { authorization: 'Bearer hf_secretsecretsecretsecretsecretsecret', cookie: 'a=b' };
    for (const path of ['x.txt', 'y.bin'])
      await (await ask(`/org/fresh/resolve/main/${path}`, { headers })).arrayBuffer();
    assert.ok(hub.seen.some(({ server }) => server === 'cdn'));
    assert.ok(!JSON.stringify(hub.seen).includes('secretsecret'));
    assert.ok(hub.seen.every(({ headers }) => headers['cookie'] === undefined));
  });

  test('a namespace by prefix is asked for under its own name', async () => {
    assert.equal((await ask('/hf/team-a/org/m/resolve/main/config.json')).status, 200);
    assert.equal(house.questions.at(-1)?.namespace, 'team-a');
  });

  test('writing is refused', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await ask('/api/models/org/m/commit/main', { method });
      assert.equal(answer.status, 403, method);
      assert.equal(answer.headers.get('x-error-code'), 'request.forbidden');
    }
  });

  test('an upstream that lies is a refusal, one that is away a later', async () => {
    const cases = [
      ['wrong-bytes', 403, 'GatedRepo', 'upstream.lied'],
      ['status-500', 502, 'upstream.unavailable', 'upstream.unavailable'],
    ] as const;
    for (const [lie, status, header, code] of cases) {
      const id = `org/${lie}`;
      await hub.commit(id, { 'x.bin': 'some bytes' });
      hub.lie(id, lie, { path: 'x.bin' });
      const answer = await ask(`/${id}/resolve/main/x.bin`);
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('x-error-code'), header);
      assert.equal(((await answer.json()) as { code: string }).code, code);
    }
  });
});
