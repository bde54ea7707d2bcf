import { statfs } from 'node:fs/promises';
import { listQuarantined } from '#adapters/filesystem/seal.ts';
import { checkLog } from '#evidence/log/fsck.ts';
import type { House } from '../wire.ts';
import type { DoctorCheck } from '../routes/people.ts';
import { blobDirectory, clockBehind } from '../stores.ts';
import { toFault } from '#lib/fault.ts';

export interface Examination {
  readonly healthy: boolean;
  readonly checks: readonly DoctorCheck[];
}

const leastFreeBytes = 1024 ** 3;

/** Examines the running house: the log against the database and the blobs, policies, disk, clock and upstream. */
export async function examine(house: House): Promise<Examination> {
  const checks: DoctorCheck[] = [];
  const run = async (name: string, check: () => Promise<Omit<DoctorCheck, 'name'>>): Promise<void> => {
    try {
      checks.push({ name, ...(await check()) });
    } catch (error) {
      checks.push({ name, state: 'fail', message: toFault(error).message });
    }
  };
  await run('log', () => checkHistory(house));
  await run('blobs', () => checkBlobs(house));
  await run('policies', () => Promise.resolve(checkPolicies(house)));
  await run('delivery', () => Promise.resolve(checkDelivery(house)));
  await run('ledger', () => Promise.resolve(checkLedgerAge(house)));
  await run('clock', () => checkClock(house));
  await run('disk', () => checkDisk(house));
  return { healthy: checks.every(({ state }) => state !== 'fail'), checks };
}

async function checkHistory({ log, stores, trust }: House): Promise<Omit<DoctorCheck, 'name'>> {
  await log.projector.project();
  const projection = {
    store: stores.sequence,
    files: log.files,
    blobs: stores.blobs,
    log: log.sequencer.log,
  };
  const report = await checkLog(projection, { fingerprint: trust.fingerprint });
  // Entries that others append while the check runs are published a moment later; that alone is no damage.
  const damage = report.findings.filter(({ code }) => code !== 'published-behind');
  const first = damage[0];
  if (first === undefined)
    return { state: 'pass', message: `${report.entries} entries, tiles, blobs and signatures agree` };
  return { state: 'fail', message: `${damage.length} disagreements, the first: ${first.message}` };
}

/** Blobs that were found altered when they were opened; fine again once the right bytes are back. */
async function checkBlobs({ stores, configuration }: House): Promise<Omit<DoctorCheck, 'name'>> {
  const altered = await listQuarantined(blobDirectory(configuration));
  const present = await Promise.all(altered.map((digest) => stores.blobs.stat(digest)));
  const gone = altered.filter((_, index) => present[index] === undefined);
  if (gone.length > 0)
    return {
      state: 'fail',
      message: `${gone.length} altered on disk, in \`blobs/quarantine\`, the first: ${gone[0]}`,
    };
  if (altered.length > 0)
    return {
      state: 'warn',
      message: `${altered.length} altered copies in \`blobs/quarantine\`, all replaced`,
    };
  return { state: 'pass', message: 'none was found altered' };
}

function checkPolicies({ policies, configuration: { environment } }: House): Omit<DoctorCheck, 'name'> {
  const set = policies.current();
  const [problem] = set.problems;
  if (problem !== undefined) return { state: 'fail', message: `\`${problem.policy}\`: ${problem.message}` };
  if (set.policies.length === 0)
    return { state: 'fail', message: 'there is no policy, so everything is denied' };
  const pulls = set.policies.some(
    ({ appliesTo: { actions, environments } }) =>
      (actions === null || actions.includes('pull')) &&
      (environments === null || environments.includes(environment)),
  );
  if (!pulls)
    return { state: 'fail', message: `no policy is about pulls in ${environment}, so every pull is denied` };
  return { state: 'pass', message: `${set.policies.length} policies in force, ${set.digest}` };
}

function checkDelivery({ delivery }: House): Omit<DoctorCheck, 'name'> {
  const problem = delivery.problem();
  if (problem !== undefined)
    return { state: 'fail', message: `${problem.message}; everything is held until it is corrected` };
  const count = delivery.ruleCount();
  return {
    state: 'pass',
    message: count === 0 ? 'defaults' : `${count} ${count === 1 ? 'rule' : 'rules'} in force`,
  };
}

function checkLedgerAge({ head }: House): Omit<DoctorCheck, 'name'> {
  const { stale, ageMs } = head.ledgerAge();
  const age = Math.round(ageMs / 1000);
  return { state: stale ? 'fail' : 'pass', message: `the head was read ${age} s ago` };
}

async function checkClock({ clock, log }: House): Promise<Omit<DoctorCheck, 'name'>> {
  const { signedAtMs } = await log.ledger.head();
  const behindMs = clockBehind(clock, signedAtMs);
  if (behindMs > 1000)
    return {
      state: 'fail',
      message: `the system clock is ${Math.ceil(behindMs / 1000)} s behind the last checkpoint`,
    };
  return { state: 'pass', message: 'not behind the last checkpoint' };
}

async function checkDisk({ stores }: House): Promise<Omit<DoctorCheck, 'name'>> {
  const { bavail, bsize } = await statfs(stores.data);
  const free = bavail * bsize;
  const message = `${(free / 1024 ** 3).toFixed(1)} GiB free`;
  return { state: free < leastFreeBytes ? 'warn' : 'pass', message };
}
