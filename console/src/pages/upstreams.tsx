import { useEffect, type ReactElement, type ReactNode } from 'react';
import type { ShowUpstreamsAnswer } from '../api/client.ts';
import { count, formatDistance } from '../format.ts';
import { Badge } from '../parts/badge.tsx';
import { Instant } from '../parts/instant.tsx';
import { Failed, Loading } from '../parts/states.tsx';
import { Sentence, Text } from '../parts/text.tsx';
import { healthWords, incidentWords, roleOfHost } from '../queue-words.ts';
import { useAnswer } from '../use-answer.ts';
import { useLive } from '../use-live.ts';
import { sentence } from '../words.ts';

type Upstream = ShowUpstreamsAnswer['upstreams'][number];
type Incident = ShowUpstreamsAnswer['incidents'][number];

const everyMs = 5000;

/** How the hosts that files come from behave now, and what the log has against them. */
export function UpstreamsPage(): ReactElement {
  useEffect(() => {
    document.title = 'Upstreams · Weighbridge';
  }, []);
  const answer = useAnswer('upstreams', (client, signal) => client.showUpstreams(signal));
  useLive(answer, everyMs);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Upstreams</h1>
          <p className="faint">Where files come from: how it answers now, and what it did wrong.</p>
        </div>
      </div>
      {answer.refusal === undefined ? null : (
        <div className={answer.value === undefined ? undefined : 'afloat'}>
          <Failed refusal={answer.refusal} again={answer.reload} />
        </div>
      )}
      {answer.value === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the upstreams" />
        ) : null
      ) : (
        <>
          <section aria-label="Hosts">
            <ul className="hosts">
              {answer.value.upstreams.map((upstream) => (
                <Host key={upstream.host} upstream={upstream} />
              ))}
            </ul>
          </section>
          <Incidents incidents={answer.value.incidents} />
        </>
      )}
    </>
  );
}

function Host({ upstream }: { readonly upstream: Upstream }): ReactElement {
  const { tone, word, meaning } = healthWords[upstream.state];
  const { lastFailure, rateLimit } = upstream;
  return (
    <li className={`host ${tone}`}>
      <div className="host-head">
        <div>
          <h2>
            <Text value={upstream.host} />
          </h2>
          <p className="faint">{roleOfHost[upstream.role]}</p>
        </div>
        <Badge tone={tone} word={word} />
      </div>
      {upstream.state === 'well' ? null : <p>{meaning}</p>}
      <dl className="measures">
        <Measure name="Last success">
          {upstream.lastSuccessAt === null ? (
            <span className="faint">{upstream.requests === 0 ? 'not asked yet' : 'none yet'}</span>
          ) : (
            <Moment value={upstream.lastSuccessAt} />
          )}
        </Measure>
        <Measure name="Last failure">
          {lastFailure === null ? (
            <span className="faint">none</span>
          ) : (
            <>
              <Moment value={lastFailure.at} />
              <span className="said">
                <Sentence value={sentence(lastFailure.message)} />
              </span>
            </>
          )}
        </Measure>
        <Measure name="Since the start">
          {count(upstream.requests, 'request')}, {upstream.failures} failed
        </Measure>
        <Measure name="Now">
          {upstream.active} under way, {upstream.waiting} waiting
        </Measure>
        <Measure name="Rate limit">
          {rateLimit === null ? (
            <span className="faint">it named none</span>
          ) : (
            <>
              {count(rateLimit.remaining, 'request')} left
              {rateLimit.resetsAt === null ? null : (
                <>
                  , anew at <Moment value={rateLimit.resetsAt} />
                </>
              )}
            </>
          )}
        </Measure>
        <Measure name="Incidents in 24 hours">{upstream.incidents24h}</Measure>
      </dl>
    </li>
  );
}

/** A point in time of which the distance matters most. */
function Moment({ value }: { readonly value: string }): ReactElement {
  return (
    <>
      <Instant value={value} />
      <span className="faint"> ({formatDistance(value, Date.now())})</span>
    </>
  );
}

function Measure({ name, children }: { readonly name: string; readonly children: ReactNode }): ReactElement {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Incidents({ incidents }: { readonly incidents: readonly Incident[] }): ReactElement {
  return (
    <section aria-labelledby="incidents" className="below">
      <h2 id="incidents">Newest incidents</h2>
      {incidents.length === 0 ? (
        <p className="faint">
          None is recorded. What an upstream does wrong will stand here, signed and in the log, whatever
          became of the download.
        </p>
      ) : (
        <ul className="findings">
          {incidents.map((incident) => (
            <IncidentRow key={incident.logIndex} incident={incident} />
          ))}
        </ul>
      )}
    </section>
  );
}

function IncidentRow({ incident }: { readonly incident: Incident }): ReactElement {
  const { tone, word } = incidentWords(incident.kind);
  return (
    <li>
      <p className="what">
        <Badge tone={tone} word={word} />
        <Sentence value={sentence(incident.message)} />
      </p>
      <p className="place">
        <code>
          <Text value={incident.source} />
        </code>
        {incident.path === null ? null : (
          <code>
            <Text value={incident.path} />
          </code>
        )}
      </p>
      <p className="place faint">
        <Instant value={incident.at} />
        <Text value={incident.upstream} />
        <span>log {incident.logIndex}</span>
        <span className="rule">{incident.kind}</span>
      </p>
    </li>
  );
}
