import { useEffect, useState, type ReactElement } from 'react';
import { count, formatSize } from '../format.ts';
import { Badge } from '../parts/badge.tsx';
import { DecisionCard, logIndexes } from '../parts/decision-card.tsx';
import { Digest } from '../parts/digest.tsx';
import { Files } from '../parts/files.tsx';
import { collectFindings, Findings } from '../parts/findings.tsx';
import { ApproveDialog, DenyDialog } from '../parts/judge.tsx';
import { Link } from '../parts/link.tsx';
import { SandboxSection } from '../parts/sandbox.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { Text } from '../parts/text.tsx';
import { Timeline } from '../parts/timeline.tsx';
import { useAnswer } from '../use-answer.ts';
import { rootWords, type Artifact } from '../words.ts';

/** One artifact: what was decided and what would change it, what was found, and the evidence behind both. */
export function ArtifactPage({ digest }: { readonly digest: string }): ReactElement {
  const answer = useAnswer(`artifact ${digest}`, (client, signal) => client.showArtifact(digest, signal));
  const title = answer.value?.snapshots[0]?.repository.id ?? digest.slice(0, 15);
  useEffect(() => {
    document.title = `${title} · Weighbridge`;
  }, [title]);
  return (
    <>
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to={{ page: 'inventory', search: '' }}>All artifacts</Link>
      </nav>
      {answer.refusal === undefined ? null : answer.refusal.status === 404 ? (
        <Empty title="This artifact is not here">
          No artifact <code>{digest}</code> is visible in this namespace.
        </Empty>
      ) : (
        <Failed refusal={answer.refusal} again={answer.reload} />
      )}
      {answer.value === undefined ? (
        answer.refusal === undefined ? (
          <Loading what="the artifact" />
        ) : null
      ) : (
        <Whole artifact={answer.value} reload={answer.reload} />
      )}
    </>
  );
}

function Whole({
  artifact,
  reload,
}: {
  readonly artifact: Artifact;
  readonly reload: () => void;
}): ReactElement {
  const [dialog, setDialog] = useState<'approve' | 'deny' | undefined>();
  const [notice, setNotice] = useState('');
  const close = (): void => setDialog(undefined);
  const recorded = (words: string): void => {
    setDialog(undefined);
    setNotice(words);
    reload();
  };
  return (
    <>
      <div className="title-row">
        <Heading artifact={artifact} />
        <div className="actions">
          <button type="button" className="primary" onClick={() => setDialog('approve')}>
            Approve…
          </button>
          <button type="button" className="danger" onClick={() => setDialog('deny')}>
            Refuse…
          </button>
        </div>
      </div>
      <p className="notice" role="status">
        {notice}
      </p>
      <div className="columns">
        <div>
          <Decisions artifact={artifact} />
          <FindingSection artifact={artifact} />
          <SandboxSection artifact={artifact.artifact} changed={reload} />
          <FileSection artifact={artifact} />
        </div>
        <aside>
          <section aria-labelledby="evidence">
            <h2 id="evidence">Evidence</h2>
            {artifact.evidence.length === 0 ? (
              <p className="faint">Nothing has been recorded about this artifact yet.</p>
            ) : (
              <Timeline evidence={artifact.evidence} />
            )}
          </section>
          <Identity artifact={artifact} />
        </aside>
      </div>
      {dialog === 'approve' ? <ApproveDialog artifact={artifact} close={close} recorded={recorded} /> : null}
      {dialog === 'deny' ? <DenyDialog artifact={artifact} close={close} recorded={recorded} /> : null}
    </>
  );
}

function Heading({ artifact }: { readonly artifact: Artifact }): ReactElement {
  const snapshot = artifact.snapshots[0];
  const size = artifact.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const present = artifact.files.filter((file) => file.present).length;
  return (
    <div className="title">
      <h1>{snapshot === undefined ? 'Artifact' : <Text value={snapshot.repository.id} />}</h1>
      <p className="facts">
        {snapshot?.references.map((reference) => (
          <span key={reference} className="tag">
            <Text value={reference} />
          </span>
        ))}
        <span>{artifact.tier} risk</span>
        <span>{formatSize(size)}</span>
        <span>
          {count(artifact.files.length, 'file')}
          {present === artifact.files.length ? '' : `, ${present} here`}
        </span>
        <Digest value={artifact.artifact} label="artifact digest" />
      </p>
    </div>
  );
}

function Decisions({ artifact }: { readonly artifact: Artifact }): ReactElement {
  const indexes = logIndexes(artifact.evidence);
  return (
    <section aria-labelledby="decisions">
      <h2 id="decisions">Decision</h2>
      {artifact.decisions.length === 0 ? (
        <p className="faint">
          Nobody has asked about this artifact yet. A pull is a question; so is an approval.
        </p>
      ) : (
        artifact.decisions.map((explained) => (
          <DecisionCard key={explained.environment} explained={explained} indexes={indexes} />
        ))
      )}
    </section>
  );
}

function FindingSection({ artifact }: { readonly artifact: Artifact }): ReactElement {
  const found = collectFindings(artifact);
  const unread = artifact.files.filter(
    (file) => !file.present || file.scan === null || file.scan.completeness === 'inconclusive',
  ).length;
  return (
    <section aria-labelledby="findings">
      <h2 id="findings">
        Findings {found.length > 0 ? <span className="number">{found.length}</span> : null}
      </h2>
      {found.length > 0 ? (
        <Findings found={found} />
      ) : unread === 0 ? (
        <p>
          <Badge tone="good" word="Clean" /> Every byte was read, and no rule found anything.
        </p>
      ) : (
        <p>
          <Badge tone="caution" word="Inconclusive" /> Nothing was found in what was read, but{' '}
          {count(unread, 'file')} could not be read in full or {unread === 1 ? 'is' : 'are'} not here. That is
          not clean.
        </p>
      )}
    </section>
  );
}

function FileSection({ artifact }: { readonly artifact: Artifact }): ReactElement {
  return (
    <section aria-labelledby="files">
      <h2 id="files">
        Files <span className="number">{artifact.files.length}</span>
      </h2>
      <Files files={artifact.files} />
    </section>
  );
}

function Identity({ artifact }: { readonly artifact: Artifact }): ReactElement {
  const roots = (['all', 'loading', 'weights'] as const).flatMap((name) => {
    const digest = artifact.roots[name];
    return digest === null ? [] : [{ name, digest }];
  });
  return (
    <section aria-labelledby="identity">
      <h2 id="identity">Identity</h2>
      <dl className="identity">
        {roots.map(({ name, digest }) => (
          <div key={name}>
            <dt>{rootWords[name].name}</dt>
            <dd>
              <Digest value={digest} label={`digest of ${rootWords[name].name}`} />
            </dd>
          </div>
        ))}
        {artifact.snapshots.map((snapshot) => (
          <div key={`${snapshot.repository.type} ${snapshot.repository.id} ${snapshot.commit}`}>
            <dt>
              <Text value={snapshot.repository.id} />
              {snapshot.provisional ? ' (provisional)' : ''}
            </dt>
            <dd>
              <code title={snapshot.commit}>commit {snapshot.commit.slice(0, 12)}</code>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
