import type { ReactElement } from 'react';
import { formatDistance, formatInstant } from '../format.ts';

/** A point in time, absolute in UTC; the distance from now on hover. */
export function Instant({ value }: { readonly value: string }): ReactElement {
  return (
    <time dateTime={value} title={formatDistance(value, Date.now())}>
      {formatInstant(value)}
    </time>
  );
}
