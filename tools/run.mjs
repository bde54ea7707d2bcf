// Entry of every npm script. Runs on any Node >= 20: installs what is missing, then goes on with the pinned Node.
import { createRequire } from 'node:module';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const { become, installMissing, pinnedNode } = createRequire(import.meta.url)('../bin/launch.js');
const [task = '', ...rest] = process.argv.slice(2);

const tasks = {
  check: async () => (await import('./suite.ts')).check(),
  unit: async () => (await import('./suite.ts')).unit(rest),
  test: async () => (await import('./suite.ts')).gate(rest),
  nightly: async () => (await import('./suite.ts')).nightly(rest),
  bench: async () => (await import('./bench.ts')).bench(rest),
  build: async () => (await import('./build.ts')).build(),
};

if (!Object.hasOwn(tasks, task)) {
  process.stderr.write(`usage: node tools/run.mjs ${Object.keys(tasks).join('|')} [test file …]\n`);
  process.exit(1);
}
installMissing({ development: true });
const pinned = pinnedNode();
if (realpathSync(process.execPath) === realpathSync(pinned)) {
  process.exitCode = (await tasks[task]()) ? 0 : 1;
} else {
  become(pinned, [fileURLToPath(import.meta.url), task, ...rest]);
}
