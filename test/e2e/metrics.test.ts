import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

let hub: LoopbackHub;
const large = randomBytes(24 * 1024 * 1024).toString('base64');
const started: TestServer[] = [];

before(async () => {
  hub = await openLoopbackHub();
  await hub.commit('org/large', { 'config.json': '{}', 'notes.txt': large });
  await hub.commit('org/bad', { 'evil.pkl': 'cos\nsystem\n(S"touch /tmp/owned"\ntR.' });
});
after(async () => {
  for (const server of started) {
    await server.kill();
    await removeFolder(server.data);
  }
  await hub.close();
});

async function start(): Promise<TestServer> {
  const server = await startTestServer({ upstream: hub.url });
  started.push(server);
  return server;
}

async function settled(url: string): Promise<Response> {
  for (;;) {
    const answer = await fetch(url);
    if (answer.status !== 503) return answer;
    await answer.arrayBuffer();
  }
}

const metric = (text: string, name: string): number => {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1));
};

test('health, readiness and metrics say what happened, without a token and without names from requests', async () => {
  const server = await start();
  const get = async (path: string) => {
    const answer = await fetch(`${server.console}${path}`);
    return {
      status: answer.status,
      type: answer.headers.get('content-type') ?? '',
      text: await answer.text(),
    };
  };
  assert.deepEqual([(await get('/healthz')).status, (await get('/readyz')).status], [200, 200]);
  const before = await get('/metrics');
  assert.match(before.type, /^text\/plain; version=0\.0\.4/);
  assert.equal((await settled(`${server.clients}/org/large/resolve/main/config.json`)).status, 200);
  const refused = await settled(`${server.clients}/org/bad/resolve/main/evil.pkl`);
  assert.equal(refused.status, 403);
  await refused.arrayBuffer();
  const { text } = await get('/metrics');
  assert.equal(metric(text, 'weighbridge_pulls_total{outcome="served"}'), 1);
  assert.equal(metric(text, 'weighbridge_pulls_total{outcome="refused"}'), 1);
  assert.equal(metric(text, 'weighbridge_pull_sent_bytes_total'), 2);
  assert.equal(metric(text, 'weighbridge_decisions_total{verdict="allow",action="pull"}'), 1);
  assert.equal(metric(text, 'weighbridge_decisions_total{verdict="deny",action="pull"}'), 1);
  assert.ok(metric(text, 'weighbridge_intake_seconds_count') >= 2);
  assert.ok(metric(text, 'weighbridge_log_entries') > metric(before.text, 'weighbridge_log_entries'));
  assert.equal(metric(text, 'weighbridge_policy_faults'), 0);
  assert.equal(metric(text, 'weighbridge_clock_behind_seconds'), 0);
  assert.doesNotMatch(text, /org\/|evil|config\.json|sha256:/);
  assert.equal(await server.stop(), 0);
});

interface Download {
  readonly answer: IncomingMessage;
  readonly done: Promise<{ readonly sizeBytes: number; readonly complete: boolean }>;
}

/** Begins a download and reads nothing of it until `read` resolves. */
async function beginDownload(server: TestServer, read: Promise<unknown>): Promise<Download> {
  const agent = new Agent({ keepAlive: true });
  const outgoing = request(`${server.clients}/org/large/resolve/main/notes.txt`, { agent });
  outgoing.end();
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  assert.equal(answer.statusCode, 200);
  const done = (async () => {
    await read;
    let sizeBytes = 0;
    try {
      for await (const chunk of answer) sizeBytes += (chunk as Buffer).length;
    } catch {
      return { sizeBytes, complete: false };
    }
    return { sizeBytes, complete: answer.complete };
  })();
  return { answer, done };
}

const refusedConnection = (url: string): Promise<boolean> =>
  fetch(url).then(
    async (answer) => (await answer.arrayBuffer(), false),
    () => true,
  );

test('SIGTERM finishes a download under way, takes no new connection and ends with 0', async () => {
  const server = await start();
  await (await settled(`${server.clients}/org/large/resolve/main/notes.txt`)).arrayBuffer();
  const gate = Promise.withResolvers<void>();
  const download = await beginDownload(server, gate.promise);
  const ended = server.stop();
  for (let tries = 0; !(await refusedConnection(`${server.clients}/api/models`)); tries += 1)
    assert.ok(tries < 100, 'new connections are still taken');
  assert.ok(await refusedConnection(`${server.console}/healthz`));
  const begun = performance.now();
  gate.resolve();
  assert.deepEqual(await download.done, { sizeBytes: large.length, complete: true });
  assert.equal(await ended, 0);
  // The kept-alive connection of the client does not hold the process.
  assert.ok(
    performance.now() - begun < 10_000,
    `${performance.now() - begun} ms after the last byte was asked for`,
  );
});

test('a second signal ends at once', async () => {
  const server = await start();
  await (await settled(`${server.clients}/org/large/resolve/main/notes.txt`)).arrayBuffer();
  const download = await beginDownload(server, new Promise(() => {}));
  const ended = server.stop();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(server.process.exitCode, null);
  const begun = performance.now();
  server.process.kill('SIGTERM');
  assert.equal(await ended, 1);
  assert.ok(performance.now() - begun < 2_000);
  download.answer.destroy();
  const again = await startTestServer({ upstream: hub.url, data: server.data });
  assert.equal(await again.stop(), 0);
});
