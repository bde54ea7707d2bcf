import { useEffect, useState, type ReactElement } from 'react';
import type { ListAdoptionsAnswer, Refusal } from '../api/client.ts';
import { adoptionCommand, AdoptionNumbers } from '../parts/adoption-numbers.tsx';
import { count, formatSize } from '../format.ts';
import { Instant } from '../parts/instant.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { useSession } from '../session.ts';
import { useAnswer } from '../use-answer.ts';

type Row = ListAdoptionsAnswer['items'][number];

/** What was on the organisation's machines before: every report of `weighbridge adopt`, newest first. */
export function AdoptionsPage(): ReactElement {
  useEffect(() => {
    document.title = 'Adoptions · Weighbridge';
  }, []);
  const answer = useAnswer('adoptions', (client, signal) => client.listAdoptions({}, signal));
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Adoptions</h1>
          <p className="faint">
            What is on machines already: looked at by <code>weighbridge adopt</code>, nothing enforced.
          </p>
        </div>
      </div>
      {answer.refusal === undefined ? null : <Failed refusal={answer.refusal} again={answer.reload} />}
      {answer.value === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the adoptions" />
        ) : null
      ) : (
        <Rows key={answer.value.items[0]?.id ?? ''} first={answer.value} />
      )}
    </>
  );
}

function Rows({ first }: { readonly first: ListAdoptionsAnswer }): ReactElement {
  const { client, end } = useSession();
  const [more, setMore] = useState<readonly ListAdoptionsAnswer[]>([]);
  const [refusal, setRefusal] = useState<Refusal | undefined>();
  const [busy, setBusy] = useState(false);
  const pages = [first, ...more];
  const items = pages.flatMap((page) => page.items);
  const next = pages.at(-1)?.next ?? null;
  const load = async (before: string): Promise<void> => {
    setBusy(true);
    const answer = await client.listAdoptions({ before });
    setBusy(false);
    if (answer.ok) setMore([...more, answer.value]);
    else if (answer.refusal.status === 401) end('The server no longer accepts this token.');
    setRefusal(answer.ok ? undefined : answer.refusal);
  };
  if (items.length === 0) {
    return (
      <Empty title="Nothing has been adopted yet">
        On a machine that holds models, run <code>{adoptionCommand}</code>: the report will appear here.
      </Empty>
    );
  }
  return (
    <section aria-label="Adoptions">
      <ul className="rows">
        {items.map((row) => (
          <AdoptionRow key={row.id} row={row} />
        ))}
      </ul>
      {refusal === undefined ? null : <Failed refusal={refusal} />}
      {next === null ? (
        <p className="faint end">{count(items.length, 'adoption')}</p>
      ) : (
        <p className="end">
          <button type="button" disabled={busy} onClick={() => void load(next)}>
            {busy ? 'Loading…' : 'Show older adoptions'}
          </button>
        </p>
      )}
    </section>
  );
}

function AdoptionRow({ row }: { readonly row: Row }): ReactElement {
  return (
    <li className={row.risks.critical + row.risks.high > 0 ? 'row adoption bad' : 'row adoption'}>
      <div className="name">
        <Link to={{ page: 'adoption', id: row.id }}>
          {count(row.models, 'model')}, {formatSize(row.sizeBytes)}
        </Link>
        <p className="faint">
          <span>
            looked at <Instant value={row.lookedAt} />
          </span>
          <span>log {row.logIndex}</span>
        </p>
      </div>
      <div className="origins">
        <span>
          {row.origins.proved} of {count(row.models, 'origin')} proved
        </span>
        {row.complete ? null : <span className="faint">not everything was looked at</span>}
      </div>
      <AdoptionNumbers risks={row.risks} />
    </li>
  );
}
