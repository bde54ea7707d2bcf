import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { syncDirectory, temporarySuffix, writeFilesDurably } from '#lib/durable-file.ts';
import { isErrno } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import { durably } from '#lib/fault-point.ts';
import { lookRegularly } from '#lib/look-regularly.ts';
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
  /** Time between two looks at the directory; 400 ms where absent, so that an edit is in force well within 2 s. */
  readonly lookEveryMs?: number;
}

export interface Policies {
  current(): CompiledPolicySet;
  close(): Promise<void>;
}

const lookEveryMs = 400;

/** The default policies that come with the package: beside `src` in a checkout and beside `dist` when installed. */
const shipped = fileURLToPath(new URL('../../policies/', import.meta.url));

/**
 * The policies of a directory, looked at twice a second rather than watched: network file systems and editors that
 * replace files defeat notifications. A change is a blob and a `policy` statement first, and decides only afterwards, so
 * no decision names a policy that the ledger does not know. A file that does not compile denies what it would apply to.
 */
export async function openPolicies(ports: PolicyPorts): Promise<Policies> {
  if (!existsSync(ports.directory)) await copyShipped(ports.directory);
  let seen = await signatureOf(ports.directory);
  let set = compilePolicySet(await readSources(ports.directory));
  await putInForce(ports, set);

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
  const looking = lookRegularly({ look, everyMs: ports.lookEveryMs ?? lookEveryMs, failed: ports.failed });
  return {
    current: () => set,
    close: looking.close,
  };
}

/**
 * The shipped policies, all or none. Stopping before the rename: there is no directory, and the next start copies again.
 * After it: every file is there and whole. Half of them would be a laxer house that nobody asked for.
 */
async function copyShipped(directory: string): Promise<void> {
  const temporary = `${resolve(directory)}${temporarySuffix}`;
  await rm(temporary, { recursive: true, force: true });
  const names = await policyFiles(shipped);
  const files = names.map(async (name) => ({
    path: join(temporary, name),
    bytes: await readFile(join(shipped, name)),
  }));
  await writeFilesDurably(await Promise.all(files));
  await durably('durable-file.rename', () => rename(temporary, directory));
  await syncDirectory(dirname(directory));
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
  const sources = names.map(async (name) => ({ name, text: await readSource(join(directory, name)) }));
  return Promise.all(sources);
}

/** A file that is there and cannot be read is a policy that does not compile: it denies, whatever it said before. */
async function readSource(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isBusy(error)) throw error;
    return `cannot be read: ${isErrno(error) ? error.code : 'unknown'}`;
  }
}

/** Too many open files says nothing about the policies: look again. */
function isBusy(error: unknown): boolean {
  return isErrno(error) && (error.code === 'EMFILE' || error.code === 'ENFILE');
}

/** Changes whenever a file is added, removed, replaced or written. */
async function signatureOf(directory: string): Promise<string> {
  const names = await policyFiles(directory);
  const lines = await Promise.all(
    names.map(async (name) => {
      try {
        const { ino, size, mtimeNs, ctimeNs } = await stat(join(directory, name), { bigint: true });
        return `${name} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
      } catch (error) {
        if (isBusy(error)) throw error;
        return `${name} ${isErrno(error) ? error.code : 'unknown'}`;
      }
    }),
  );
  return lines.join('\n');
}
