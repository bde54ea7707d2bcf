import type { ReactElement } from 'react';
import type { Tone } from '../words.ts';

const shapes: Readonly<Record<Tone, string>> = {
  good: 'M3.5 8.5l3 3 6-7',
  caution: 'M8 3v6M8 12v1',
  bad: 'M4 4l8 8M12 4l-8 8',
  quiet: 'M4 8h8',
};

/** The sign of a tone: its shape says the same as its colour. */
export function Sign({ tone }: { readonly tone: Tone }): ReactElement {
  return (
    <svg className="sign" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
      <path
        d={shapes[tone]}
        fill="none"
        stroke="currentColor"
        strokeWidth="2.2"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

/** A word with its sign and colour. */
export function Badge({ tone, word }: { readonly tone: Tone; readonly word: string }): ReactElement {
  return (
    <span className={`badge ${tone}`}>
      <Sign tone={tone} />
      {word}
    </span>
  );
}
