import { useCallback, useEffect, useState } from 'react';
import type { Answered, Client, Refusal } from './api/client.ts';
import { useSession } from './session.ts';

/** What a page knows of an answer. `value` stays while it is asked for again. */
export interface AnswerState<T> {
  readonly value: T | undefined;
  readonly refusal: Refusal | undefined;
  readonly loading: boolean;
  readonly reload: () => void;
}

/**
 * Asks when the page shows, when `key` changes and when the window is looked at again. A refusal of the token ends
 * the session. `load` must depend on nothing but what `key` names.
 */
export function useAnswer<T>(
  key: string,
  load: (client: Client, signal: AbortSignal) => Promise<Answered<T>>,
): AnswerState<T> {
  const { client, end } = useSession();
  const [turn, setTurn] = useState(0);
  const [known, setKnown] = useState<{ key: string; value?: T; refusal?: Refusal; turn: number }>({
    key,
    turn: -1,
  });
  const reload = useCallback(() => setTurn((now) => now + 1), []);

  useEffect(() => {
    const controller = new AbortController();
    load(client, controller.signal).then(
      (answer) => {
        if (controller.signal.aborted) return;
        if (!answer.ok && answer.refusal.status === 401) end('The server no longer accepts this token.');
        setKnown((before) => {
          if (answer.ok) return { key, value: answer.value, turn };
          const kept = before.key === key && before.value !== undefined ? { value: before.value } : {};
          return { key, ...kept, refusal: answer.refusal, turn };
        });
      },
      () => undefined,
    );
    return () => controller.abort();
    // `load` is a new function at each render; `key` says when it differs.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [client, end, key, turn]);

  useEffect(() => {
    const look = (): void => {
      if (document.visibilityState === 'visible') reload();
    };
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, [reload]);

  const current = known.key === key;
  return {
    value: current ? known.value : undefined,
    refusal: current ? known.refusal : undefined,
    loading: !current || known.turn !== turn,
    reload,
  };
}
