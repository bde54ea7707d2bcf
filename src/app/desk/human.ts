import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import { hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { ApprovalPredicate, Environment, RevocationPredicate, RootName } from '#evidence/predicates.ts';
import { makeStatement } from '#evidence/statement.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import type { Dossier, Dossiers } from '../decisions/dossiers.ts';
import type { Appended, Caller } from '../routes/people.ts';

export interface HumanPorts {
  readonly dossiers: Dossiers;
  readonly clock: Clock;
  /** Signs with the evidence key and appends. */
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<readonly LoggedEvidence[]>;
}

/** A person's approval becomes evidence about one root of the artifact. Faults: `resource.unknown`, `request.invalid`. */
export async function approveArtifact(
  ports: HumanPorts,
  caller: Caller,
  artifact: Digest,
  approval: {
    readonly reason: string;
    readonly root: RootName;
    readonly environments: readonly Environment[];
    readonly expiresAt: string | null;
  },
): Promise<Appended> {
  const dossier = await openDossier(ports, caller, artifact);
  const root = dossier.subject.roots[approval.root];
  if (root === null) {
    throw new Fault('request.invalid', `the artifact has no \`${approval.root}\` root`, {
      hint: 'approve its root `all`',
    });
  }
  const predicate: ApprovalPredicate = {
    approvedAt: formatInstant(ports.clock.now()),
    person: caller.person,
    reason: requireReason(approval.reason),
    root: approval.root,
    namespace: caller.namespace,
    environments: [...new Set(approval.environments)].sort(),
    expiresAt: parseExpiry(approval.expiresAt, ports.clock, 'approval'),
  };
  return append(ports, caller, predicateTypes.approval, { subjects: [root], predicate });
}

/**
 * Revokes an artifact. The statement is about the artifact, its loading root and its weights: a copy that differs only in
 * its documentation or by a space in its configuration is revoked with it. There is no bypass.
 */
export async function denyArtifact(
  ports: HumanPorts,
  caller: Caller,
  artifact: Digest,
  reason: string,
): Promise<Appended> {
  const dossier = await openDossier(ports, caller, artifact);
  const predicate: RevocationPredicate = {
    revokedAt: formatInstant(ports.clock.now()),
    person: caller.person,
    reason: requireReason(reason),
    namespace: caller.namespace,
  };
  const { loading, weights } = dossier.subject.roots;
  const subjects = [...new Set([artifact, loading, weights])].filter((digest) => digest !== null);
  return append(ports, caller, predicateTypes.revocation, { subjects, predicate });
}

async function openDossier(ports: HumanPorts, caller: Caller, artifact: Digest): Promise<Dossier> {
  const dossier = await ports.dossiers.open(caller.namespace, artifact);
  if (dossier === undefined)
    throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` in \`${caller.namespace}\``);
  return dossier;
}

async function append(
  ports: HumanPorts,
  caller: Caller,
  predicateType: string,
  said: { readonly subjects: readonly Digest[]; readonly predicate: unknown },
): Promise<Appended> {
  const statement = makeStatement({
    namespace: caller.namespace,
    subject: said.subjects.map((digest) => ({ digest: { sha256: hexOf(digest) } })),
    predicateType,
    predicate: said.predicate,
  });
  const [logged] = await ports.write(caller.namespace, [statement]);
  if (logged === undefined) throw new Fault('ledger.unavailable', 'the statement was not sequenced');
  return { logIndex: logged.logIndex, envelopeDigest: logged.envelopeDigest };
}

function requireReason(text: string): string {
  const reason = text.trim();
  if (reason.length < 3)
    throw new Fault('request.invalid', 'a human decision needs a reason of at least 3 characters');
  return reason;
}

/** An instant that lies ahead, in our spelling; null for never. Fault `request.invalid`. `what` would expire. */
export function parseExpiry(text: string | null, clock: Clock, what: 'approval' | 'token'): string | null {
  if (text === null) return null;
  const instantMs = Date.parse(text);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) || Number.isNaN(instantMs)) {
    throw new Fault('request.invalid', `\`${text.slice(0, 60)}\` is not an RFC 3339 instant`, {
      hint: 'for example `2027-01-31T00:00:00Z`',
    });
  }
  if (instantMs <= clock.now()) throw new Fault('request.invalid', `the ${what} would have expired already`);
  return formatInstant(instantMs);
}
