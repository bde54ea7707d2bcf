import type { ReactElement, ReactNode } from 'react';
import type { Refusal } from '../api/client.ts';
import { sentence } from '../words.ts';
import { Sentence } from './text.tsx';

/** Something is being asked for. Grey lines where the answer will stand. */
export function Loading({ what }: { readonly what: string }): ReactElement {
  return (
    <div className="loading" role="status">
      <span className="hidden">Loading {what}…</span>
      {['wide', 'middle', 'wide', 'short'].map((width, index) => (
        // oxlint-disable-next-line react/no-array-index-key
        <span key={index} className={`bone ${width}`} aria-hidden="true" />
      ))}
    </div>
  );
}

/** Nothing is there, and that is an answer. */
export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ReactNode;
}): ReactElement {
  return (
    <div className="empty">
      <h2>{title}</h2>
      <p>{children}</p>
    </div>
  );
}

/** A refusal of the server, in its words. */
export function Failed({
  refusal,
  again,
}: {
  readonly refusal: Refusal;
  readonly again?: () => void;
}): ReactElement {
  return (
    <div className="failed" role="alert">
      <strong>
        <Sentence value={sentence(refusal.message)} />
      </strong>
      {refusal.hint === undefined ? null : (
        <p>
          <Sentence value={sentence(refusal.hint)} />
        </p>
      )}
      <p className="faint">
        <code>{refusal.code}</code>
        {again === undefined ? null : (
          <button type="button" className="small" onClick={again}>
            Try again
          </button>
        )}
      </p>
    </div>
  );
}
