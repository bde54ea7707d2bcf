import { useEffect, useMemo, useState, type ReactElement } from 'react';
import type { ShowAdoptionAnswer } from '../api/client.ts';
import { AdoptionNumbers } from '../parts/adoption-numbers.tsx';
import { count, formatSize, shortDigest } from '../format.ts';
import { Badge } from '../parts/badge.tsx';
import { Instant } from '../parts/instant.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { Sentence, Text } from '../parts/text.tsx';
import { storedToken } from '../session.ts';
import { useAnswer } from '../use-answer.ts';
import { scanWords, sentence, severityOrder, severityTones, severityWords } from '../words.ts';
import { layoutWords, originWords, riskWords } from '../adoption-words.ts';

type Report = ShowAdoptionAnswer['report'];
type Risk = Report['risks'][number];
type Model = Report['models'][number];

/** One report: numbers, the risks of that day with the gravest first, and the models with their origin. */
export function AdoptionPage({ id }: { readonly id: string }): ReactElement {
  const answer = useAnswer(`adoption ${id}`, (client, signal) => client.showAdoption(id, signal));
  useEffect(() => {
    document.title = 'Adoption · Weighbridge';
  }, []);
  return (
    <>
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to={{ page: 'adoptions' }}>All adoptions</Link>
      </nav>
      {answer.refusal === undefined ? null : answer.refusal.status === 404 ? (
        <Empty title="This adoption is not here">
          No report <code>{id}</code> is visible in this namespace.
        </Empty>
      ) : (
        <Failed refusal={answer.refusal} again={answer.reload} />
      )}
      {answer.value === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the adoption" />
        ) : null
      ) : (
        <Whole answer={answer.value} />
      )}
    </>
  );
}

function Whole({ answer: { adoption, report } }: { readonly answer: ShowAdoptionAnswer }): ReactElement {
  const { totals } = report;
  const wasted = totals.duplicateBytes + totals.unreferencedBytes + totals.partialBytes;
  return (
    <>
      <div className="title-row">
        <div className="title">
          <h1>What was there</h1>
          <p className="facts">
            <span>
              looked at <Instant value={report.at} />
            </span>
            <span>log {adoption.logIndex}</span>
            <code title={adoption.id}>{shortDigest(adoption.id)}</code>
          </p>
        </div>
        <div className="actions">
          <Download id={adoption.id} />
        </div>
      </div>
      {report.complete ? null : (
        <div className="incomplete" role="note">
          <strong>Not everything was looked at.</strong>
          <ul>
            {report.incompleteReasons.map((reason) => (
              <li key={reason}>
                <Sentence value={sentence(reason)} />
              </li>
            ))}
          </ul>
        </div>
      )}
      <dl className="totals">
        <Total value={String(totals.models)} label={totals.models === 1 ? 'model' : 'models'} />
        <Total value={formatSize(totals.sizeBytes)} label={`in ${count(totals.files, 'file')}`} />
        <Total value={`${totals.origins.proved} of ${totals.models}`} label="origins proved" />
        <Total value={formatSize(wasted)} label="wasted: copies and leftovers" />
      </dl>
      <RiskSection report={report} />
      <ModelSection models={report.models} />
    </>
  );
}

function Total({ value, label }: { readonly value: string; readonly label: string }): ReactElement {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** The page for people who have no console: fetched with the token, saved by the browser. */
function Download({ id }: { readonly id: string }): ReactElement {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle');
  const save = async (): Promise<void> => {
    setState('busy');
    try {
      const answer = await fetch(`/wb/v1/adoptions/${encodeURIComponent(id)}/report.html`, {
        headers: { authorization: `Bearer ${storedToken() ?? ''}` },
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
      if (!answer.ok) throw new Error(answer.statusText);
      const address = URL.createObjectURL(await answer.blob());
      const anchor = document.createElement('a');
      anchor.href = address;
      anchor.download = `adoption-${id.slice('sha256:'.length, 19)}.html`;
      anchor.click();
      URL.revokeObjectURL(address);
      setState('idle');
    } catch {
      setState('failed');
    }
  };
  return (
    <>
      <button type="button" disabled={state === 'busy'} onClick={() => void save()}>
        Save as HTML
      </button>
      {state === 'failed' ? (
        <span className="problem" role="alert">
          The report could not be fetched.
        </span>
      ) : null}
    </>
  );
}

const shownRisks = 100;

function RiskSection({ report }: { readonly report: Report }): ReactElement {
  const [severity, setSeverity] = useState<Risk['severity'] | 'all'>('all');
  const [search, setSearch] = useState('');
  const [limit, setLimit] = useState(shownRisks);
  const matching = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return report.risks.filter(
      (risk) =>
        (severity === 'all' || risk.severity === severity) &&
        (wanted === '' || haystack(report, risk).includes(wanted)),
    );
  }, [report, severity, search]);
  const counts = report.totals.risks;
  return (
    <section aria-labelledby="risks">
      <h2 id="risks">
        Risks of that day <span className="number">{report.risks.length}</span>
      </h2>
      {report.risks.length === 0 ? (
        <p className="faint">None were found.</p>
      ) : (
        <>
          <div className="filters">
            <div role="group" aria-label="Severity" className="severities">
              {(['all', ...severityOrder] as const).map((one) => (
                <button
                  key={one}
                  type="button"
                  className="small"
                  aria-pressed={severity === one}
                  onClick={() => {
                    setSeverity(one);
                    setLimit(shownRisks);
                  }}
                >
                  {one === 'all' ? 'All' : `${severityWords[one]} ${counts[one]}`}
                </button>
              ))}
            </div>
            <label htmlFor="risk-search" className="hidden">
              Filter by model, file or words
            </label>
            <input
              id="risk-search"
              type="search"
              value={search}
              maxLength={200}
              placeholder="Model, file or words"
              onChange={(event) => setSearch(event.target.value)}
            />
          </div>
          {matching.length === 0 ? <p className="faint">No risk matches.</p> : null}
          <ul className="findings" aria-label="Risks">
            {matching.slice(0, limit).map((risk, index) => (
              // The list is not changed in place.
              // oxlint-disable-next-line react/no-array-index-key
              <RiskRow key={index} risk={risk} model={modelOf(report, risk)} />
            ))}
          </ul>
          {matching.length > limit ? (
            <p className="end">
              <button type="button" onClick={() => setLimit(limit + 500)}>
                Show more of {count(matching.length, 'risk')}
              </button>
            </p>
          ) : null}
        </>
      )}
    </section>
  );
}

function modelOf(report: Report, { model }: Risk): Model | undefined {
  return model === null ? undefined : report.models[model];
}

function haystack(report: Report, risk: Risk): string {
  return [
    riskWords[risk.kind],
    risk.message,
    risk.rule ?? '',
    modelOf(report, risk)?.name ?? '',
    ...risk.paths,
  ]
    .join('\n')
    .toLowerCase();
}

function RiskRow({ risk, model }: { readonly risk: Risk; readonly model: Model | undefined }): ReactElement {
  const more = risk.count - risk.paths.length;
  return (
    <li>
      <p className="what">
        <Badge tone={severityTones[risk.severity]} word={severityWords[risk.severity]} />
        <strong>{riskWords[risk.kind]}</strong>
        {model === undefined ? null : (
          <span>
            in <Text value={model.name} />
          </span>
        )}
      </p>
      <p className="said">
        <Sentence value={sentence(risk.message)} />
      </p>
      {risk.paths.length === 0 && risk.rule === null ? null : (
        <p className="place">
          {risk.paths.map((path, index) => (
            // Two files may be called the same in what is shown.
            // oxlint-disable-next-line react/no-array-index-key
            <code key={index}>
              <Text value={path} />
            </code>
          ))}
          {risk.paths.length > 0 && more > 0 ? <span className="faint">and {more} more</span> : null}
          {risk.rule === null ? null : (
            <span className="rule">
              <Text value={risk.rule} />
            </span>
          )}
        </p>
      )}
      <p className="remedy">
        <Sentence value={sentence(risk.remedy)} />
      </p>
    </li>
  );
}

const shownModels = 200;

function ModelSection({ models }: { readonly models: readonly Model[] }): ReactElement {
  const [limit, setLimit] = useState(shownModels);
  return (
    <section aria-labelledby="models">
      <h2 id="models">
        Models <span className="number">{models.length}</span>
      </h2>
      {models.length === 0 ? <p className="faint">No model was found there.</p> : null}
      <ul className="rows">
        {models.slice(0, limit).map((model, index) => (
          // oxlint-disable-next-line react/no-array-index-key
          <ModelRow key={index} model={model} />
        ))}
      </ul>
      {models.length > limit ? (
        <p className="end">
          <button type="button" onClick={() => setLimit(limit + 1000)}>
            Show more of {count(models.length, 'model')}
          </button>
        </p>
      ) : null}
    </section>
  );
}

function ModelRow({ model }: { readonly model: Model }): ReactElement {
  return (
    <li className={model.risks.critical + model.risks.high > 0 ? 'row adoption bad' : 'row adoption'}>
      <div className="name">
        <strong>
          <Text value={model.name} />
        </strong>
        <p className="faint">
          <span>{layoutWords[model.layout]}</span>
          {model.source?.commit == null ? null : <code>{model.source.commit.slice(0, 12)}</code>}
          <span>{count(model.fileCount, 'file')}</span>
          <span>{formatSize(model.sizeBytes)}</span>
        </p>
        <p className="faint where">
          <Text value={model.location} />
        </p>
      </div>
      <div className="origins">
        <Badge {...originWords[model.origin.state]} />
        <span className="faint">
          <Sentence value={sentence(model.origin.detail)} />
        </span>
      </div>
      <div className="numbers">
        <Badge {...scanWords(model.verdict, model.completeness)} />
        <AdoptionNumbers risks={model.risks} />
      </div>
    </li>
  );
}
