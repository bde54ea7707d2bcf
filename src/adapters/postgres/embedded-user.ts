import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, lchownSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { Fault } from '#lib/fault.ts';

/**
 * How PostgreSQL, which refuses to run as root, is started. `command` comes before the program; `uid` is the owner that
 * its files must have on disk, undefined where they belong to whoever runs us.
 */
export interface Launch {
  readonly kind: 'same-user' | 'user-namespace' | 'other-user';
  readonly command: readonly string[];
  readonly uid: number | undefined;
}

/** The number that PostgreSQL runs under where user namespaces are forbidden. It needs no entry in /etc/passwd. */
export const fallbackUid = 27_080;

/**
 * Chooses the launch: an ordinary user as is; root in a user namespace where its own uid appears as 1000 (files keep
 * their owner, every directory of root can be entered); where namespaces are forbidden, another uid. With `setpriv`
 * present PostgreSQL is told to stop when its parent dies. Fault `platform.unsupported` where nothing is possible.
 */
export function chooseLaunch(wanted?: Launch['kind']): Launch {
  const root = process.getuid?.() === 0;
  const setpriv = findProgram('setpriv');
  const dieWithParent = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'INT', '--'];
  if (!root) return { kind: 'same-user', command: dieWithParent, uid: undefined };
  const unshare = findProgram('unshare');
  if (unshare !== undefined && wanted !== 'other-user') {
    const command = [unshare, '--user', '--map-user=1000', '--map-group=1000', ...dieWithParent];
    if (runs(command, [process.execPath, '--version'])) return { kind: 'user-namespace', command, uid: 0 };
  }
  if (setpriv === undefined) throw refusedRoot();
  return { kind: 'other-user', command: becomeUser(setpriv, fallbackUid), uid: fallbackUid };
}

function becomeUser(setpriv: string, uid: number): readonly string[] {
  return [setpriv, `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--pdeathsig', 'INT', '--'];
}

/** initdb, unlike the server, looks its user up by name: for another user it runs as one that /etc/passwd knows. */
export function launchForInitdb(launch: Launch): Launch {
  if (launch.kind !== 'other-user') return launch;
  const known = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, , uid]) => uid !== undefined && /^[1-9][0-9]*$/.test(uid));
  const row = known.find(([name]) => name === 'nobody') ?? known[0];
  if (row === undefined) throw refusedRoot();
  const uid = Number(row[2]);
  const command = launch.command.map((word) => word.replace(/^--re([ug])id=\d+$/, `--re$1id=${uid}`));
  return { ...launch, command, uid };
}

/**
 * The launch with a capability that lets another uid pass directories of root, which stay as they are: the one that
 * only reads where we have it, else the one that containers leave to root. The launch itself where we have neither.
 */
export function withCapability(launch: Launch): Launch {
  for (const capability of ['dac_read_search', 'dac_override']) {
    const words = [`--inh-caps=+${capability}`, `--ambient-caps=+${capability}`];
    const able = { ...launch, command: [...launch.command.slice(0, -1), ...words, '--'] };
    if (runs(able.command, [process.execPath, '--version']) || runs(able.command, ['/bin/true'])) return able;
  }
  return launch;
}

/** Does a program run to success under this launch? */
export function runs(command: readonly string[], program: readonly string[], libraryPath = ''): boolean {
  const [file, ...args] = [...command, ...program];
  if (file === undefined) return false;
  const result = spawnSync(file, args, {
    stdio: 'ignore',
    timeout: 10_000,
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', ...(libraryPath === '' ? {} : { LD_LIBRARY_PATH: libraryPath }) },
  });
  return result.status === 0;
}

/** Can a uid that owns nothing on the way pass every directory down to `path`? */
export function canEnter(path: string): boolean {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return false;
    if (directory === dirname(directory)) return true;
  }
}

/**
 * Gives a tree to `uid` unless its top has that owner already; the top comes last, so that a change that was cut short
 * is done again. Only root can; for others `uid` is undefined.
 */
export function giveTree(path: string, uid: number | undefined): void {
  if (uid === undefined || !existsSync(path) || lstatSync(path).uid === uid) return;
  giveBelow(path, uid);
  giveTop(path, uid);
}

export function giveTop(path: string, uid: number | undefined): void {
  if (uid !== undefined) chownSync(path, uid, uid);
}

function giveBelow(path: string, uid: number): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) giveBelow(child, uid);
    lchownSync(child, uid, uid);
  }
}

export function refusedRoot(): Fault {
  return new Fault(
    'platform.unsupported',
    'PostgreSQL does not run as root, and no other user could be taken',
    {
      hint: 'start as an ordinary user, allow user namespaces (`unshare --user`), install `setpriv`, or set `database`',
    },
  );
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/local/bin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}
