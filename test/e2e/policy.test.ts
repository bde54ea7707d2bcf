import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

let hub: LoopbackHub;
let server: TestServer;

before(async () => {
  hub = await openLoopbackHub();
  await hub.commit('org/plain', { 'config.json': '{"model_type":"bert"}', 'README.md': '# plain\n' });
  server = await startTestServer({ upstream: hub.url });
});

after(async () => {
  await server.stop();
  await hub.close();
  await removeFolder(server.data);
});

const pull = (): Promise<Response> => fetch(`${server.clients}/org/plain/resolve/main/config.json`);

/** Asks until the answer has this status and says what is wanted (a deny of what was allowed before is a 404, which overrides clients' caches); gives the answer and how long it took. */
async function within(
  seconds: number,
  status: number,
  wanted = /^/,
): Promise<{ readonly message: string; readonly ms: number }> {
  const begun = performance.now();
  for (;;) {
    const answer = await pull();
    const message = answer.headers.get('x-error-message') ?? '';
    await answer.arrayBuffer();
    const ms = performance.now() - begun;
    if (answer.status === status && wanted.test(message)) return { message, ms };
    assert.ok(ms < seconds * 1000, `still ${answer.status} after ${seconds} s: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('editing a policy file changes the next pull within 2 s without a restart, in both directions', async () => {
  await within(20, 200);
  const path = join(server.data, 'policies', 'house.yaml');
  await writeFile(
    path,
    [
      'apiVersion: weighbridge.dev/policy/v1',
      'name: house',
      'description: nothing leaves today',
      'rules:',
      '  - id: closed',
      '    effect: deny',
      '    description: the port is closed',
      '    require: "false"',
      '    message: the port is closed today',
      '    who: the harbour master',
      '    remedy: come back tomorrow',
      '',
    ].join('\n'),
  );
  const closed = await within(2, 404);
  assert.match(closed.message, /house\.closed.*the port is closed today/);
  await writeFile(path, (await readFile(path, 'utf8')).replace('"false"', '"true"'));
  await within(2, 200);
});

test('a broken rule denies with the error as its reason', async () => {
  const path = join(server.data, 'policies', 'house.yaml');
  const sound = await readFile(path, 'utf8');
  await writeFile(path, sound.replace('"true"', '"1 / 0 == 1"'));
  const broken = await within(2, 404);
  assert.match(broken.message, /house\.closed/);
  assert.match(broken.message, /divi/);
  await writeFile(path, `${sound}\n  - : {`);
  // The answer before was a 404, too: only its words say that the new edit is in force.
  await within(2, 404, /evaluation\.policy-invalid.*house/);
  const doctor = await runWeighbridge(['doctor', '--data', server.data]);
  assert.equal(doctor.code, 2);
  assert.match(doctor.stdout, /FAIL {2}policies/);
  await writeFile(path, sound);
  await within(2, 200);
});
