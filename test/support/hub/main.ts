import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openLoopbackHub } from './hub.ts';

/** `node test/support/hub/main.ts --root DIR --port N`: every `DIR/<org>/<name>` is a model repository. */
const { values } = parseArgs({
  options: { root: { type: 'string' }, port: { type: 'string', default: '0' } },
});
if (values.root === undefined) throw new Error('--root is missing: a folder of <org>/<name> folders');
const hub = await openLoopbackHub({ port: Number(values.port) });
for (const prefix of ['', 'datasets', 'spaces']) {
  for (const organisation of await folders(join(values.root, prefix))) {
    if (prefix === '' && (organisation === 'datasets' || organisation === 'spaces')) continue;
    for (const name of await folders(join(values.root, prefix, organisation))) {
      const id = join(prefix, organisation, name);
      console.log(`${id} ${await hub.commitFolder(id, join(values.root, id))}`);
    }
  }
}
console.log(`hub listens on ${hub.url.href}`);

async function folders(path: string): Promise<readonly string[]> {
  const items = await readdir(path, { withFileTypes: true }).catch(() => []);
  return items.filter((item) => item.isDirectory()).map(({ name }) => name);
}
