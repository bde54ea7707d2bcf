import { useEffect } from 'react';
import type { AnswerState } from './use-answer.ts';

/**
 * Asks again `everyMs` after each answer while somebody looks at the page, three times less often while the server
 * refuses. Undefined = not until it is told to go on.
 */
export function useLive(
  { loading, refusal, reload }: Pick<AnswerState<unknown>, 'loading' | 'refusal' | 'reload'>,
  everyMs: number | undefined,
): void {
  const pauseMs = everyMs === undefined ? undefined : refusal === undefined ? everyMs : everyMs * 3;
  useEffect(() => {
    if (loading || pauseMs === undefined) return undefined;
    const timer = setTimeout(() => {
      // A hidden page is asked for again when it is looked at: useAnswer does that.
      if (document.visibilityState === 'visible') reload();
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [loading, pauseMs, reload]);
}
