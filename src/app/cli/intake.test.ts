import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanEnvironment } from '../../../test/support/server.ts';

const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'weighbridge');

test('whoever leaves an intake with Ctrl-C is told that the server goes on, and with what', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'weighbridge-intake-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  await mkdir(join(data, 'run'));
  const asked = Promise.withResolvers<undefined>();
  const server = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id: 'intake-7', state: 'running', progress: { bytes: 1, totalBytes: 2 } }));
    if (request.method === 'GET') asked.resolve(undefined);
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(join(data, 'run', 'weighbridge.sock'), resolve));
  const child = spawn(process.execPath, [program, 'intake', 'hf://org/name', '--data', data], {
    env: cleanEnvironment(),
  });
  t.after(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  await Promise.race([asked.promise, exited]);
  child.kill('SIGINT');
  assert.equal(await exited, 1, stderr);
  assert.match(stderr, /^the server goes on with intake intake-7; GET \/wb\/v1\/intakes\/intake-7 /m);
});
