import { useEffect, useState, type ReactElement } from 'react';
import type { ShowQueueAnswer } from '../api/client.ts';
import { nextWatch, nothingSeen, type Watch } from '../arrivals.ts';
import { count, formatClock } from '../format.ts';
import { ArrivalRow } from '../parts/arrival-row.tsx';
import { HeldSection } from '../parts/held.tsx';
import { IntakeSection } from '../parts/intakes.tsx';
import { Link } from '../parts/link.tsx';
import { Failed, Loading } from '../parts/states.tsx';
import { useAnswer } from '../use-answer.ts';
import { useLive } from '../use-live.ts';

const everyMs = 1500;

/** What is in quarantine now: on its way, ordered, or here and refused. */
export function QuarantinePage(): ReactElement {
  useEffect(() => {
    document.title = 'Quarantine · Weighbridge';
  }, []);
  const [paused, setPaused] = useState(false);
  const answer = useAnswer('queue', (client, signal) => client.showQueue(signal));
  useLive(answer, paused ? undefined : everyMs);
  const queue = answer.value;
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Quarantine</h1>
          <p className="faint">What is on its way in, and what is here and may not pass.</p>
        </div>
        <div className="live">
          {queue === undefined ? null : (
            <span className="faint">
              {paused ? 'paused at' : 'as of'} <time dateTime={queue.at}>{formatClock(queue.at)}</time>
            </span>
          )}
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            Pause
          </button>
          <Link to={{ page: 'triage' }} className="button">
            Look before you pull
          </Link>
        </div>
      </div>
      {answer.refusal === undefined ? null : (
        <div className={answer.value === undefined ? undefined : 'afloat'}>
          <Failed refusal={answer.refusal} again={answer.reload} />
        </div>
      )}
      {queue === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the quarantine" />
        ) : null
      ) : (
        <>
          <p className="hidden" role="status">
            {queue.arrivingCount} arriving, {queue.held.length} held
          </p>
          <ArrivingSection queue={queue} />
          <IntakeSection paused={paused} />
          <HeldSection held={queue.held} />
        </>
      )}
    </>
  );
}

function ArrivingSection({ queue }: { readonly queue: ShowQueueAnswer }): ReactElement {
  const [watch, setWatch] = useState<Watch>(nothingSeen);
  useEffect(() => setWatch((before) => nextWatch(before, queue, performance.now())), [queue]);
  const more = queue.arrivingCount - queue.arriving.length;
  return (
    <section aria-labelledby="arriving">
      <h2 id="arriving">
        Arriving <span className="number">{queue.arrivingCount}</span>
      </h2>
      {watch.rows.length === 0 ? (
        <div className="calm">
          <p>
            <strong>Nothing is on its way.</strong> Point a Hugging Face client at this server and it will
            appear here while it is fetched and inspected:
          </p>
          <pre>
            <code>HF_ENDPOINT=http://ADDRESS:7080 hf download ORGANISATION/MODEL</code>
          </pre>
          <p className="faint">The server printed the address for clients when it started.</p>
        </div>
      ) : (
        <ul className="arrivals">
          {watch.rows.map((arrival) => (
            <ArrivalRow key={arrival.key} arrival={arrival} paces={watch.paces} at={queue.at} />
          ))}
        </ul>
      )}
      {more > 0 ? <p className="faint end">{count(more, 'younger arrival')} not shown</p> : null}
    </section>
  );
}
