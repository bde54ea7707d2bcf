import { useEffect, useState, type FormEvent, type ReactElement } from 'react';
import mark from '../mark.svg';

interface SignInProps {
  readonly notice: string | undefined;
  readonly start: (token: string) => void;
}

/** Takes the administrator token. It is tried by asking the server who it belongs to. */
export function SignInPage({ notice, start }: SignInProps): ReactElement {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<string | undefined>(notice);
  useEffect(() => {
    document.title = 'Sign in · Weighbridge';
  }, []);
  useEffect(() => setProblem(notice), [notice]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const trimmed = token.trim();
    // A header value: printable ASCII without spaces.
    if (!/^[!-~]+$/.test(trimmed))
      setProblem('That is not a token: it has no spaces and only plain letters, digits and signs.');
    else start(trimmed);
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit} noValidate>
        <img src={mark} width="44" height="44" alt="" />
        <h1>Weighbridge</h1>
        <p className="faint">Nothing rolls onto the road until it has been weighed, stamped and logged.</p>
        <label htmlFor="token">Administrator token</label>
        <input
          id="token"
          type="password"
          value={token}
          onChange={(event) => setToken(event.target.value)}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={problem !== undefined}
          aria-describedby="token-note"
          // The only field of the page.
          // oxlint-disable-next-line jsx-a11y/no-autofocus
          autoFocus
        />
        {problem === undefined ? null : (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" className="primary">
          Sign in
        </button>
        <p id="token-note" className="faint small-text">
          The server printed it when it first started. It is kept in this tab only, and is gone when you close
          it.
        </p>
      </form>
    </main>
  );
}
