import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

const MiB = 1024 * 1024;
const nightly = process.env['WEIGHBRIDGE_NIGHTLY'] === '1';
/** `WEIGHBRIDGE_SOAK_SECONDS` is for somebody who looks for a leak. */
const seconds = Number(process.env['WEIGHBRIDGE_SOAK_SECONDS'] ?? (nightly ? 1800 : 30));
const lanes = 12;
const agent = 'unknown/None; hf_hub/1.33.0; python/3.11';

/** A safetensors file of one tensor with bytes of its own. */
function tensors(dataBytes: number): Buffer {
  const header = JSON.stringify({ w: { dtype: 'U8', shape: [dataBytes], data_offsets: [0, dataBytes] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), randomBytes(dataBytes)]);
}

interface Answer {
  readonly status: number;
  readonly bodyBytes: number;
  /** Why, where the server says no. */
  readonly words: string;
}

function ask(
  url: string,
  options: { method?: string; range?: string; leaveAfter?: number } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { 'user-agent': agent };
    if (options.range !== undefined) headers['range'] = options.range;
    const request = get(url, { method: options.method ?? 'GET', headers, agent: false }, (response) => {
      let bodyBytes = 0;
      const status = response.statusCode ?? 0;
      const words = String(response.headers['x-error-message'] ?? '');
      response.on('data', (chunk: Buffer) => {
        bodyBytes += chunk.length;
        if (options.leaveAfter !== undefined && bodyBytes >= options.leaveAfter) {
          response.destroy();
          resolve({ status, bodyBytes, words });
        }
      });
      response.on('end', () => resolve({ status, bodyBytes, words }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.setTimeout(60_000, () => request.destroy(new Error('no byte for 60 s')));
  });
}

async function residentBytes(server: TestServer): Promise<number> {
  const status = await readFile(`/proc/${server.process.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** What one lane does next: every kind of request a server sees on a day, warm and cold, finished and left. */
async function act(hub: LoopbackHub, base: string, turn: number, kept: Buffer): Promise<string | undefined> {
  const warm = `${base}/org/warm/resolve/main/model.safetensors`;
  const expect = (answer: Answer, status: number, bodyBytes?: number): string | undefined =>
    answer.status === status && (bodyBytes === undefined || answer.bodyBytes === bodyBytes)
      ? undefined
      : `turn ${turn}: ${answer.status} with ${answer.bodyBytes} bytes instead of ${status} with ${bodyBytes}: ${answer.words}`;
  switch (turn % 10) {
    case 0: {
      const bytes = tensors(turn % 100 === 0 ? 24 * MiB : 256 * 1024);
      const commit = await hub.commit(`org/cold-${turn % 400}`, {
        'model.safetensors': bytes,
        'config.json': '{}',
      });
      const url = `${base}/org/cold-${turn % 400}/resolve/${commit}/model.safetensors`;
      const [first, second] = await Promise.all([ask(url), ask(url, { leaveAfter: 1 })]);
      // The hub of the test would keep them all in memory.
      if (turn % 400 !== 0) hub.forget(`org/cold-${turn % 400}`);
      return expect(first, 200, bytes.length) ?? expect(second, 200);
    }
    case 1:
      return expect(await ask(`${base}/org/refused/resolve/main/payload.pkl`), 403);
    case 2:
      return expect(await ask(`${base}/api/models/org/warm/revision/main`), 200);
    case 3:
      return expect(await ask(`${base}/api/models/org/warm/tree/main?recursive=true`), 200);
    case 4:
      return expect(await ask(warm, { range: 'bytes=1000-5000' }), 206, 4001);
    case 5:
      return expect(await ask(warm, { leaveAfter: MiB }), 200);
    case 6:
      return expect(await ask(`${base}/org/nobody-${turn % 50}/resolve/main/x`), 404);
    case 7:
      return expect(await ask(warm), 200, kept.length);
    default:
      return expect(await ask(warm, { method: 'HEAD' }), 200, 0);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

test(`${seconds} s of mixed load: no wrong answer, no error in the log, flat memory`, async (t) => {
  const hub = await openLoopbackHub();
  const kept = tensors(16 * MiB);
  await hub.commit('org/warm', { 'model.safetensors': kept, 'config.json': '{"model_type": "bert"}' });
  // protocol 0: os.system('true')
  await hub.commit('org/refused', { 'payload.pkl': "cos\nsystem\n(S'true'\ntR." });
  const server = await startTestServer({ upstream: hub.url });
  t.after(async () => {
    await hub.close();
    await removeFolder(server.data);
  });
  assert.equal((await ask(`${server.clients}/org/warm/resolve/main/model.safetensors`)).status, 200);
  const until = performance.now() + seconds * 1000;
  const wrong: string[] = [];
  const memory: number[] = [];
  let turn = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < until && wrong.length < 20) {
      turn += 1;
      const mine = turn;
      const words = await act(hub, server.clients, mine, kept).catch(
        (error: unknown) => `turn ${mine}: ${String(error)}`,
      );
      if (words !== undefined) wrong.push(words);
      if (hub.seen.length > 5_000) hub.forgetRequests();
    }
  };
  const watch = async (): Promise<void> => {
    while (performance.now() < until) {
      memory.push(await residentBytes(server));
      await sleep(Math.min(1000, seconds * 10));
    }
  };
  await Promise.all([watch(), ...Array.from({ length: lanes }, lane)]);
  assert.equal(await server.stop(), 0, server.output());

  const quarter = Math.floor(memory.length / 4);
  const [early, late] = [median(memory.slice(quarter, 2 * quarter)), median(memory.slice(3 * quarter))];
  t.diagnostic(`${turn} turns; memory ${Math.round(early / MiB)} → ${Math.round(late / MiB)} MiB`);
  assert.deepEqual(wrong, []);
  const errors = server
    .output()
    .split('\n')
    .filter((line) => /"level":(50|60)/.test(line));
  assert.deepEqual(errors, []);
  // Caches fill up to their bounds; what grows in half an hour by more than that is a leak.
  const room = nightly ? 48 * MiB : 160 * MiB;
  assert.ok(late - early < room, `memory grew from ${early} to ${late} bytes`);
});
