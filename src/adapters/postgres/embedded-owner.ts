import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
 * Stops a PostgreSQL that outlived its server (`kill -9` without `setpriv`). It is ours when it runs `postgres`
 * with exactly this cluster as working directory; a reused pid is somebody else's and left alone. Fast shutdown first,
 * then immediate, which is safe: the write-ahead log is replayed.
 */
export async function stopOrphan(cluster: string): Promise<void> {
  const pid = Number(readText(join(cluster, 'postmaster.pid'))?.split('\n')[0]);
  if (!Number.isSafeInteger(pid) || pid <= 1 || !runsCluster(pid, cluster)) return;
  for (const [signal, waitMs] of [
    ['SIGINT', 8_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 2_000],
  ] as const) {
    process.kill(pid, signal);
    if (await until(() => !runsCluster(pid, cluster), waitMs)) return;
  }
  throw new Fault('directory.in-use', `an earlier PostgreSQL (process ${pid}) does not stop`);
}

function runsCluster(pid: number, cluster: string): boolean {
  try {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (!commandLine.some((word) => word.endsWith('/postgres'))) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === cluster || commandLine.includes(cluster);
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
