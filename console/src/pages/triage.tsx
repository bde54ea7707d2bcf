import { useEffect, useRef, useState, type ReactElement } from 'react';
import type { Refusal, TriageRepositoryAnswer, TriageRepositoryBody } from '../api/client.ts';
import { count, formatDuration } from '../format.ts';
import { Failed } from '../parts/states.tsx';
import { Text } from '../parts/text.tsx';
import { TriageForm } from '../parts/triage-form.tsx';
import { TriageReport } from '../parts/triage-report.tsx';
import { triageWords } from '../queue-words.ts';
import { useSession } from '../session.ts';
import { spellVisible } from '../visible.ts';

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'looking'; readonly wish: TriageRepositoryBody }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'done'; readonly report: TriageRepositoryAnswer };

/** A look at a repository before it is pulled: what its headers, pickles and configuration say. */
export function TriagePage(): ReactElement {
  useEffect(() => {
    document.title = 'Triage · Weighbridge';
  }, []);
  const { client, end } = useSession();
  const [state, setState] = useState<State>({ kind: 'idle' });
  const under = useRef<AbortController>(undefined);
  useEffect(() => () => under.current?.abort(), []);
  const look = async (wish: TriageRepositoryBody): Promise<void> => {
    under.current?.abort();
    const controller = new AbortController();
    under.current = controller;
    setState({ kind: 'looking', wish });
    const answer = await client.triageRepository(wish, controller.signal).catch(() => undefined);
    if (controller.signal.aborted || answer === undefined) return;
    if (answer.ok) setState({ kind: 'done', report: answer.value });
    else if (answer.refusal.status === 401) end('The server no longer accepts this token.');
    else setState({ kind: 'refused', refusal: answer.refusal });
  };
  const stop = (): void => {
    under.current?.abort();
    setState({ kind: 'idle' });
  };
  return (
    <>
      <div className="page-head">
        <div>
          <h1>Look before you pull</h1>
          <p className="faint">
            Reads only what tells the most: headers, archives’ directories, pickles, templates and
            configuration.
          </p>
        </div>
      </div>
      <p className="remark" role="note">
        <strong>A triage is not a scan and allows nothing.</strong> It is a hint about what upstream has now.
        It is not recorded, no decision rests on it, and what is pulled is weighed in full all the same.
      </p>
      <TriageForm busy={state.kind === 'looking'} look={(wish) => void look(wish)} />
      <div className="triage-answer">
        {state.kind === 'looking' ? <Looking id={state.wish.repository} stop={stop} /> : null}
        {state.kind === 'refused' ? <Failed refusal={state.refusal} /> : null}
        <p className="hidden" role="status">
          {state.kind === 'done' ? triageSentence(state.report) : ''}
        </p>
        {state.kind === 'done' ? <TriageReport report={state.report} /> : null}
      </div>
    </>
  );
}

/** For those who hear the page. */
function triageSentence({ repository, verdict, files }: TriageRepositoryAnswer): string {
  const found = files.reduce((sum, { findings }) => sum + findings.length, 0);
  return `${spellVisible(repository.id)}: ${triageWords[verdict].word}, ${count(found, 'finding')}. Not a scan.`;
}

function Looking({ id, stop }: { readonly id: string; readonly stop: () => void }): ReactElement {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((now) => now + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className="looking">
      <div>
        <p role="status">
          Asking upstream about{' '}
          <strong>
            <Text value={id} />
          </strong>
          …
        </p>
        <p className="faint">
          {formatDuration(seconds)} so far. A large repository takes some seconds; the server looks at two at
          a time.
        </p>
      </div>
      <button type="button" onClick={stop}>
        Stop
      </button>
    </div>
  );
}
