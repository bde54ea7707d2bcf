import type { ReactElement } from 'react';
import { formatDistance, formatInstant } from '../format.ts';

/** A point in time, absolute in UTC, or only its day; the distance from now on hover. */
export function Instant({ value, day }: { readonly value: string; readonly day?: boolean }): ReactElement {
  return (
    <time dateTime={value} title={formatDistance(value, Date.now())}>
      {day === true ? formatInstant(value).replace(/,.*$/, '') : formatInstant(value)}
    </time>
  );
}
