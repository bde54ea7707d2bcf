import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { removeFolder, startTestServer } from '../support/server.ts';

const MiB = 1024 * 1024;
const callers = 1_000;
const boundBytes = 600 * MiB;
const model = safetensors({ w: tensor(0, 8 * MiB) }, 8 * MiB);

/** Largest resident set so far of the server, which is the launcher or the process that it started (Linux). */
function peakBytes(launcher: number): number {
  const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').trim().split(' ');
  const peaks = [launcher, ...children.filter((pid) => pid !== '')].map((pid) => {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1]) * 1024;
  });
  return Math.max(...peaks);
}

interface Caller {
  /** Resolves with the first bytes of the answer; nothing more is read then. */
  readonly begun: Promise<void>;
  /** Reads on, a little at a time, and resolves with the bytes of the whole answer. */
  finish(): Promise<number>;
  leave(): void;
}

function call(port: number, path: string, agent = 'another/1'): Caller {
  const socket = connect(port, '127.0.0.1');
  let received = 0;
  let head = '';
  let slowly = false;
  socket.on('data', (chunk: Buffer) => {
    if (received === 0) head = chunk.toString('latin1', 0, 20);
    received += chunk.length;
    socket.pause();
    if (slowly) setTimeout(() => socket.resume(), 20);
  });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: ${agent}\r\nConnection: close\r\n\r\n`,
  );
  return {
    begun: once(socket, 'pause').then(() => assert.match(head, /^HTTP\/1\.1 (?:200|100)/)),
    finish: async () => {
      slowly = true;
      socket.resume();
      await once(socket, 'end');
      return received;
    },
    leave: () => socket.destroy(),
  };
}

test('1 000 slow callers are served at the same time in less than 600 MB', async () => {
  const hub = await openLoopbackHub();
  await hub.commit('org/m', { 'config.json': '{"model_type":"bert"}', 'model.safetensors': model });
  const server = await startTestServer({ upstream: hub.url });
  const all: Caller[] = [];
  try {
    const path = '/org/m/resolve/main/model.safetensors';
    for (let status = 503; status !== 200;) {
      const answer = await fetch(`${server.clients}${path}`, { method: 'HEAD' });
      status = answer.status;
      assert.ok(status === 200 || status === 503, `${status}`);
    }
    const port = Number(new URL(server.clients).port);
    for (let count = 0; count < callers; count += 1) all.push(call(port, path));
    await Promise.all(all.map(({ begun }) => begun));
    await pause(1_000);
    const whileStalled = peakBytes(server.process.pid ?? 0);
    const received = await Promise.all(all.map((caller) => caller.finish()));
    assert.ok(received.every((bytes) => bytes > model.length && bytes < model.length + 2_000));
    const peak = peakBytes(server.process.pid ?? 0);
    assert.ok(whileStalled > 50 * MiB, 'the process that is measured is not the server');
    assert.ok(peak < boundBytes, `${whileStalled} bytes while stalled, ${peak} at the end`);
  } finally {
    for (const caller of all) caller.leave();
    await server.kill();
    await removeFolder(server.data);
    await hub.close();
  }
});

test('1 000 cold callers of one file are served from one body while it is weighed, in less than 600 MB', async (t) => {
  const hub = await openLoopbackHub();
  const cold = safetensors({ w: tensor(0, 24 * MiB) }, 24 * MiB);
  const commit = await hub.commit('org/cold', { 'config.json': '{}', 'model.safetensors': cold });
  const server = await startTestServer({ upstream: hub.url });
  const all: Caller[] = [];
  try {
    const port = Number(new URL(server.clients).port);
    const path = `/org/cold/resolve/${commit}/model.safetensors`;
    for (let count = 0; count < callers; count += 1)
      all.push(call(port, path, 'unknown/None; hf_hub/1.33.0'));
    await Promise.all(all.map(({ begun }) => begun));
    const received = await Promise.all(all.map((caller) => caller.finish()));
    const short = received.filter((bytes) => bytes < cold.length);
    assert.equal(short.length, 0, `${short.length} were cut off, at ${short.slice(0, 5).join()}`);
    const peak = peakBytes(server.process.pid ?? 0);
    t.diagnostic(`peak ${Math.round(peak / MiB)} MiB`);
    assert.ok(peak < boundBytes, `${peak} bytes`);
    const bodies = hub.seen.filter((seen) => seen.server === 'cdn' && seen.method === 'GET');
    assert.equal(bodies.filter(({ headers }) => headers.range === undefined).length, 1);
  } finally {
    for (const caller of all) caller.leave();
    await server.kill();
    await removeFolder(server.data);
    await hub.close();
  }
});
