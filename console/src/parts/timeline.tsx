import type { ReactElement } from 'react';
import { predicateWords, sentence, type EvidenceRow } from '../words.ts';
import { Digest } from './digest.tsx';
import { Instant } from './instant.tsx';
import { Sentence, Text } from './text.tsx';

/** Evidence in the order of the log, newest first. The position is the place in the transparency log. */
export function Timeline({ evidence }: { readonly evidence: readonly EvidenceRow[] }): ReactElement {
  return (
    <ol className="timeline">
      {evidence
        .toSorted((a, b) => b.logIndex - a.logIndex)
        .map((row) => {
          const { name, tone } = predicateWords(row.predicateType);
          return (
            <li key={row.logIndex} id={`log-${row.logIndex}`} className={tone} tabIndex={-1}>
              <p className="position">
                <span className="hidden">Log position </span>
                {row.logIndex}
              </p>
              <div>
                <h3 title={row.predicateType}>
                  <Text value={name} />
                </h3>
                <p>
                  <Sentence value={sentence(row.summary)} />
                </p>
                <p className="faint">
                  {row.at === null ? null : <Instant value={row.at} />}
                  <span>
                    signed by <Text value={row.issuerRole} />
                  </span>
                  <Digest value={row.envelopeDigest} label="envelope digest" />
                </p>
              </div>
            </li>
          );
        })}
    </ol>
  );
}
