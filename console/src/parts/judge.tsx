import { useState, type FormEvent, type ReactElement } from 'react';
import type { Answered, Refusal } from '../api/client.ts';
import { shortDigest } from '../format.ts';
import { useSession } from '../session.ts';
import {
  environments,
  rootWords,
  sentence,
  type Artifact,
  type Environment,
  type RootName,
} from '../words.ts';
import { Dialog } from './dialog.tsx';
import { Failed } from './states.tsx';
import { Sentence } from './text.tsx';

interface JudgeProps {
  readonly artifact: Artifact;
  readonly close: () => void;
  /** What was recorded, in words for the page. */
  readonly recorded: (words: string) => void;
}

/** Sends once; keeps the refusal for the dialog. */
function useSend(
  recorded: (words: string) => void,
  words: string,
): {
  readonly busy: boolean;
  readonly refusal: Refusal | undefined;
  readonly send: (answer: Promise<Answered<{ readonly logIndex: number }>>) => Promise<void>;
} {
  const { end } = useSession();
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | undefined>();
  return {
    busy,
    refusal,
    send: async (pending) => {
      setBusy(true);
      setRefusal(undefined);
      const answer = await pending;
      setBusy(false);
      if (answer.ok) recorded(`${words} as log entry ${answer.value.logIndex}.`);
      else if (answer.refusal.status === 401) end('The server no longer accepts this token.');
      else setRefusal(answer.refusal);
    },
  };
}

const shortest = 3;

function ReasonField({
  value,
  change,
  problem,
}: {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly problem: boolean;
}): ReactElement {
  return (
    <div className="field">
      <label htmlFor="reason">Reason (required)</label>
      <textarea
        id="reason"
        rows={3}
        maxLength={2000}
        required
        value={value}
        aria-invalid={problem}
        aria-describedby="reason-note"
        onChange={(event) => change(event.target.value)}
      />
      <p id="reason-note" className={problem ? 'problem' : 'faint small-text'}>
        {problem
          ? `Say why, in at least ${shortest} characters: the reason is signed with the record.`
          : 'Whoever audits this reads your words. They cannot be changed later.'}
      </p>
    </div>
  );
}

function RootField({
  artifact,
  root,
  change,
}: {
  readonly artifact: Artifact;
  readonly root: RootName;
  readonly change: (root: RootName) => void;
}): ReactElement {
  return (
    <fieldset>
      <legend>What it covers</legend>
      {(['loading', 'weights', 'all'] as const).map((name) => (
        <label key={name} className="choice">
          <input
            type="radio"
            name="root"
            checked={root === name}
            disabled={artifact.roots[name] === null}
            onChange={() => change(name)}
          />
          <span>
            {rootWords[name].name}
            <span className="faint small-text">{rootWords[name].meaning}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function WhereField({
  chosen,
  change,
  tried,
}: {
  readonly chosen: readonly Environment[];
  readonly change: (chosen: readonly Environment[]) => void;
  readonly tried: boolean;
}): ReactElement {
  const toggle = (environment: Environment): void =>
    change(environments.filter((name) => (name === environment) !== chosen.includes(name)));
  return (
    <fieldset>
      <legend>Where</legend>
      <div className="inline">
        {environments.map((environment) => (
          <label key={environment} className="choice">
            <input
              type="checkbox"
              checked={chosen.includes(environment)}
              onChange={() => toggle(environment)}
            />
            <span>{environment}</span>
          </label>
        ))}
      </div>
      {tried && chosen.length === 0 ? <p className="problem">Choose at least one environment.</p> : null}
    </fieldset>
  );
}

/** The reasons that an approval does not reach: nothing outweighs an integrity failure. */
function Unmoved({ artifact }: { readonly artifact: Artifact }): ReactElement | null {
  const reasons = artifact.decisions
    .flatMap(({ decision }) => decision.reasons)
    .filter((reason) => reason.effect === 'deny' && reason.rule.startsWith('integrity.'));
  const messages = [...new Set(reasons.map((reason) => reason.message))];
  if (messages.length === 0) return null;
  return (
    <div className="warning">
      An approval will not change {messages.length === 1 ? 'this' : 'these'}, which nothing outweighs:
      <ul>
        {messages.map((message) => (
          <li key={message}>
            <Sentence value={sentence(message)} />
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Approves: a signed approval that binds one root, in the environments that are chosen, for as long as it says. */
export function ApproveDialog({ artifact, close, recorded }: JudgeProps): ReactElement {
  const { client } = useSession();
  const { busy, refusal, send } = useSend(recorded, 'The approval is recorded');
  const [reason, setReason] = useState('');
  const [root, setRoot] = useState<RootName>(artifact.roots.loading === null ? 'all' : 'loading');
  const [chosen, setChosen] = useState<readonly Environment[]>(['development']);
  const [until, setUntil] = useState('');
  const [tried, setTried] = useState(false);
  const reasonMissing = reason.trim().length < shortest;
  const expiresAt = until === '' ? null : `${until}T23:59:59Z`;
  const past = expiresAt !== null && Date.parse(expiresAt) < Date.now();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    if (reasonMissing || past || chosen.length === 0) return;
    const body = { reason: reason.trim(), root, environments: chosen, expiresAt };
    void send(client.approveArtifact(artifact.artifact, body));
  };
  return (
    <Dialog title="Approve this artifact" close={close}>
      <form onSubmit={submit} noValidate>
        <p className="faint">
          An approval is signed evidence about <code>{shortDigest(artifact.artifact)}</code>. It joins the
          log; the decision is then taken again.
        </p>
        <Unmoved artifact={artifact} />
        <ReasonField value={reason} change={setReason} problem={tried && reasonMissing} />
        <RootField artifact={artifact} root={root} change={setRoot} />
        <WhereField chosen={chosen} change={setChosen} tried={tried} />
        <div className="field">
          <label htmlFor="until">Until the end of (UTC, optional)</label>
          <input
            id="until"
            type="date"
            value={until}
            onChange={(event) => setUntil(event.target.value)}
            aria-invalid={tried && past}
          />
          {tried && past ? <p className="problem">That day is over.</p> : null}
        </div>
        {refusal === undefined ? null : <Failed refusal={refusal} />}
        <div className="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            {busy ? 'Recording…' : 'Sign approval'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Refuses: a signed revocation, which no rule can outweigh. */
export function DenyDialog({ artifact, close, recorded }: JudgeProps): ReactElement {
  const { client } = useSession();
  const { busy, refusal, send } = useSend(recorded, 'The refusal is recorded');
  const [reason, setReason] = useState('');
  const [tried, setTried] = useState(false);
  const reasonMissing = reason.trim().length < shortest;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    if (!reasonMissing) void send(client.denyArtifact(artifact.artifact, { reason: reason.trim() }));
  };
  return (
    <Dialog title="Refuse this artifact" close={close}>
      <form onSubmit={submit} noValidate>
        <p className="warning">
          A refusal revokes <code>{shortDigest(artifact.artifact)}</code> in every environment of this
          namespace. No approval, waiver or administrator can outweigh it, and gates that allowed it before
          learn at once.
        </p>
        <ReasonField value={reason} change={setReason} problem={tried && reasonMissing} />
        {refusal === undefined ? null : <Failed refusal={refusal} />}
        <div className="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="danger solid" disabled={busy}>
            {busy ? 'Recording…' : 'Sign refusal'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
