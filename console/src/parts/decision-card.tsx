import type { ReactElement } from 'react';
import { sentence, verdictWords, type EvidenceRow, type ExplainedDecision, type Reason } from '../words.ts';
import { Sign } from './badge.tsx';
import { Instant } from './instant.tsx';
import { Sentence, Text } from './text.tsx';

type LogIndexes = ReadonlyMap<string, number>;

/** Where each envelope stands in the log, to link a reason to its evidence. */
export function logIndexes(evidence: readonly EvidenceRow[]): LogIndexes {
  return new Map(evidence.map((row) => [row.envelopeDigest, row.logIndex]));
}

function Evidence({
  reason,
  indexes,
}: {
  readonly reason: Reason;
  readonly indexes: LogIndexes;
}): ReactElement | null {
  if (reason.evidence.length === 0) return null;
  return (
    <div>
      <dt>Evidence</dt>
      <dd className="list">
        {reason.evidence.map((digest) => {
          const index = indexes.get(digest);
          return index === undefined ? (
            <code key={digest} title={digest}>
              {digest.slice(7, 15)}…
            </code>
          ) : (
            <a key={digest} href={`#log-${index}`}>
              log {index}
            </a>
          );
        })}
      </dd>
    </div>
  );
}

/** One reason: what, what is missing, what would change it, who can, and the rule. */
export function ReasonItem({
  reason,
  indexes,
}: {
  readonly reason: Reason;
  readonly indexes: LogIndexes;
}): ReactElement {
  const { tone } = verdictWords[reason.effect];
  return (
    <li className={`reason ${tone}`}>
      <p className="what">
        <Sign tone={tone} />
        <Sentence value={sentence(reason.message)} />
      </p>
      <dl>
        {reason.missing === null ? null : (
          <div>
            <dt>Missing</dt>
            <dd>
              <Sentence value={sentence(reason.missing)} />
            </dd>
          </div>
        )}
        {reason.effect === 'allow' || reason.remedy === '' ? null : (
          <div className="change">
            <dt>What would change it</dt>
            <dd>
              <Sentence value={sentence(reason.remedy)} />
            </dd>
          </div>
        )}
        {reason.effect === 'allow' || reason.who === '' ? null : (
          <div>
            <dt>Who can</dt>
            <dd>
              <Sentence value={sentence(reason.who)} />
            </dd>
          </div>
        )}
        <Evidence reason={reason} indexes={indexes} />
        <div>
          <dt>Rule</dt>
          <dd>
            <code>
              <Text value={reason.rule} />
            </code>
          </dd>
        </div>
      </dl>
    </li>
  );
}

function Satisfied({
  reasons,
  indexes,
}: {
  readonly reasons: readonly Reason[];
  readonly indexes: LogIndexes;
}): ReactElement | null {
  if (reasons.length === 0) return null;
  return (
    <details>
      <summary>
        {reasons.length === 1 ? '1 rule is satisfied' : `${reasons.length} rules are satisfied`}
      </summary>
      <ul className="reasons">
        {reasons.map((reason) => (
          <ReasonItem key={`${reason.rule} ${reason.message}`} reason={reason} indexes={indexes} />
        ))}
      </ul>
    </details>
  );
}

/** Which files the question was about: without them two decisions in one environment look the same. */
function Asked({ files }: { readonly files: readonly string[] | null }): ReactElement {
  const [first, ...others] = files ?? [];
  if (first === undefined) return <>every file</>;
  return (
    <>
      <code>
        <Text value={first} />
      </code>
      {others.length === 0 ? null : ` and ${others.length} more`}
    </>
  );
}

/** One decision: the stamp, until when it holds, each reason with what would change it, and the whole explanation. */
export function DecisionCard({
  explained,
  indexes,
}: {
  readonly explained: ExplainedDecision;
  readonly indexes: LogIndexes;
}): ReactElement {
  const { decision, environment, explanation } = explained;
  const { tone, word } = verdictWords[decision.verdict];
  const against = decision.reasons.filter((reason) => reason.effect !== 'allow');
  const held = decision.reasons.filter((reason) => reason.effect === 'allow');
  return (
    <article className={`decision ${tone}`} aria-label={`${word} in ${environment}`}>
      <header>
        <span className={`stamp ${tone}`}>
          <Sign tone={tone} />
          {word}
        </span>
        <div>
          <h3>{environment}</h3>
          <p className="faint">
            to <Text value={decision.question.action} /> <Asked files={decision.question.files} />, decided{' '}
            <Instant value={decision.at} />
            {decision.validUntil === null ? (
              ', holds until evidence, policy or trust changes'
            ) : (
              <>
                , holds until <Instant value={decision.validUntil} />
              </>
            )}
          </p>
        </div>
      </header>
      {against.length === 0 ? null : (
        <ul className="reasons">
          {against.map((reason) => (
            <ReasonItem key={`${reason.rule} ${reason.message}`} reason={reason} indexes={indexes} />
          ))}
        </ul>
      )}
      <Satisfied reasons={held} indexes={indexes} />
      <details>
        <summary>Full explanation</summary>
        <pre className="explanation">
          {explanation.split('\n').map((line, index) => (
            // oxlint-disable-next-line react/no-array-index-key
            <span key={index}>
              <Text value={line} />
              {'\n'}
            </span>
          ))}
        </pre>
        <p className="faint">
          Considered evidence up to log entry {decision.checkpoint.size}; policy{' '}
          <code title={decision.policyDigest}>{decision.policyDigest.slice(7, 15)}…</code>, trust{' '}
          <code title={decision.trustDigest}>{decision.trustDigest.slice(7, 15)}…</code>
        </p>
      </details>
    </article>
  );
}
