import { Fault } from '#lib/fault.ts';
import type { Intake } from '#gates/pull/ports.ts';
import type { Listings } from './listings.ts';
import { listingName } from './remembered.ts';

/**
 * `listings.resolve` for a caller who goes away after a while: hub clients give up on a silent HEAD after 10 s and then report that
 * there is no network. After `waitMs` the answer is what is stored, else Fault `upstream.unavailable`; the question goes on
 * and the next caller profits. A question that is late already makes nobody wait who can be answered from what is stored.
 */
export function resolvePatiently(
  listings: Pick<Listings, 'resolve' | 'stored'>,
  waitMs: number,
): Intake['resolve'] {
  const late = new Set<string>();
  return async (namespace, repository, revision) => {
    const name = listingName(namespace, repository, revision);
    const asking = listings.resolve(namespace, repository, revision);
    const known = late.has(name) ? await listings.stored(namespace, repository, revision) : undefined;
    if (known !== undefined) {
      asking.catch(() => {});
      return known;
    }
    const answer = await within(asking, waitMs);
    if (answer !== undefined) return answer;
    late.add(name);
    const arrived = (): void => void late.delete(name);
    asking.then(arrived, arrived);
    const stored = await listings.stored(namespace, repository, revision);
    if (stored !== undefined) return stored;
    throw notYet();
  };
}

/** The value, or Fault `upstream.unavailable` when it takes longer; the work goes on. */
export async function answerWithin<T>(asking: Promise<T>, waitMs: number): Promise<T> {
  const answer = await within(
    asking.then((value) => ({ value })),
    waitMs,
  );
  if (answer !== undefined) return answer.value;
  throw notYet();
}

function notYet(): Fault {
  return new Fault('upstream.unavailable', 'upstream has not answered yet', {
    hint: 'ask again in a moment; the question to it goes on',
    details: { kind: 'stall', retryAfterSeconds: 5 },
  });
}

/** The value, or undefined when it takes longer. */
async function within<T>(asking: Promise<T>, waitMs: number): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), waitMs);
  try {
    return await Promise.race([asking, over]);
  } finally {
    clearTimeout(timer);
  }
}
