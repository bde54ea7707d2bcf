import { useState, type ReactElement } from 'react';
import type { ShowQueueAnswer } from '../api/client.ts';
import { count } from '../format.ts';
import { spellVisible } from '../visible.ts';
import type { Reason } from '../words.ts';
import { Sign } from './badge.tsx';
import { ReasonItem } from './decision-card.tsx';
import { Instant } from './instant.tsx';
import { Link } from './link.tsx';
import { Text } from './text.tsx';

type Held = ShowQueueAnswer['held'][number];

const step = 20;
const shownReasons = 2;
const noIndexes: ReadonlyMap<string, number> = new Map();

/** What is here and may not pass: each with its reasons, who can decide, and the way to where that is done. */
export function HeldSection({ held }: { readonly held: readonly Held[] }): ReactElement {
  const [limit, setLimit] = useState(step);
  return (
    <section aria-labelledby="held" className="below">
      <h2 id="held">
        Held <span className="number">{held.length}</span>
      </h2>
      {held.length === 0 ? (
        <p className="faint">
          Nothing is held back among the newest arrivals.{' '}
          <Link to={{ page: 'inventory', search: '' }}>The inventory</Link> has everything that is here.
        </p>
      ) : (
        <ul className="held">
          {held.slice(0, limit).map((one) => (
            <HeldRow key={`${one.repository.type}/${one.repository.id}@${one.commit}`} held={one} />
          ))}
        </ul>
      )}
      {held.length > limit ? (
        <p className="end">
          <button type="button" onClick={() => setLimit(limit + step * 2)}>
            Show more of {count(held.length, 'artifact')}
          </button>
        </p>
      ) : null}
    </section>
  );
}

function HeldRow({ held }: { readonly held: Held }): ReactElement {
  const reasons = held.reasons.map((reason): Reason => ({
    ...reason,
    effect: 'deny',
    evidence: [],
    missing: null,
  }));
  const rest = reasons.slice(shownReasons);
  return (
    <li className="decision" aria-label={spellVisible(held.repository.id)}>
      <header>
        <span className="stamp bad">
          <Sign tone="bad" />
          Denied
        </span>
        <div>
          <h3>
            <Text value={held.repository.id} />
          </h3>
          <p className="facts">
            {held.repository.type === 'models' ? null : <span>{held.repository.type}</span>}
            <span>in {held.environment}</span>
            <span>
              since <Instant value={held.since} />
            </span>
            <code title={held.commit}>{held.commit.slice(0, 12)}</code>
          </p>
        </div>
        <Link to={{ page: 'artifact', digest: held.artifact }} className="button">
          Look and decide<span className="hidden"> about {spellVisible(held.repository.id)}</span>
        </Link>
      </header>
      <Reasons reasons={reasons.slice(0, shownReasons)} />
      {rest.length === 0 ? null : (
        <details>
          <summary>{count(rest.length, 'more reason')}</summary>
          <Reasons reasons={rest} />
        </details>
      )}
    </li>
  );
}

function Reasons({ reasons }: { readonly reasons: readonly Reason[] }): ReactElement {
  return (
    <ul className="reasons">
      {reasons.map((reason) => (
        <ReasonItem key={`${reason.rule} ${reason.message}`} reason={reason} indexes={noIndexes} />
      ))}
    </ul>
  );
}
