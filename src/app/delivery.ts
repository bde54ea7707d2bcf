import { readFile, stat } from 'node:fs/promises';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { Delivery } from '#gates/pull/ports.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { lookRegularly } from '#lib/look-regularly.ts';
import { deliveryOf, needsApproval, parseDeliveryRules } from './delivery-rules.ts';
import type { DeliveredRepository, DeliveryRule } from './delivery-rules.ts';

export interface DeliveryPorts {
  /** The operator named the file: that it is absent at the start is a mistake, and its `approve` rules would be lost. */
  readonly required?: boolean;
  /** `delivery.yaml`; where there is none, the defaults hold. */
  readonly path: string;
  /** Which repositories need approval may have changed: decisions about them must be taken again. */
  readonly approvalsChanged: () => void;
  /** The file has changed; with what is wrong with it, if something is. */
  readonly changed: (problem: Fault | undefined) => void;
  /** A look at the file failed, which says nothing about it. Told once per failure. */
  readonly failed: (fault: Fault) => void;
  /** Time between two looks at the file; 400 ms where absent. A change is believed when two looks agree on it. */
  readonly lookEveryMs?: number;
}

/** How files reach clients before their verdict stands, by the operator's rules. */
export interface OpenDelivery {
  /** `format` is what the first bytes say; `unknown` where they say nothing. Never throws. */
  modeOf(repository: RepositoryName, namespace: string, format: string): Delivery;
  needsApproval(delivered: DeliveredRepository): boolean;
  /** What is wrong with the file as it is now: everything is held while there is something. */
  problem(): Fault | undefined;
  /** Rules in force, 0 without a file. */
  ruleCount(): number;
  close(): Promise<void>;
}

interface State {
  readonly rules: readonly DeliveryRule[];
  readonly problem: Fault | undefined;
}

const lookEveryMs = 400;

/**
 * The rules of one file, looked at as the policies are. A file that breaks while the server runs holds everything, and
 * what needed approval before goes on needing it; one that is broken at the start is Fault `config.invalid`, because
 * nobody knows then what it demanded. Editors and copies write in steps, so a change counts once two looks have seen it.
 */
export async function openDelivery(ports: DeliveryPorts): Promise<OpenDelivery> {
  let seen = await signatureOf(ports.path);
  let state = await readState(ports.path, []);
  if (state.problem !== undefined) throw state.problem;
  if (ports.required === true && seen === 'ENOENT') {
    throw new Fault('config.invalid', `delivery: \`${ports.path}\` is not there`, {
      hint: 'write it, or leave out the key `delivery`',
    });
  }
  let candidate: string | undefined;

  const look = async (): Promise<void> => {
    const signature = await signatureOf(ports.path);
    const settled = signature === candidate;
    candidate = signature;
    if (signature === seen || !settled) return;
    const next = await readState(ports.path, state.rules);
    if ((await signatureOf(ports.path)) !== signature) return;
    const before = state;
    state = next;
    seen = signature;
    ports.changed(next.problem);
    if (approvals(before) !== approvals(next)) ports.approvalsChanged();
  };
  const looking = lookRegularly({ look, everyMs: ports.lookEveryMs ?? lookEveryMs, failed: ports.failed });
  return {
    modeOf: (repository, namespace, format) => {
      const delivered = { repository, namespace };
      if (state.problem === undefined) return deliveryOf(state.rules, delivered, format);
      return { mode: needsApproval(state.rules, delivered) ? 'approve' : 'hold', everyClient: true };
    },
    needsApproval: (delivered) => needsApproval(state.rules, delivered),
    problem: () => state.problem,
    ruleCount: () => state.rules.length,
    close: looking.close,
  };
}

/** What decides who needs approval, as one text. */
const approvals = ({ rules }: State): string =>
  JSON.stringify(rules.filter(({ formats }) => formats === undefined));

/** The state that the file asks for; where it cannot be read, the rules of before with the problem. */
async function readState(path: string, before: readonly DeliveryRule[]): Promise<State> {
  try {
    return { rules: parseDeliveryRules(await readFile(path, 'utf8')), problem: undefined };
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') return { rules: [], problem: undefined };
    if (isBusy(error)) throw error;
    const why = error instanceof Fault ? error.message : 'it cannot be read';
    const problem = new Fault('config.invalid', `\`${path}\`: ${why}`, {
      hint: 'docs/reference/delivery.md describes the file',
      cause: error,
    });
    return { rules: before, problem };
  }
}

/** Too many open files says nothing about the rules: look again. */
function isBusy(error: unknown): boolean {
  return isErrno(error) && (error.code === 'EMFILE' || error.code === 'ENFILE');
}

/** Changes whenever the file is made, removed, replaced or written. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (isErrno(error) && !isBusy(error)) return error.code ?? 'unknown';
    throw error;
  }
}
