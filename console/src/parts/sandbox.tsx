import { useEffect, useRef, useState, type ReactElement } from 'react';
import type { Refusal, ShowSandboxAnswer } from '../api/client.ts';
import { count } from '../format.ts';
import { useSession } from '../session.ts';
import { useAnswer } from '../use-answer.ts';
import { useLive } from '../use-live.ts';
import { sentence, type Tone } from '../words.ts';
import { Badge } from './badge.tsx';
import { Instant } from './instant.tsx';
import { Failed } from './states.tsx';
import { Sentence } from './text.tsx';

type Finding = NonNullable<ShowSandboxAnswer['finding']>;

const everyMs = 2000;
const shown = 20;

const outcomes: Readonly<
  Record<Finding['outcome'], { readonly tone: Tone; readonly word: string; readonly meaning: string }>
> = {
  quiet: {
    tone: 'good',
    word: 'Stayed quiet',
    meaning: 'It was loaded and called, and did nothing that a clean load does not do.',
  },
  acted: { tone: 'bad', word: 'Acted', meaning: 'It did what no clean load does:' },
  failed: { tone: 'caution', word: 'Failed', meaning: 'A library refused a file; nothing else happened.' },
  inconclusive: { tone: 'caution', word: 'Inconclusive', meaning: 'The run says less than it should:' },
};

/** What the artifact did when it was really loaded, and the way to order a run. `changed` is told when a run has ended. */
export function SandboxSection({
  artifact,
  changed,
}: {
  readonly artifact: string;
  readonly changed: () => void;
}): ReactElement {
  const { client, end } = useSession();
  const answer = useAnswer(`sandbox ${artifact}`, (asked, signal) => asked.showSandbox(artifact, signal));
  const [refusal, setRefusal] = useState<Refusal | undefined>();
  const [ordering, setOrdering] = useState(false);
  const run = answer.value;
  const underWay = run?.state === 'waiting' || run?.state === 'running';
  useLive(answer, underWay ? everyMs : undefined);
  const before = useRef(false);
  useEffect(() => {
    if (before.current && !underWay) changed();
    before.current = underWay;
  }, [underWay, changed]);
  const order = async (): Promise<void> => {
    setOrdering(true);
    const ordered = await client.runSandbox(artifact);
    setOrdering(false);
    setRefusal(ordered.ok ? undefined : ordered.refusal);
    if (ordered.ok) answer.reload();
    else if (ordered.refusal.status === 401) end('The server no longer accepts this token.');
  };
  return (
    <section aria-labelledby="sandbox">
      <h2 id="sandbox">Sandbox</h2>
      {answer.refusal === undefined ? null : <Failed refusal={answer.refusal} again={answer.reload} />}
      {refusal === undefined ? null : <Failed refusal={refusal} />}
      <div className="sandbox">
        {run === undefined ? null : <Outcome run={run} />}
        <p className="run">
          <button
            type="button"
            disabled={underWay || ordering || run === undefined}
            onClick={() => void order()}
          >
            {run?.finding == null ? 'Run in the sandbox' : 'Run again'}
          </button>
          <span className="faint" role="status">
            {run?.state === 'waiting' ? 'Waits for its turn: one run at a time.' : null}
            {run?.state === 'running' ? 'It is being loaded and called in isolation…' : null}
          </span>
        </p>
      </div>
    </section>
  );
}

function Outcome({ run: { finding, fault } }: { readonly run: ShowSandboxAnswer }): ReactElement {
  return (
    <>
      {fault === null ? null : (
        <p className="problem">
          <Sentence value={sentence(`the last run could not be made: ${fault.message}`)} />{' '}
          {fault.hint === null ? null : <Sentence value={sentence(fault.hint)} />}
        </p>
      )}
      {finding === null ? (
        <p className="faint">
          It has not been loaded here yet. A run loads it for real, without a network, and records what it
          does.
        </p>
      ) : (
        <Seen finding={finding} />
      )}
    </>
  );
}

function Seen({ finding }: { readonly finding: Finding }): ReactElement {
  const { tone, word, meaning } = outcomes[finding.outcome];
  const lines = [...finding.acts, ...finding.reasons];
  return (
    <>
      <p className="what">
        <Badge tone={tone} word={word} />
        {meaning}
      </p>
      {lines.length === 0 ? null : (
        <ul className="acts">
          {lines.slice(0, shown).map((line, index) => (
            // The list is not changed in place.
            // oxlint-disable-next-line react/no-array-index-key
            <li key={index}>
              <Sentence value={sentence(line)} />
            </li>
          ))}
        </ul>
      )}
      {lines.length > shown ? <p className="faint">and {count(lines.length - shown, 'more line')}</p> : null}
      <p className="place faint">
        <Instant value={finding.exercisedAt} />
        <a href={`#log-${finding.logIndex}`}>log {finding.logIndex}</a>
      </p>
    </>
  );
}
