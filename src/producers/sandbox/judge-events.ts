import { printable } from '#lib/printable.ts';
import { sandboxPlaces, type SandboxEvent } from './runner-port.ts';

/** `act`: no clean load does this. `note`: worth knowing, and clean loads do it (writing into a scratch place). */
export interface Deed {
  readonly grade: 'act' | 'note';
  readonly kind:
    | 'started'
    | 'forked'
    | 'opened'
    | 'wrote'
    | 'network'
    | 'changed'
    | 'reached'
    | 'died'
    | 'unreadable';
  /** In words: ``started `/bin/sh -c id` ``. Lower case, no full stop, no path of the machine that ran it. */
  readonly words: string;
}

const shownLength = 300;
const shown = (text: string): string => `\`${printable(text, shownLength)}\``;

/** System code and what interpreters and tensor libraries ask of the system; reading it tells nothing about anybody. */
const read = [
  /^\/(?:usr|lib|lib64|lib32|bin|sbin)(?:\/|$)/,
  /^\/(?:artifact|weighbridge)(?:\/|$)/,
  /^\/etc\/(?:ld\.so\.cache|ld\.so\.preload|localtime|timezone|alternatives\/.*|nsswitch\.conf|mime\.types|apache2?\/mime\.types|httpd\/.*mime\.types)$/,
  /^\/dev\/(?:null|zero|full|random|urandom|shm)$/,
  /^\/proc\/(?:cpuinfo|meminfo|stat|version|filesystems|loadavg|uptime|mounts)$/,
  /^\/proc\/sys\/(?:vm|kernel)\/[a-z_]+$/,
  /^\/proc\/(?:self|thread-self|\d+)\/(?:task\/\d+\/)?(?:maps|status|statm|stat|cgroup|mountinfo|mounts|fd|auxv|limits|smaps|exe|cmdline|comm)$/,
  /^\/proc\/(?:self|\d+)\/(?:task|fd)(?:\/\d+)?$/,
  /^\/sys\/(?:devices\/system\/(?:cpu|node)|fs\/cgroup|kernel\/mm|class\/kfd|bus\/pci)(?:\/|$)/,
];
const unreachable = new Set(['EROFS', 'EACCES', 'EPERM', 'ETXTBSY', 'EXDEV']);

const isScratch = (path: string): boolean =>
  sandboxPlaces.scratch.some((place) => path === place || path.startsWith(`${place}/`));

/**
 * What an event after the beginning of the load means; undefined for what every clean load does. `roots` are the
 * directories of the interpreter, which are read all the time and named `python:` in words.
 */
export function judgeEvent(event: SandboxEvent, roots: readonly string[]): Deed | undefined {
  const named = (path: string): string => withoutRoots(path, roots);
  const tried = event.failed === undefined ? '' : 'tried to ';
  switch (event.kind) {
    case 'exec': {
      // A shell looks for a program in each directory of its path: what it did not find it did not start.
      const verb = event.failed === undefined ? 'started' : 'tried to start';
      const command = [event.path, ...event.words.slice(1)].join(' ');
      return { grade: 'act', kind: 'started', words: `${verb} ${shown(named(command))}` };
    }
    case 'process':
      return { grade: 'act', kind: 'forked', words: 'started a process' };
    case 'open':
      return judgeOpen(event, roots);
    case 'network': {
      const [verb, past] = event.call === 'bind' ? ['bind', 'bound'] : ['use', 'used'];
      const what =
        event.call === 'socket' ? `a socket ${shown(event.address)}` : `the network: ${shown(event.address)}`;
      return {
        grade: 'act',
        kind: 'network',
        words: `${tried}${event.failed === undefined ? past : verb} ${what}`,
      };
    }
    case 'change': {
      const paths = event.paths.map(named);
      const outside = event.failed !== undefined && unreachable.has(event.failed);
      const absolute = paths.some((path) => path.startsWith('/') && !isScratch(path));
      const grade = outside || (absolute && event.failed === undefined) ? 'act' : 'note';
      return { grade, kind: 'changed', words: `${tried}${event.call} ${paths.map(shown).join(' ')}` };
    }
    case 'reach':
      return { grade: 'act', kind: 'reached', words: `called ${shown(event.call)}, which no loader needs` };
    case 'signal':
      return { grade: 'note', kind: 'died', words: `ended by ${printable(event.signal)}` };
    case 'unreadable':
      return { grade: 'note', kind: 'unreadable', words: 'a line of the trace could not be read' };
  }
}

function judgeOpen(event: SandboxEvent & { kind: 'open' }, roots: readonly string[]): Deed | undefined {
  const path = event.opened ?? event.path;
  if (path.startsWith(sandboxPlaces.phases)) return undefined;
  const words = shown(withoutRoots(path, roots));
  if (event.write) {
    if (/^\/dev\/(?:null|zero|full)$/.test(path) || path.startsWith('/memfd:')) return undefined;
    if (isScratch(path)) return { grade: 'note', kind: 'wrote', words: `wrote ${words}` };
    const relative = !path.startsWith('/') && !unreachable.has(event.failed ?? '');
    return {
      grade: relative ? 'note' : 'act',
      kind: 'wrote',
      words: `${event.failed === undefined ? 'wrote' : 'tried to write'} ${words}`,
    };
  }
  // Both what was asked for and where it led have to be expected: a link is no way around.
  const both = event.opened === undefined ? [event.path] : [event.path, event.opened];
  if (both.every((one) => isExpectedRead(one, roots))) return undefined;
  const verb = event.failed === undefined ? 'opened' : 'tried to open';
  return { grade: 'act', kind: 'opened', words: `${verb} ${words}` };
}

function isExpectedRead(path: string, roots: readonly string[]): boolean {
  if (path === '/' || !path.startsWith('/') || isScratch(path)) return true;
  if (roots.some((root) => path === root || path.startsWith(`${root}/`) || root.startsWith(`${path}/`)))
    return true;
  return read.some((pattern) => pattern.test(path));
}

/** Text in which the interpreter's directories are called `python:`, so that evidence names no path of this machine. */
export function withoutRoots(text: string, roots: readonly string[]): string {
  return roots.reduce((shorter, root) => shorter.replaceAll(root, 'python:'), text);
}
