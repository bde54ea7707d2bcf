import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { faultSites } from '#lib/fault-point.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { writeLargeModel } from '../support/large-model.ts';
import { cleanEnvironment, removeFolder } from '../support/server.ts';

const MiB = 1024 * 1024;
const sizeBytes = 12 * MiB + 4097;
const nightly = process.env['WEIGHBRIDGE_NIGHTLY'] === '1';
const program = fileURLToPath(new URL('./fill-program.ts', import.meta.url));

/** Where the process dies: at the n-th passing of a write. */
interface Kill {
  readonly site: string;
  readonly moment: 'before' | 'after';
  readonly passing: number;
}

interface Run {
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

function run(words: readonly string[], environment: Readonly<Record<string, string>>): Promise<Run> {
  const child = spawn(process.execPath, [program, ...words], {
    env: { ...cleanEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.on('close', (_code, signal) => resolve({ signal, output })));
}

/** Evenly over all passings of a fill that was not disturbed. */
function planKills(trace: string, count: number): readonly Kill[] {
  const passed = trace.split('\n').filter((line) => line !== '');
  const seen = new Map<string, number>();
  const all = passed.map((line): Kill => {
    const passing = (seen.get(line) ?? 0) + 1;
    seen.set(line, passing);
    const [site = '', moment] = line.split(' ');
    return { site, moment: moment === 'after' ? 'after' : 'before', passing };
  });
  // Rare writes first, all of them; the many writes of bytes share what is left.
  const rare = all.filter(({ site }) => site !== 'partial.write');
  const common = all.filter(({ site }) => site === 'partial.write');
  const step = Math.max(1, Math.floor(common.length / Math.max(1, count - rare.length)));
  return [...rare, ...common.filter((_, index) => index % step === 0)].slice(0, count);
}

test('a fill killed at every write is continued: the blob is whole and nothing is left behind', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-fillkill-'));
  const hub = await openLoopbackHub();
  t.after(async () => {
    await hub.close();
    await removeFolder(folder);
  });
  const file = join(folder, 'model.safetensors');
  await writeLargeModel(file, sizeBytes);
  const digest = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  const commit = await hub.commit('org/filled', { 'model.safetensors': { file } });
  const words = (directory: string): readonly string[] => [
    directory,
    hub.url.href,
    commit,
    `sha256:${digest}`,
    String(sizeBytes),
  ];
  const traced = join(folder, 'trace');
  const calm = await run(words(join(folder, 'calm')), { WEIGHBRIDGE_FAULT_TRACE: traced });
  assert.equal(calm.output, 'filled\n');
  const kills = planKills(await readFile(traced, 'utf8'), nightly ? 1_000 : 150);
  assert.ok(kills.length >= (nightly ? 200 : 150), `${kills.length} kills`);
  for (const site of faultSites.filter((name) => name.startsWith('partial.')))
    assert.ok(
      kills.some((kill) => kill.site === site),
      `${site} is passed`,
    );

  let killed = 0;
  let number = 0;
  const waiting = kills.values();
  const lane = async (): Promise<void> => {
    for (const { site, moment, passing } of waiting) {
      const directory = join(folder, `store-${(number += 1)}`);
      const at = `${site}:${moment}:kill@${passing}`;
      const dead = await run(words(directory), { WEIGHBRIDGE_FAULT_AT: at });
      // The number of chunks differs from run to run: one that ended before its kill is no kill.
      if (dead.signal === 'SIGKILL') killed += 1;
      else assert.equal(dead.output, 'filled\n', at);
      const again = await run(words(directory), {});
      assert.equal(again.output, 'filled\n', `after ${at}: ${again.output}`);
      const blob = join(directory, 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest);
      assert.equal(
        createHash('sha256')
          .update(await readFile(blob))
          .digest('hex'),
        digest,
        at,
      );
      const left = [
        ...(await readdir(join(directory, 'partial'))),
        ...(await readdir(join(directory, 'tmp'))),
      ];
      assert.deepEqual(
        left.filter((name) => !name.endsWith('.new')),
        [],
        at,
      );
      await removeFolder(directory);
    }
  };
  await Promise.all([lane(), lane()]);
  t.diagnostic(`${killed} kills`);
  assert.ok(killed >= kills.length - 15, `only ${killed} of ${kills.length} were kills`);
});
