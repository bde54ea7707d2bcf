import { useState, type FormEvent, type ReactElement, type ReactNode } from 'react';
import type { TriageRepositoryBody } from '../api/client.ts';

const types = [
  ['models', 'Model'],
  ['datasets', 'Dataset'],
  ['spaces', 'Space'],
] as const;

interface TriageFormProps {
  readonly busy: boolean;
  readonly look: (wish: TriageRepositoryBody) => void;
}

/** Which repository to look at. Names are judged by the server. */
export function TriageForm({ busy, look }: TriageFormProps): ReactElement {
  const [repository, setRepository] = useState('');
  const [type, setType] = useState<TriageRepositoryBody['type']>('models');
  const [revision, setRevision] = useState('');
  const [problem, setProblem] = useState(false);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const id = repository.trim();
    const at = revision.trim();
    setProblem(id === '');
    if (id !== '') look({ type, repository: id, revision: at === '' ? null : at });
  };
  return (
    <form className="triage-form" onSubmit={submit} noValidate aria-label="Look before you pull">
      <NameField
        id="triage-repository"
        label="Repository (required)"
        placeholder="organisation/name"
        value={repository}
        change={setRepository}
        problem={problem}
      >
        <p
          id="triage-repository-note"
          className={problem ? 'problem' : 'faint small-text'}
          role={problem ? 'alert' : undefined}
        >
          {problem ? 'Name a repository.' : 'As the hub names it, without an address.'}
        </p>
      </NameField>
      <div className="field">
        <label htmlFor="triage-type">Type</label>
        <select
          id="triage-type"
          value={type}
          onChange={({ target }) => setType(types.find(([one]) => one === target.value)?.[0] ?? 'models')}
        >
          {types.map(([one, name]) => (
            <option key={one} value={one}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <NameField
        id="triage-revision"
        label="Revision"
        placeholder="default branch"
        value={revision}
        change={setRevision}
      />
      <button type="submit" className="primary" disabled={busy}>
        {busy ? 'Looking…' : 'Look'}
      </button>
    </form>
  );
}

interface NameFieldProps {
  readonly id: string;
  readonly label: string;
  readonly placeholder: string;
  readonly value: string;
  readonly change: (value: string) => void;
  /** Given = required. */
  readonly problem?: boolean;
  readonly children?: ReactNode;
}

function NameField({
  id,
  label,
  placeholder,
  value,
  change,
  problem,
  children,
}: NameFieldProps): ReactElement {
  return (
    <div className={problem === undefined ? 'field' : 'field wide'}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="text"
        value={value}
        maxLength={problem === undefined ? 255 : 200}
        placeholder={placeholder}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        required={problem !== undefined}
        aria-invalid={problem}
        aria-describedby={children === undefined ? undefined : `${id}-note`}
        onChange={(event) => change(event.target.value)}
      />
      {children}
    </div>
  );
}
