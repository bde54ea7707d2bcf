import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memorySource, readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import { pseudoPython } from '#artifact/formats/pickle/pseudo-python.ts';
import { readPyTorch } from '#artifact/formats/pytorch/read-pytorch.ts';
import { limits } from '#lib/limits.ts';
import { judgePyTorch } from '#producers/scan/pickle/judge-pytorch.ts';
import { judgePickle } from '#producers/scan/pickle/judge.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { buildZip } from '../support/zip-builder.ts';
import { generateStream, type Random, seeded } from './pickle-generator.ts';

const rounds = Number(process.env['WEIGHBRIDGE_FUZZ_STREAMS'] ?? 50_000) / 25;
const seed = Number(process.env['WEIGHBRIDGE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(copy.length);
    copy[at] = random.chance(0.5) ? random.below(256) : (copy[random.below(copy.length)] ?? 0);
    if (random.chance(0.2)) copy.copyWithin(at, random.below(copy.length), random.below(copy.length));
  }
  return random.chance(0.2) ? copy.subarray(0, random.below(copy.length)) : copy;
}

test('mutated torch files are answered', async (t) => {
  t.diagnostic(`seed ${seed}, ${rounds} files`);
  const random = seeded(seed);
  for (let round = 0; round < rounds; round++) {
    const body = random.chance(0.5)
      ? generateStream(random)
      : pickle(called(named('os', 'system'), text('id')));
    const whole = buildZip([
      { name: 'm/data.pkl', bytes: body, deflate: random.chance(0.3) },
      { name: 'm/data/0', bytes: Buffer.alloc(64, 1) },
      { name: 'm/version', bytes: Buffer.from('3\n') },
    ]);
    const reading = await readPyTorch(memorySource(mutated(random, whole)));
    if (reading !== undefined) assert.ok(judgePyTorch(reading).length <= 3 * limits.findingsPerFile);
  }
});

test('random bytes are answered and their reconstruction is printable', async (t) => {
  t.diagnostic(`seed ${seed}, ${rounds} files`);
  const random = seeded(seed + 1);
  for (let round = 0; round < rounds; round++) {
    const bytes = Uint8Array.from({ length: random.below(400) }, () => random.below(160));
    const reading = await readPickle(
      memorySource(
        random.chance(0.5)
          ? bytes
          : mutated(random, generateStream(random).length > 0 ? generateStream(random) : pickle('N')),
      ),
    );
    judgePickle(reading);
    assert.doesNotMatch(pseudoPython(reading), /[\x00-\x09\x0b-\x1f\x7f]/);
  }
});
