import { appendFileSync } from 'node:fs';

/**
 * Every place where durable state is written, by a stable name. Whoever adds a write adds its site here (sorted);
 * `test/fault` enumerates the list and kills the process before and after each. A site is one write whose order to
 * other writes matters: create, write, sync, rename, commit.
 */
export const faultSites = [
  'blob.create-directory',
  'blob.create-temporary',
  'blob.rename',
  'blob.sync',
  'blob.sync-directory',
  'blob.sync-parent',
  'blob.write',
  'durable-file.create-directory',
  'durable-file.create-temporary',
  'durable-file.rename',
  'durable-file.sync',
  'durable-file.sync-directory',
  'durable-file.sync-parent',
  'durable-file.write',
  'ledger.commit',
  'log.checkpoint',
  'log.commit',
  'log.entries',
  'log.envelopes',
  'log.tiles',
  'partial.create',
  'partial.note',
  'partial.write',
] as const;

export type FaultSite = (typeof faultSites)[number];
export type FaultMoment = 'before' | 'after';

/** What goes wrong: where, on which side of the write, how, and at which passing (1 is the first). */
export interface InjectedFault {
  readonly site: FaultSite;
  readonly moment: FaultMoment;
  /** `kill`: SIGKILL to this process. `fail`: throws EIO; after the write that is "failed but persisted". */
  readonly action: 'kill' | 'fail';
  readonly passing: number;
}

const spelling = /^([a-z.-]+)(?::(before|after))?(?::(kill|fail))?(?:@([1-9][0-9]{0,8}))?$/;

/**
 * Parses `WEIGHBRIDGE_FAULT_AT`: `<site>[:before|after][:kill|fail][@<passing>]`, by default `:before:kill@1`. An
 * unknown site throws, so that a test that names one wrongly cannot pass.
 */
export function parseFaultAt(text: string): InjectedFault {
  const match = spelling.exec(text);
  const site = faultSites.find((known) => known === match?.[1]);
  if (match === null || site === undefined) throw new Error(`\`${text}\` names no fault site`);
  return {
    site,
    moment: match[2] === 'after' ? 'after' : 'before',
    action: match[3] === 'fail' ? 'fail' : 'kill',
    passing: Number(match[4] ?? '1'),
  };
}

const environmentFault = process.env['WEIGHBRIDGE_FAULT_AT'];
let injected = environmentFault === undefined ? undefined : parseFaultAt(environmentFault);
let passings = 0;
/** Test hook: a file that gets one line `<site> <moment>` per passing, and `killed <site> <moment> <pid>` before the kill. */
const tracePath = process.env['WEIGHBRIDGE_FAULT_TRACE'];

/** Test hook: arms (or, with undefined, disarms) one fault in this process and counts passings from now. */
export function injectFault(fault: InjectedFault | undefined): void {
  injected = fault;
  passings = 0;
}

/**
 * Stands on both sides of a durable write. A test hook: without `WEIGHBRIDGE_FAULT_AT` or `injectFault` it is one
 * comparison with undefined.
 */
export function faultPoint(site: FaultSite, moment: FaultMoment = 'before'): void {
  if (tracePath !== undefined) appendFileSync(tracePath, `${site} ${moment}\n`);
  if (injected !== undefined) pass(injected, site, moment);
}

/** Runs one durable write between its two fault points. */
export async function durably<T>(site: FaultSite, write: () => Promise<T>): Promise<T> {
  if (injected === undefined && tracePath === undefined) return write();
  faultPoint(site, 'before');
  const result = await write();
  faultPoint(site, 'after');
  return result;
}

function pass(fault: InjectedFault, site: FaultSite, moment: FaultMoment): void {
  if (fault.site !== site || fault.moment !== moment) return;
  passings += 1;
  if (passings !== fault.passing) return;
  if (fault.action === 'kill') {
    if (tracePath !== undefined) appendFileSync(tracePath, `killed ${site} ${moment} ${process.pid}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
  throw Object.assign(new Error(`injected fault ${moment} ${site}`), { code: 'EIO' });
}
