import type { ReactElement } from 'react';
import type { ListAdoptionsAnswer } from '../api/client.ts';
import { severityOrder, severityTones, severityWords } from '../words.ts';
import { Badge } from './badge.tsx';

/** What a person types on a machine that holds models. */
export const adoptionCommand = 'weighbridge adopt ~/.cache/huggingface --server-url ADDRESS';

/** Risks by severity; the ones that are none are left out. */
export function AdoptionNumbers({
  risks,
}: {
  readonly risks: ListAdoptionsAnswer['items'][number]['risks'];
}): ReactElement {
  const some = severityOrder.filter((severity) => risks[severity] > 0);
  return (
    <p className="numbers">
      <span className="hidden">Risks: </span>
      {some.length === 0 ? <Badge tone="good" word="No risk found" /> : null}
      {some.map((severity) => (
        <Badge
          key={severity}
          tone={severityTones[severity]}
          word={`${risks[severity]} ${severityWords[severity].toLowerCase()}`}
        />
      ))}
    </p>
  );
}
