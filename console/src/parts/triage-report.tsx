import { useState, type ReactElement } from 'react';
import type { TriageRepositoryAnswer } from '../api/client.ts';
import { count, formatSize } from '../format.ts';
import { formatShare, triageWords } from '../queue-words.ts';
import { sentence, severityOrder } from '../words.ts';
import { Badge, Sign } from './badge.tsx';
import { Findings } from './findings.tsx';
import { Sentence, Text } from './text.tsx';

type File = TriageRepositoryAnswer['files'][number];

/** What a triage came to: the verdict with how much of the repository it rests on, the findings, and each file. */
export function TriageReport({ report }: { readonly report: TriageRepositoryAnswer }): ReactElement {
  const { tone, word } = triageWords[report.verdict];
  const found = report.files
    .flatMap(({ path, findings }) => findings.map((finding) => ({ path, finding })))
    .toSorted(
      (a, b) => severityOrder.indexOf(a.finding.severity) - severityOrder.indexOf(b.finding.severity),
    );
  return (
    <>
      <article className="triage" aria-label={`${word} in ${report.repository.id}`}>
        <header>
          <span className={`stamp ${tone}`}>
            <Sign tone={tone} />
            {word}
          </span>
          <div>
            <h2>
              <Text value={report.repository.id} />
            </h2>
            <p className="facts">
              <span>{report.repository.type}</span>
              <span>
                <Text value={report.repository.revision} />, commit{' '}
                <code title={report.repository.commit}>{report.repository.commit.slice(0, 12)}</code>
              </span>
            </p>
          </div>
        </header>
        <Coverage report={report} />
      </article>
      <section aria-labelledby="findings" className="below">
        <h2 id="findings">
          Findings {found.length > 0 ? <span className="number">{found.length}</span> : null}
        </h2>
        {found.length > 0 ? (
          <Findings found={found} />
        ) : (
          <p className="faint">Nothing was found in what was read. That is not clean.</p>
        )}
      </section>
      <TriagedFiles files={report.files} />
    </>
  );
}

function Coverage({ report }: { readonly report: TriageRepositoryAnswer }): ReactElement {
  const { bytesCovered, bytesTotal, bytesFetched, requests, files } = report;
  const partly = files.filter(({ completeness }) => completeness !== 'complete').length;
  return (
    <div className="coverage">
      <p id="coverage">
        <strong>Bytes read: {formatShare(bytesCovered, bytesTotal)}</strong>, {formatSize(bytesCovered)} of{' '}
        {formatSize(bytesTotal)}
      </p>
      <meter aria-labelledby="coverage" min={0} max={Math.max(bytesTotal, 1)} value={bytesCovered} />
      <p className="faint">
        {partly === 0
          ? `All of ${count(files.length, 'file')} were read to their end and have the digest that upstream declares.`
          : `${partly} of ${count(files.length, 'file')} were not read to their end: whatever is in the rest is not known.`}{' '}
        {count(requests, 'request')}, {formatSize(bytesFetched)} over the network.
      </p>
    </div>
  );
}

const step = 100;
const rank: Readonly<Record<File['verdict'], number>> = { malicious: 0, suspicious: 1, 'nothing found': 2 };

/** How a reason begins that says only that bytes were left where they are: the figure beside it says so too. */
const leftThere = /^not read: \d+ of \d+ bytes$/;

function TriagedFiles({ files }: { readonly files: readonly File[] }): ReactElement {
  const [limit, setLimit] = useState(step);
  const sorted = files.toSorted((a, b) => rank[a.verdict] - rank[b.verdict]);
  return (
    <section aria-labelledby="files" className="below">
      <h2 id="files">
        Files <span className="number">{files.length}</span>
      </h2>
      <ul className="files">
        {sorted.slice(0, limit).map((file) => (
          <li key={file.path}>
            <code className="path">
              <Text value={file.path} />
            </code>
            <span className="facts">
              <span>
                <Text value={file.format} />
              </span>
              <span>
                {file.bytesCovered >= file.sizeBytes
                  ? `all of ${formatSize(file.sizeBytes)} read`
                  : `${formatSize(file.bytesCovered)} of ${formatSize(file.sizeBytes)} read`}
              </span>
              {file.incompleteReasons
                .filter((reason) => !leftThere.test(reason))
                .map((reason) => (
                  <Sentence key={reason} value={sentence(reason)} />
                ))}
            </span>
            <span className="state">
              <Badge {...triageWords[file.verdict]} />
            </span>
          </li>
        ))}
      </ul>
      {files.length > limit ? (
        <p className="end">
          <button type="button" onClick={() => setLimit(limit + step * 5)}>
            Show more of {count(files.length, 'file')}
          </button>
        </p>
      ) : null}
    </section>
  );
}
