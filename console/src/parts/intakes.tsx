import type { ReactElement } from 'react';
import type { ListIntakesAnswer } from '../api/client.ts';
import { count, formatSize } from '../format.ts';
import { intakeWords } from '../queue-words.ts';
import { useAnswer } from '../use-answer.ts';
import { useLive } from '../use-live.ts';
import { spellVisible } from '../visible.ts';
import { sentence } from '../words.ts';
import { Badge } from './badge.tsx';
import { Instant } from './instant.tsx';
import { Link } from './link.tsx';
import { Failed } from './states.tsx';
import { Sentence, Text } from './text.tsx';

type Intake = ListIntakesAnswer['items'][number];

const everyMs = 3000;
const shownEnded = 5;

/** What people ordered from elsewhere with `weighbridge intake`: under way, and the last that ended. Absent where there is none. */
export function IntakeSection({ paused }: { readonly paused: boolean }): ReactElement | null {
  const answer = useAnswer('intakes', (client, signal) => client.listIntakes({ limit: '50' }, signal));
  useLive(answer, paused ? undefined : everyMs);
  const items = answer.value?.items ?? [];
  const open = items.filter(({ finishedAt }) => finishedAt === null);
  const ended = items.filter(({ finishedAt }) => finishedAt !== null).slice(0, shownEnded);
  if (answer.refusal === undefined && items.length === 0) return null;
  return (
    <section aria-labelledby="intakes" className="below">
      <h2 id="intakes">
        Ordered intakes <span className="number">{open.length} under way</span>
      </h2>
      {answer.refusal === undefined ? null : <Failed refusal={answer.refusal} again={answer.reload} />}
      <ul className="findings">
        {[...open, ...ended].map((intake) => (
          <IntakeRow key={intake.id} intake={intake} />
        ))}
      </ul>
    </section>
  );
}

function IntakeRow({ intake }: { readonly intake: Intake }): ReactElement {
  const { fault, artifact, state } = intake;
  return (
    <li className="intake">
      <div className="what">
        <Badge {...intakeWords[state]} />
        <span>
          {artifact === null ? (
            <Text value={intake.repository.id} />
          ) : (
            <Link to={{ page: 'artifact', digest: artifact }}>
              <Text value={intake.repository.id} />
            </Link>
          )}
        </span>
      </div>
      <p className="place">
        <code>
          <Text value={intake.source} />
        </code>
        <span className="faint">for {intake.environment}</span>
        <span className="faint">
          ordered <Instant value={intake.createdAt} />
        </span>
      </p>
      {fault === null ? null : (
        <p className="remedy">
          <Sentence value={sentence(fault.message)} />{' '}
          {fault.hint === null ? null : <Sentence value={sentence(fault.hint)} />}
        </p>
      )}
      {intake.finishedAt === null ? <Progress intake={intake} /> : null}
    </li>
  );
}

function Progress({ intake: { progress, repository } }: { readonly intake: Intake }): ReactElement {
  const { bytes, totalBytes, files, totalFiles } = progress;
  return (
    <div className="transfers">
      {totalBytes === null ? null : (
        <progress
          aria-label={`${spellVisible(repository.id)}, bytes received`}
          max={Math.max(totalBytes, 1)}
          value={Math.min(bytes, totalBytes)}
        />
      )}
      <p className="gauges">
        <span className="received">
          {totalBytes === null ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(totalBytes)}`}
        </span>
        <span>{totalFiles === null ? count(files, 'file') : `${files} of ${count(totalFiles, 'file')}`}</span>
      </p>
    </div>
  );
}
