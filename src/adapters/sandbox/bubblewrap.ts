import { sandboxPlaces } from '#producers/sandbox/runner-port.ts';
import { limited, type Scene } from './enclosure.ts';

/**
 * The scene as arguments of bubblewrap: every namespace of its own, further user namespaces forbidden, no capability, a
 * session of its own, and nothing that can be written but the scratch places. `/proc` is read only, because the user
 * that root is outside may otherwise write to files there without any capability.
 */
export function bubblewrapCommand(program: string, scene: Scene): readonly string[] {
  const { shown, links, limits, environment } = scene;
  const scratch = sandboxPlaces.scratch.flatMap((place) => [
    '--size',
    String(limits.scratchMB * 1024 * 1024),
    '--tmpfs',
    place,
  ]);
  return [
    program,
    '--unshare-user',
    '--unshare-pid',
    '--unshare-net',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    '--disable-userns',
    '--uid',
    '1000',
    '--gid',
    '1000',
    '--hostname',
    'sandbox',
    '--cap-drop',
    'ALL',
    '--die-with-parent',
    '--new-session',
    '--clearenv',
    ...Object.entries(environment).flatMap(([name, value]) => ['--setenv', name, value]),
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    ...scratch,
    // An interpreter may lie below a scratch place of this machine: what is shown comes after.
    ...links.flatMap(([name, target]) => ['--symlink', target, name]),
    ...shown.flatMap(({ from, to }) => ['--ro-bind', from, to]),
    '--remount-ro',
    '/proc',
    '--remount-ro',
    '/dev',
    '--remount-ro',
    '/',
    '--chdir',
    '/tmp',
    '--',
    ...limited(limits, scene.command),
  ];
}
