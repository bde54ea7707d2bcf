import { fileURLToPath } from 'node:url';
import { sandboxPlaces } from '#producers/sandbox/runner-port.ts';
import { Fault } from '#lib/fault.ts';
import { limited, type Scene } from './enclosure.ts';

const script = fileURLToPath(new URL('./enter.sh', import.meta.url));

/** The scene as `enter.sh` reads it. Fault `path.invalid` for a path that its lines cannot carry. */
export function sceneText({ shown, links }: Scene): string {
  const lines = [
    ...sandboxPlaces.scratch.map((place) => ['scratch', place]),
    ...links.map(([name, target]) => ['link', target, name]),
    ...shown.map(({ from, to }) => ['show', from, to]),
  ];
  for (const word of lines.flat()) {
    if (/[\t\n\r\\]/.test(word))
      throw new Fault('path.invalid', `\`${word}\` cannot be shown in a sandbox without bubblewrap`);
  }
  return lines.map((line) => `${line.join('\t')}\n`).join('');
}

/** The same sandbox with programs of util-linux only. `root` is an empty directory, `sceneFile` holds `sceneText`. */
export function unshareCommand(
  scene: Scene,
  place: { readonly root: string; readonly sceneFile: string },
): readonly string[] {
  return [
    '/usr/bin/setpriv',
    '--pdeathsig',
    'KILL',
    '--',
    '/usr/bin/env',
    '-i',
    ...Object.entries(scene.environment).map(([name, value]) => `${name}=${value}`),
    '/usr/bin/unshare',
    '--user',
    '--map-root-user',
    '--mount',
    '--pid',
    '--net',
    '--ipc',
    '--uts',
    '--cgroup',
    '--fork',
    '--kill-child=KILL',
    '--',
    '/bin/sh',
    script,
    place.root,
    String(scene.limits.scratchMB * 1024 * 1024),
    place.sceneFile,
    ...limited(scene.limits, scene.command),
  ];
}
