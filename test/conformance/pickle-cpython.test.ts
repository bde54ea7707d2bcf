import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { memorySource, readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import type { PickleReading } from '#artifact/formats/pickle/reading.ts';
import { judgePickle } from '#producers/scan/pickle/judge.ts';
import { reviewOf } from '#producers/scan/pickle/reviewed.ts';
import { generateStream, seeded } from '../fuzz/pickle-generator.ts';
import { have, missing } from '../support/foreign.ts';

const oracle = new URL('pickle-oracle.py', import.meta.url).pathname;

type Pair = readonly [module: string, name: string];
type Answer = readonly [c: readonly Pair[], buffered: readonly Pair[], python: readonly Pair[]];

/** Asks CPython about many streams, a batch ahead of the reading. */
async function* askCPython(streams: readonly Buffer[]): AsyncGenerator<Answer> {
  const child = spawn('python3', ['-I', '-W', 'ignore', oracle], { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout });
  const framed = streams.map((stream) => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(stream.length);
    return Buffer.concat([header, stream]);
  });
  child.stdin.end(Buffer.concat(framed));
  for await (const line of lines) yield JSON.parse(line) as Answer;
}

const keysOf = (pairs: readonly Pair[]): string =>
  pairs
    .filter(([module]) => module !== 'extension')
    .map(keyOf)
    .join();
const keyOf = ([module, name]: Pair): string => `${module}\n${name}`;

function missed(reading: PickleReading, answer: Answer): readonly string[] {
  const known = new Set(reading.imports.map(({ module, name }) => `${module}\n${name}`));
  const seen = new Set(answer.flat().map(keyOf));
  return [...seen].filter(
    (key) => !known.has(key) && !(reading.extensions.length > 0 && key.startsWith('extension\n')),
  );
}

/** An import that CPython reaches is reviewed, or there is a finding. */
function isJudged(reading: PickleReading, answer: Answer): boolean {
  if (judgePickle(reading).some(({ severity }) => severity === 'high' || severity === 'critical'))
    return true;
  return answer.flat().every(([module, name]) => reviewOf(module, name) !== undefined);
}

test('no import that CPython reaches is missed', { skip: missing('python3', have('python3')) }, async (t) => {
  const count = Number(process.env['WEIGHBRIDGE_FUZZ_STREAMS'] ?? 50_000);
  const seed = Number(process.env['WEIGHBRIDGE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
  t.diagnostic(`seed ${seed}, ${count} streams`);
  const random = seeded(seed);
  let reached = 0;
  let parted = 0;
  let unexplained = 0;
  for (let done = 0; done < count;) {
    const streams = Array.from({ length: Math.min(10_000, count - done) }, () => generateStream(random));
    let index = 0;
    for await (const answer of askCPython(streams)) {
      const stream = streams[index] ?? Buffer.alloc(0);
      const reading = await readPickle(memorySource(stream));
      assert.deepEqual(
        missed(reading, answer),
        [],
        `seed ${seed}, stream ${done + index}: ${stream.toString('base64')}`,
      );
      assert.ok(
        isJudged(reading, answer),
        `seed ${seed}, stream ${done + index}: ${stream.toString('base64')}`,
      );
      const [c, , python] = answer;
      reached += python.length;
      if (keysOf(c) !== keysOf(python)) {
        parted += 1;
        if (
          reading.divergences.length === 0 &&
          reading.streams.every(({ failure }) => failure === undefined)
        ) {
          unexplained += 1;
          if (process.env['WEIGHBRIDGE_FUZZ_SHOW'] !== undefined)
            console.error(stream.toString('base64'), JSON.stringify(answer));
        }
      }
      index += 1;
    }
    assert.equal(index, streams.length, `CPython answered every stream of seed ${seed}`);
    done += index;
  }
  t.diagnostic(
    `${reached} imports; C and Python parted on ${parted} streams, ${unexplained} of them not reported`,
  );
  assert.ok(reached > count / 4, 'the generator reaches imports');
});
