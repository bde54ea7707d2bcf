import { digestOf, hexOf } from '#artifact/digest.ts';
import { predicateTypes, type ObservedPredicate, type ProducerIdentity } from '#evidence/predicates.ts';
import { statementType, type Statement } from '#evidence/statement.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import { limits } from '#lib/limits.ts';
import type { Producer } from '../producer.ts';

/** Observing has no rules: the digest is over the empty rule set. */
export const observeIdentity: ProducerIdentity = {
  name: 'weighbridge-observe',
  version: '1',
  ruleSetDigest: digestOf(new TextEncoder().encode('{}')),
};

/**
 * What arrived, from where and when, about the one artifact digest; also what `reindex` rebuilds snapshots from.
 * Provisional while the snapshot has more small files than `limits.snapshotSmallFiles` and not all of them are here.
 */
export function createObserveProducer(): Producer {
  return {
    identity: observeIdentity,
    predicateType: predicateTypes.observed,
    produce(input) {
      const small = input.files.filter(({ lfs }) => !lfs);
      const files = input.files
        .map(({ path, sizeBytes, digest, gitOid, lfs, present }) => ({
          path,
          sizeBytes,
          sha256: hexOf(digest),
          gitOid,
          lfs,
          present,
        }))
        .sort((a, b) => compareCodePoints(a.path, b.path));
      const { uri, repositoryType, repository, commit, references } = input.source;
      const predicate: ObservedPredicate = {
        producer: observeIdentity,
        observedAt: input.at,
        source: {
          uri,
          repositoryType,
          repository,
          commit,
          references: [...references].sort(compareCodePoints),
        },
        files,
        provisional: small.length > limits.snapshotSmallFiles && small.some(({ present }) => !present),
      };
      const statement: Statement<ObservedPredicate> = {
        _type: statementType,
        subject: [{ digest: { sha256: hexOf(input.artifact) } }],
        predicateType: predicateTypes.observed,
        predicate,
      };
      return Promise.resolve([statement]);
    },
  };
}
