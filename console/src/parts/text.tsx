import type { ReactElement } from 'react';
import { cutVisible } from '../visible.ts';

/**
 * Text that somebody else chose: isolated from the direction of what surrounds it, with characters that would deceive
 * or vanish shown as marks.
 */
export function Text({ value }: { readonly value: string }): ReactElement {
  return (
    <bdi className="text">
      {cutVisible(value).map((piece, index) =>
        piece.kind === 'plain' ? (
          piece.text
        ) : (
          // The pieces of one text never change places.
          // oxlint-disable-next-line react/no-array-index-key
          <span key={index} className="mark" title={`${piece.name} (U+${piece.codePoint})`}>
            U+{piece.codePoint}
          </span>
        ),
      )}
    </bdi>
  );
}

/** A sentence of the server, in which backticks quote what somebody else chose. */
export function Sentence({ value }: { readonly value: string }): ReactElement {
  const parts = value.split(/(`[^`]*`)/);
  return (
    <span className="sentence">
      {parts.map((part, index) =>
        part.length > 2 && part.startsWith('`') && part.endsWith('`') ? (
          // oxlint-disable-next-line react/no-array-index-key
          <code key={index}>
            <Text value={part.slice(1, -1)} />
          </code>
        ) : (
          // oxlint-disable-next-line react/no-array-index-key
          <Text key={index} value={part} />
        ),
      )}
    </span>
  );
}
