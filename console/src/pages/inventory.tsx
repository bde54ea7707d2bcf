import { useEffect, useState, type ReactElement } from 'react';
import type { ListArtifactsAnswer, Refusal } from '../api/client.ts';
import { count, formatSize, shortDigest } from '../format.ts';
import { Badge } from '../parts/badge.tsx';
import { Instant } from '../parts/instant.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { Text } from '../parts/text.tsx';
import { go } from '../route.ts';
import { useSession } from '../session.ts';
import { useAnswer } from '../use-answer.ts';
import { scanWords, verdictWords, type ArtifactRow } from '../words.ts';

const pageSize = '50';

/** Every artifact that this namespace sees, newest first. */
export function InventoryPage({ search }: { readonly search: string }): ReactElement {
  useEffect(() => {
    document.title = 'Inventory · Weighbridge';
  }, []);
  const answer = useAnswer(`inventory ${search}`, (client, signal) =>
    client.listArtifacts({ limit: pageSize, ...(search === '' ? {} : { search }) }, signal),
  );
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Inventory</h1>
          <p className="faint">Every artifact that has crossed the bridge, newest first.</p>
        </div>
        <SearchField key={search} search={search} />
      </div>
      {answer.refusal === undefined ? null : <Failed refusal={answer.refusal} again={answer.reload} />}
      {answer.value === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the inventory" />
        ) : null
      ) : (
        <Rows
          key={`${search} ${answer.value.items[0]?.artifact ?? ''}`}
          first={answer.value}
          search={search}
        />
      )}
    </>
  );
}

function SearchField({ search }: { readonly search: string }): ReactElement {
  const [text, setText] = useState(search);
  return (
    <search>
      <form
        className="search"
        onSubmit={(event) => {
          event.preventDefault();
          go({ page: 'inventory', search: text.trim() });
        }}
      >
        <label htmlFor="search" className="hidden">
          Search by repository or digest
        </label>
        <input
          id="search"
          type="search"
          value={text}
          maxLength={200}
          placeholder="Repository or digest"
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit">Search</button>
      </form>
    </search>
  );
}

function Rows({
  first,
  search,
}: {
  readonly first: ListArtifactsAnswer;
  readonly search: string;
}): ReactElement {
  const { client, end } = useSession();
  const [more, setMore] = useState<readonly ListArtifactsAnswer[]>([]);
  const [refusal, setRefusal] = useState<Refusal | undefined>();
  const [busy, setBusy] = useState(false);
  const pages = [first, ...more];
  const items = pages.flatMap((page) => page.items);
  const next = pages.at(-1)?.next ?? null;
  const load = async (before: string): Promise<void> => {
    setBusy(true);
    const answer = await client.listArtifacts({
      limit: pageSize,
      before,
      ...(search === '' ? {} : { search }),
    });
    setBusy(false);
    if (answer.ok) setMore([...more, answer.value]);
    else if (answer.refusal.status === 401) end('The server no longer accepts this token.');
    setRefusal(answer.ok ? undefined : answer.refusal);
  };
  if (items.length === 0) {
    return search === '' ? (
      <Empty title="Nothing has arrived yet">
        Point a Hugging Face client at this server with <code>HF_ENDPOINT</code> and download a model: it will
        appear here, weighed.
      </Empty>
    ) : (
      <Empty title="Nothing matches">
        No repository or digest contains “{search}”.{' '}
        <Link to={{ page: 'inventory', search: '' }}>Show everything</Link>
      </Empty>
    );
  }
  return (
    <section aria-label="Artifacts">
      <div className="row-head" aria-hidden="true">
        <span>Artifact</span>
        <span>Contents</span>
        <span>Scan</span>
        <span>Decision</span>
      </div>
      <ul className="rows">
        {items.map((row) => (
          <Row key={`${row.artifact} ${row.repository.type} ${row.repository.id} ${row.commit}`} row={row} />
        ))}
      </ul>
      {refusal === undefined ? null : <Failed refusal={refusal} />}
      {next === null ? (
        <p className="faint end">{count(items.length, 'artifact')}</p>
      ) : (
        <p className="end">
          <button type="button" disabled={busy} onClick={() => void load(next)}>
            {busy ? 'Loading…' : 'Show older artifacts'}
          </button>
        </p>
      )}
    </section>
  );
}

function Row({ row }: { readonly row: ArtifactRow }): ReactElement {
  const absent = row.fileCount - row.presentCount;
  return (
    <li className={row.decision?.verdict === 'deny' ? 'row bad' : 'row'}>
      <div className="name">
        <Link to={{ page: 'artifact', digest: row.artifact }}>
          <Text value={row.repository.id} />
        </Link>
        <p className="faint">
          {row.repository.type === 'models' ? null : <span>{row.repository.type}</span>}
          {row.references.map((reference) => (
            <span key={reference} className="tag">
              <Text value={reference} />
            </span>
          ))}
          <code title={row.artifact}>{shortDigest(row.artifact)}</code>
        </p>
      </div>
      <div className="contents">
        <span>{formatSize(row.sizeBytes)}</span>
        <span className="faint">
          {count(row.fileCount, 'file')}
          {absent > 0 ? `, ${absent} absent` : ''}
        </span>
      </div>
      <div className="scan">
        <span className="hidden">Scan: </span>
        <Badge {...scanWords(row.verdict, row.completeness)} />
      </div>
      <div className="verdict">
        <span className="hidden">Decision: </span>
        {row.decision === null ? (
          <Badge tone="quiet" word="Undecided" />
        ) : (
          <Badge {...verdictWords[row.decision.verdict]} />
        )}
        <span className="faint">
          {row.decision === null ? `${row.tier} risk` : `${row.decision.environment}, ${row.tier} risk`}
          {row.decision?.validUntil == null ? null : (
            <>
              , until <Instant value={row.decision.validUntil} day />
            </>
          )}
        </span>
      </div>
    </li>
  );
}
