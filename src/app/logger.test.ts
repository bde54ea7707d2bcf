import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

/** The logger writes to standard error of its process, so it is watched from outside. */
function logOf(script: string): string {
  const preamble = [
    `import { makeLogger } from '#app/logger.ts';`,
    `import { makeMetrics } from '#app/metrics.ts';`,
    `import { makeListener } from '#app/server.ts';`,
    `import { Fault } from '#lib/fault.ts';`,
    `import { Redacted } from '#lib/redacted.ts';`,
  ];
  const { stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module-typescript', '-e', [...preamble, script].join('\n')],
    {
      cwd: fileURLToPath(new URL('../../', import.meta.url)),
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stderr);
  return stderr;
}

const request = `
const app = makeListener('clients', makeLogger('debug'), makeMetrics());
app.get('/ok', async (request) => { PLANT; return {}; });
app.get('/broken', async () => { throw new Fault('database.unavailable', 'away', { cause: new Error('cause') }); });
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address();
const headers = { authorization: 'Bearer hf_planted_secret', cookie: 'planted_cookie', 'x-hf-token': 'planted_header' };
for (const path of ['/ok?token=planted_query', '/broken', '/nothing-here'])
  await fetch(\`http://127.0.0.1:\${port}\${path}\`, { headers });
await app.close();
`;

test('requests are logged without headers and query, whatever happens to them', () => {
  const output = logOf(request.replace('PLANT', `request.log.warn({ req: request }, 'planted on purpose')`));
  assert.match(output, /"url":"\/ok"/);
  assert.match(output, /"status":500/);
  assert.match(output, /planted on purpose/);
  assert.doesNotMatch(output, /planted_|hf_/);
  for (const line of output.trim().split('\n')) JSON.parse(line);
});

test('the check sees a token that is written on purpose', () => {
  assert.match(
    logOf(request.replace('PLANT', 'request.log.warn(request.headers.authorization)')),
    /planted_secret/,
  );
});

test('redacted values stay hidden, faults keep code and details, causes are cut', () => {
  const output = logOf(`
    const logger = makeLogger('info');
    const cause = new Error('x'.repeat(10000));
    logger.error({ fault: new Fault('disk.full', 'full', { details: { free: 1 } }), cause, token: new Redacted('planted_secret') }, 'failed');
    logger.info('line\\nbreak');
    logger.debug('not shown');
  `);
  const [first, second, third] = output.trim().split('\n');
  const parsed = JSON.parse(first ?? '') as {
    readonly fault: { readonly code: string };
    readonly cause: string;
  };
  assert.equal(parsed.fault.code, 'disk.full');
  assert.ok(parsed.cause.length <= 4000);
  assert.doesNotMatch(output, /planted/);
  assert.match(second ?? '', /line\\nbreak/);
  assert.equal(third, undefined);
});
