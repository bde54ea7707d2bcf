import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { isErrno, toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { PolicyPredicate } from '#evidence/predicates.ts';
import { makeStatement, systemNamespace } from '#evidence/statement.ts';
import type { Statement } from '#evidence/statement.ts';
import { compilePolicySet } from '#policy/compile.ts';
import type { CompiledPolicySet, PolicySource } from '#policy/compile.ts';

export interface PolicyPorts {
  readonly directory: string;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** Appends for the whole installation, signed with the evidence key. */
  readonly write: (statement: Statement) => Promise<void>;
  /** Is this digest the newest policy in the ledger already? */
  readonly inForce: () => Promise<string | undefined>;
  readonly changed: (set: CompiledPolicySet) => void;
  readonly failed: (fault: Fault) => void;
}

export interface Policies {
  current(): CompiledPolicySet;
  close(): Promise<void>;
}

/** Time between two looks at the directory; an edit is in force well within 2 s. */
const lookEveryMs = 400;

/** The default policies that come with the package: beside `src` in a checkout and beside `dist` when installed. */
const shipped = fileURLToPath(new URL('../../policies/', import.meta.url));

/**
 * The policies of a directory, looked at twice a second rather than watched: network file systems and editors that
 * replace files defeat notifications. A change is a blob and a `policy` statement first, and decides only afterwards, so
 * no decision names a policy that the ledger does not know. A file that does not compile denies what it would apply to.
 */
export async function openPolicies(ports: PolicyPorts): Promise<Policies> {
  if (!existsSync(ports.directory)) {
    mkdirSync(ports.directory, { recursive: true });
    cpSync(shipped, ports.directory, { recursive: true });
  }
  let seen = await signatureOf(ports.directory);
  let set = compilePolicySet(await readSources(ports.directory));
  await putInForce(ports, set);
  let closed = false;

  const look = async (): Promise<void> => {
    const signature = await signatureOf(ports.directory);
    if (signature === seen) return;
    const next = compilePolicySet(await readSources(ports.directory));
    if (next.digest !== set.digest) {
      await putInForce(ports, next);
      set = next;
      ports.changed(next);
    }
    seen = signature;
  };
  let turn: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    turn = turn.then(look).catch((error: unknown) => ports.failed(toFault(error)));
  }, lookEveryMs);
  return {
    current: () => set,
    close: async () => {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      await turn;
    },
  };
}

async function putInForce(ports: PolicyPorts, set: CompiledPolicySet): Promise<void> {
  await ports.blobs.put(set.canonical, { digest: set.digest });
  if ((await ports.inForce()) === set.digest) return;
  const predicate: PolicyPredicate = {
    activatedAt: formatInstant(ports.clock.now()),
    policyDigest: set.digest,
    names: set.policies.map((policy) => policy.name),
  };
  await ports.write(
    makeStatement({
      namespace: systemNamespace,
      subject: [{ name: 'policy', digest: { sha256: hexOf(set.digest) } }],
      predicateType: predicateTypes.policy,
      predicate,
    }),
  );
}

async function policyFiles(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    return names.filter((name) => /\.(ya?ml|json)$/.test(name) && !name.startsWith('.')).sort();
  } catch (error) {
    // Without its directory there is no policy, and without a policy everything is denied.
    if (isErrno(error) && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function readSources(directory: string): Promise<readonly PolicySource[]> {
  const names = await policyFiles(directory);
  return Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(directory, name), 'utf8') })),
  );
}

/** Changes whenever a file is added, removed, replaced or written. */
async function signatureOf(directory: string): Promise<string> {
  const names = await policyFiles(directory);
  const lines = await Promise.all(
    names.map(async (name) => {
      const { ino, size, mtimeNs, ctimeNs } = await stat(join(directory, name), { bigint: true });
      return `${name} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    }),
  );
  return lines.join('\n');
}
