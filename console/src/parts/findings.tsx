import type { ReactElement } from 'react';
import {
  placeWords,
  sentence,
  severityOrder,
  severityTones,
  severityWords,
  type Artifact,
  type Finding,
} from '../words.ts';
import { Badge } from './badge.tsx';
import { Sentence, Text } from './text.tsx';

interface Found {
  readonly path: string | undefined;
  readonly finding: Finding;
}

const shown = 200;

/** Findings about the artifact and about its files, the gravest first. */
export function collectFindings(artifact: Artifact): readonly Found[] {
  const all: readonly Found[] = [
    ...artifact.findings.map((finding) => ({ path: finding.location.path, finding })),
    ...artifact.files.flatMap((file) =>
      (file.scan?.findings ?? []).map((finding) => ({ path: file.path, finding })),
    ),
  ];
  const rank = (found: Found): number => severityOrder.indexOf(found.finding.severity);
  return all.toSorted((a, b) => rank(a) - rank(b));
}

/** Each finding in words: what would happen, where, and what to do. */
export function Findings({ found }: { readonly found: readonly Found[] }): ReactElement {
  return (
    <>
      <ul className="findings">
        {found.slice(0, shown).map(({ path, finding }, index) => {
          const { path: _, ...inside } = finding.location;
          const place = placeWords(inside);
          return (
            // The list is not changed in place.
            // oxlint-disable-next-line react/no-array-index-key
            <li key={index}>
              <p className="what">
                <Badge tone={severityTones[finding.severity]} word={severityWords[finding.severity]} />
                <Sentence value={sentence(finding.message)} />
              </p>
              <p className="place">
                {path === undefined ? null : (
                  <code>
                    <Text value={path} />
                  </code>
                )}
                {place === '' ? null : (
                  <span className="faint">
                    <Text value={place} />
                  </span>
                )}
                <span className="rule">
                  <Text value={finding.ruleId} />
                </span>
              </p>
              {finding.remedy === '' ? null : (
                <p className="remedy">
                  <Sentence value={sentence(finding.remedy)} />
                </p>
              )}
            </li>
          );
        })}
      </ul>
      {found.length > shown ? (
        <p className="faint">
          The {shown} gravest of {found.length} are shown; <code>weighbridge scan</code> lists all.
        </p>
      ) : null}
    </>
  );
}
