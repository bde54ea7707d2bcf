import { useState, type ReactElement } from 'react';
import { count, formatSize } from '../format.ts';
import { roleWords, scanWords, type ArtifactFile } from '../words.ts';
import { Badge } from './badge.tsx';
import { Digest } from './digest.tsx';
import { Text } from './text.tsx';

const step = 100;

/** The files of the artifact with what is known of each. Long lists open a hundred at a time. */
export function Files({ files }: { readonly files: readonly ArtifactFile[] }): ReactElement {
  const [limit, setLimit] = useState(step);
  return (
    <>
      <ul className="files">
        {files.slice(0, limit).map((file) => (
          <li key={file.path}>
            <code className="path">
              <Text value={file.path} />
            </code>
            <span className="facts">
              <span>{roleWords[file.role]}</span>
              <span>{formatSize(file.sizeBytes)}</span>
              <Digest value={file.digest} label={`digest of ${file.path}`} />
              {file.scan === null || file.scan.formats.length === 0 ? null : (
                <span>
                  <Text value={file.scan.formats.join(', ')} />
                </span>
              )}
            </span>
            <span className="state">
              {file.present ? (
                <Badge
                  {...(file.scan === null
                    ? scanWords('unknown', 'inconclusive')
                    : scanWords(file.scan.verdict, file.scan.completeness))}
                />
              ) : (
                <Badge tone="quiet" word="Absent" />
              )}
            </span>
          </li>
        ))}
      </ul>
      {files.length > limit ? (
        <button type="button" onClick={() => setLimit(limit + step * 5)}>
          Show more of {count(files.length, 'file')}
        </button>
      ) : null}
    </>
  );
}
