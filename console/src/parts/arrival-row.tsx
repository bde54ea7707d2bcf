import type { ReactElement } from 'react';
import { transferKey, type Arrival, type Arriving, type Transfer } from '../arrivals.ts';
import { count, formatDuration, formatLeft, formatSize } from '../format.ts';
import { secondsLeft, secondsStill, type Pace, type Paces } from '../pace.ts';
import { phaseWords, transferWords } from '../queue-words.ts';
import { spellVisible } from '../visible.ts';
import { sentence } from '../words.ts';
import { Link } from './link.tsx';
import { Sentence, Text } from './text.tsx';

interface ArrivalRowProps {
  readonly arrival: Arrival;
  readonly paces: Paces;
  /** The server's clock. */
  readonly at: string;
}

const shown = 12;

/** One commit on its way: where it is, why it waits, and each transfer with a bar. */
export function ArrivalRow({ arrival, paces, at }: ArrivalRowProps): ReactElement {
  const { arriving, key, goneAtMs } = arrival;
  const gone = goneAtMs !== undefined;
  const { transfers } = arriving;
  return (
    <li className={gone ? 'arrival gone' : 'arrival'} aria-label={spellVisible(arriving.repository.id)}>
      <div className="arrival-head">
        <h3>
          {arriving.artifact === null ? (
            <Text value={arriving.repository.id} />
          ) : (
            <Link to={{ page: 'artifact', digest: arriving.artifact }}>
              <Text value={arriving.repository.id} />
            </Link>
          )}
        </h3>
        <p className="facts">
          {arriving.repository.type === 'models' ? null : <span>{arriving.repository.type}</span>}
          <code title={arriving.commit}>{arriving.commit.slice(0, 12)}</code>
          {gone ? null : (
            <span>for {formatDuration((Date.parse(at) - Date.parse(arriving.since)) / 1000)}</span>
          )}
        </p>
        <Phase phase={gone ? 'gone' : arriving.phase} />
      </div>
      {gone ? (
        <Gone arriving={arriving} />
      ) : (
        <>
          <p className="why">
            <Sentence value={sentence(arriving.why)} />
          </p>
          {transfers.length === 0 ? null : (
            <ul className="transfers">
              {transfers.slice(0, shown).map((transfer) => (
                <TransferRow
                  key={transfer.path}
                  transfer={transfer}
                  pace={paces.get(transferKey(key, transfer))}
                />
              ))}
            </ul>
          )}
          <AskedFor arriving={arriving} />
        </>
      )}
    </li>
  );
}

const steps = ['listing', 'fetching', 'inspecting'] as const;

/** Where it is of the three steps; the words say it, the line shows it. */
function Phase({ phase }: { readonly phase: Arriving['phase'] | 'gone' }): ReactElement {
  const reached = phase === 'gone' ? steps.length : steps.indexOf(phase);
  return (
    <p className="phase">
      <span className="phase-steps" aria-hidden="true">
        {steps.map((step, index) => (
          <span key={step} className={index < reached ? 'past' : index === reached ? 'now' : undefined} />
        ))}
      </span>
      {phase === 'gone' ? 'Left the queue' : `${phaseWords[phase]}, step ${reached + 1} of ${steps.length}`}
    </p>
  );
}

function Gone({ arriving }: { readonly arriving: Arriving }): ReactElement {
  return (
    <p className="why">
      {arriving.artifact === null ? (
        <Link to={{ page: 'inventory', search: arriving.repository.id }}>Look for it in the inventory</Link>
      ) : (
        <Link to={{ page: 'artifact', digest: arriving.artifact }}>See what was decided</Link>
      )}
    </p>
  );
}

function TransferRow({
  transfer,
  pace,
}: {
  readonly transfer: Transfer;
  readonly pace: Pace | undefined;
}): ReactElement {
  const { path, sizeBytes, receivedBytes, readers, state } = transfer;
  return (
    <li>
      <code className="path">
        <Text value={path} />
      </code>
      <progress
        aria-label={`${spellVisible(path)}, bytes received`}
        max={Math.max(sizeBytes, 1)}
        value={sizeBytes === 0 ? 1 : Math.min(receivedBytes, sizeBytes)}
      />
      <p className="gauges">
        <span className="received">
          {formatSize(receivedBytes)} of {formatSize(sizeBytes)}
        </span>
        <span className="rate">
          {pace?.bytesPerSecond === undefined || state !== 'fetching'
            ? ''
            : `${formatSize(Math.round(pace.bytesPerSecond))}/s`}
        </span>
        <span className="left">{progressWords(transfer, pace)}</span>
        <span className="readers">{readers === 0 ? '' : count(readers, 'reader')}</span>
      </p>
    </li>
  );
}

function progressWords({ state, sizeBytes }: Transfer, pace: Pace | undefined): string {
  if (state !== 'fetching') return transferWords[state];
  const still = secondsStill(pace);
  if (still !== undefined) return `no byte for ${formatDuration(still)}`;
  const left = secondsLeft(pace, sizeBytes);
  return left === undefined ? transferWords.fetching : `${formatLeft(left)} left`;
}

/** Files that were asked for and are not among the transfers shown. */
function AskedFor({
  arriving: { paths, pathCount, transfers },
}: {
  readonly arriving: Arriving;
}): ReactElement | null {
  const moving = new Set(transfers.slice(0, shown).map(({ path }) => path));
  const others = paths.filter((path) => !moving.has(path));
  const [first, second, third] = others;
  const total = pathCount - paths.length + others.length;
  if (first === undefined) return null;
  const named = [first, second, third].filter((path) => path !== undefined);
  return (
    <p className="asked faint">
      {transfers.length === 0 ? 'Asked for:' : 'Also asked for:'}{' '}
      {named.map((path) => (
        <code key={path}>
          <Text value={path} />
        </code>
      ))}
      {total > named.length ? <span>and {total - named.length} more</span> : null}
    </p>
  );
}
