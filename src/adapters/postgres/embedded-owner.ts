import {
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isErrno } from '#lib/fault.ts';

/** The directory of the embedded PostgreSQL belongs to one live process: its pid and when the kernel started it. */
const ownerFile = 'owner';

/** Fault `directory.in-use` while another live process owns the directory; a dead owner's claim is replaced. */
export function claimDirectory(directory: string): void {
  const path = join(directory, ownerFile);
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}`;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o600 });
      return;
    } catch (error) {
      if (!isErrno(error) || error.code !== 'EEXIST') throw error;
    }
    const claim = readText(path);
    if (claim !== undefined && claim !== mine && isAlive(claim)) {
      throw new Fault(
        'directory.in-use',
        `\`${directory}\` belongs to the running process ${claim.split(' ')[0] ?? ''}`,
        {
          hint: 'stop the other server, or give this one another data directory',
        },
      );
    }
    if (claim === mine)
      throw new Fault('directory.in-use', `\`${directory}\` is open in this process already`);
    takeDeadClaim(path, claim);
  }
  throw new Fault('directory.in-use', `\`${directory}\` is being taken by another process`);
}

/** Two starters may see the same dead claim. What was renamed away is read again: a live claim is put back. */
function takeDeadClaim(path: string, claim: string | undefined): void {
  const taken = `${path}.${process.pid}`;
  try {
    renameSync(path, taken);
    if (readText(taken) !== claim) linkSync(taken, path);
    rmSync(taken, { force: true });
  } catch (error) {
    if (!isErrno(error) || (error.code !== 'ENOENT' && error.code !== 'EEXIST')) throw error;
  }
}

export function releaseDirectory(directory: string): void {
  rmSync(join(directory, ownerFile), { force: true });
}

/**
 * Stops what outlived its server (`kill -9` without `setpriv`): the PostgreSQL of this cluster, then sessions that
 * outlived that one. Fast shutdown first, then immediate, which is safe: the write-ahead log is replayed. Whose pid the
 * lock file names does not matter, only who works in the cluster: after a restart of the machine the pid may be a
 * stranger's, which would keep PostgreSQL from starting, so a lock file without a live holder is removed.
 */
export async function stopOrphan(cluster: string): Promise<void> {
  const lock = join(cluster, 'postmaster.pid');
  const recorded = Number(readText(lock)?.split('\n')[0]);
  if (Number.isNaN(recorded)) return;
  if (recorded > 1 && runsCluster(recorded, cluster))
    await stopProcess(recorded, cluster, ['SIGINT', 'SIGQUIT', 'SIGKILL']);
  for (const pid of processesOf(cluster)) await stopProcess(pid, cluster, ['SIGQUIT', 'SIGKILL']);
  rmSync(lock, { force: true });
}

async function stopProcess(pid: number, cluster: string, signals: readonly NodeJS.Signals[]): Promise<void> {
  for (const signal of signals) {
    if (!runsCluster(pid, cluster)) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!isErrno(error) || error.code !== 'ESRCH') throw error;
    }
    if (await until(() => !runsCluster(pid, cluster), 6_000)) return;
  }
  throw new Fault('directory.in-use', `an earlier PostgreSQL (process ${pid}) does not stop`);
}

function processesOf(cluster: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[1-9][0-9]*$/.test(name))
    .map(Number)
    .filter((pid) => runsCluster(pid, cluster));
}

/** A process of PostgreSQL works in its cluster (its title names no path once it is a session). */
function runsCluster(pid: number, cluster: string): boolean {
  try {
    const [title = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return (
      (title.endsWith('/postgres') || title.startsWith('postgres:')) &&
      readlinkSync(`/proc/${pid}/cwd`) === cluster
    );
  } catch {
    return false;
  }
}

/** Polls until `condition` holds or the time is over; says whether it held. */
export async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) return false;
    await sleep(5);
  }
  return true;
}

function isAlive(claim: string): boolean {
  const [pid, start] = claim.split(' ');
  const running = startOf(Number(pid));
  return running !== undefined && running === start;
}

/** Start time in clock ticks since boot (proc(5), field 22 of stat); undefined for a process that is gone. */
function startOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? undefined : fields?.[19];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error)) return undefined;
    throw error;
  }
}
