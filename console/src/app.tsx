import { useCallback, useEffect, useMemo, useState, type ReactElement } from 'react';
import { openClient, type WhoamiAnswer } from './api/client.ts';
import { AdoptionPage } from './pages/adoption.tsx';
import { AdoptionsPage } from './pages/adoptions.tsx';
import { ArtifactPage } from './pages/artifact.tsx';
import { InventoryPage } from './pages/inventory.tsx';
import { QuarantinePage } from './pages/quarantine.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { TriagePage } from './pages/triage.tsx';
import { UpstreamsPage } from './pages/upstreams.tsx';
import { Header } from './parts/header.tsx';
import { Link } from './parts/link.tsx';
import { Empty, Failed, Loading } from './parts/states.tsx';
import type { Refusal } from './api/client.ts';
import { useRoute } from './route.ts';
import { SessionContext, storedToken, storeToken, type Session } from './session.ts';

/** The console: signed out, or one of its pages. */
export function App(): ReactElement {
  const [token, setToken] = useState(storedToken);
  const [notice, setNotice] = useState<string | undefined>();
  const end = useCallback((reason?: string) => {
    storeToken(undefined);
    setToken(undefined);
    setNotice(reason);
  }, []);
  const start = useCallback((fresh: string) => {
    storeToken(fresh);
    setNotice(undefined);
    setToken(fresh);
  }, []);
  if (token === undefined) return <SignInPage notice={notice} start={start} />;
  return <SignedIn key={token} token={token} end={end} />;
}

function SignedIn({
  token,
  end,
}: {
  readonly token: string;
  readonly end: (reason?: string) => void;
}): ReactElement {
  const client = useMemo(() => openClient(token), [token]);
  const [caller, setCaller] = useState<WhoamiAnswer | undefined>();
  const [refusal, setRefusal] = useState<Refusal | undefined>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    client.whoami(controller.signal).then(
      (answer) => {
        if (controller.signal.aborted) return;
        if (answer.ok) setCaller(answer.value);
        else if (answer.refusal.status === 401) end('The server does not accept this token.');
        else setRefusal(answer.refusal);
      },
      () => undefined,
    );
    return () => controller.abort();
  }, [client, end, turn]);
  const session = useMemo<Session | undefined>(
    () => (caller === undefined ? undefined : { client, caller, end }),
    [client, caller, end],
  );
  if (session === undefined) {
    const again = (): void => {
      setRefusal(undefined);
      setTurn(turn + 1);
    };
    return (
      <main className="page">
        {refusal === undefined ? <Loading what="the console" /> : <Failed refusal={refusal} again={again} />}
      </main>
    );
  }
  return (
    <SessionContext value={session}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <main className="page" id="main" tabIndex={-1}>
        <Page />
      </main>
    </SessionContext>
  );
}

function Page(): ReactElement {
  const route = useRoute();
  if (route.page === 'inventory') return <InventoryPage search={route.search} />;
  if (route.page === 'artifact') return <ArtifactPage key={route.digest} digest={route.digest} />;
  if (route.page === 'quarantine') return <QuarantinePage />;
  if (route.page === 'triage') return <TriagePage />;
  if (route.page === 'upstreams') return <UpstreamsPage />;
  if (route.page === 'adoptions') return <AdoptionsPage />;
  if (route.page === 'adoption') return <AdoptionPage key={route.id} id={route.id} />;
  return (
    <Empty title="There is no such page">
      <Link to={{ page: 'inventory', search: '' }}>Go to the inventory</Link>
    </Empty>
  );
}
