import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { openDemoHub } from './hub.ts';
import { openNarration } from './narration.ts';
import { walk } from './tour.ts';

test('where no gate stands in front of the hub, no step goes as expected', async (t) => {
  const hub = await openDemoHub();
  const folder = await mkdtemp(join(tmpdir(), 'tour-'));
  t.after(async () => {
    await hub.close();
    await rm(folder, { recursive: true, force: true });
  });
  let said = '';
  const narration = openNarration(async (text) => void (said += text), false);
  const walked = await walk({
    hub,
    endpoint: hub.url.origin,
    data: folder,
    blobs: folder,
    folder,
    narration,
    signal: t.signal,
    seed: 1,
    call: () => Promise.resolve({ items: [] }),
  });
  assert.deepEqual(walked, { expected: 0, steps: 4 });
  assert.equal(said.match(/NOT AS EXPECTED/g)?.length, 4);
  assert.doesNotMatch(said, /\u001b/);
});

test('colour is only colour', async () => {
  const tell = async (colour: boolean): Promise<string> => {
    let said = '';
    const narration = openNarration(async (text) => void (said += text), colour);
    await narration.title('title');
    await narration.tell('word '.repeat(50).trim());
    await narration.row('label', 'a', 'b');
    await narration.quote('said');
    await narration.verdict(true, 'good');
    await narration.verdict(false, 'bad');
    return said;
  };
  const [plain, coloured] = [await tell(false), await tell(true)];
  assert.notEqual(coloured, plain);
  assert.equal(coloured.replaceAll(/\u001b\[\d+m/g, ''), plain);
  for (const line of plain.split('\n')) assert.ok(line.length <= 100, line);
});
