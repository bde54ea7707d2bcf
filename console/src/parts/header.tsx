import type { ReactElement } from 'react';
import mark from '../mark.svg';
import { count } from '../format.ts';
import { useRoute, type Route } from '../route.ts';
import { useSession } from '../session.ts';
import { useAnswer } from '../use-answer.ts';
import { Link } from './link.tsx';
import { Text } from './text.tsx';

const sections: readonly { readonly to: Route; readonly name: string; readonly pages: readonly string[] }[] =
  [
    { to: { page: 'inventory', search: '' }, name: 'Inventory', pages: ['inventory', 'artifact'] },
    { to: { page: 'quarantine' }, name: 'Quarantine', pages: ['quarantine'] },
    { to: { page: 'triage' }, name: 'Triage', pages: ['triage'] },
    { to: { page: 'upstreams' }, name: 'Upstreams', pages: ['upstreams'] },
    { to: { page: 'adoptions' }, name: 'Adoptions', pages: ['adoptions', 'adoption'] },
  ];

/** Name, place in the log, who is here. */
export function Header(): ReactElement {
  const { caller, end } = useSession();
  const route = useRoute();
  const head = useAnswer('log-head', (client, signal) => client.logHead(signal));
  return (
    <header className="top">
      <div className="inner">
        <Link to={{ page: 'inventory', search: '' }} className="brand">
          <img src={mark} width="28" height="28" alt="" />
          Weighbridge
        </Link>
        <nav aria-label="Sections" className="sections">
          {sections.map(({ to, name, pages }) => (
            <Link key={name} to={to} current={pages.includes(route.page)}>
              {name}
            </Link>
          ))}
        </nav>
        {head.value === undefined ? null : (
          <p className="log-head" title={`${head.value.origin}\nroot ${head.value.rootHash}`}>
            <span>Log: {count(head.value.size, 'entry').replace('entrys', 'entries')}</span>
            {head.value.selfAsserted ? (
              <span className="witness caution">self-asserted, no witness</span>
            ) : (
              <span className="witness good">witnessed</span>
            )}
          </p>
        )}
        <p className="who">
          <span>
            <Text value={caller.class} /> in <Text value={caller.namespace} />
          </span>
          <button type="button" className="plain" onClick={() => end()}>
            Sign out
          </button>
        </p>
      </div>
    </header>
  );
}
