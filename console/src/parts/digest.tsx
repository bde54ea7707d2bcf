import { useState, type ReactElement } from 'react';
import { shortDigest } from '../format.ts';

/** A digest by its two ends, with the whole of it one press away. */
export function Digest({ value, label }: { readonly value: string; readonly label: string }): ReactElement {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard?.writeText(value).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1600);
      },
      () => undefined,
    );
  };
  return (
    <span className="digest">
      <code title={value}>{shortDigest(value)}</code>
      <button type="button" className="plain small" onClick={copy} aria-label={`Copy ${label} ${value}`}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </span>
  );
}
