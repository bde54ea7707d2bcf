import { useSyncExternalStore } from 'react';

/** The pages of the console and the one place that knows their addresses. */
export type Route =
  | { readonly page: 'inventory'; readonly search: string }
  | { readonly page: 'artifact'; readonly digest: string }
  | { readonly page: 'quarantine' }
  | { readonly page: 'triage' }
  | { readonly page: 'upstreams' }
  | { readonly page: 'adoptions' }
  | { readonly page: 'adoption'; readonly id: string }
  | { readonly page: 'unknown' };

const base = '/console/';
const plainPages = ['quarantine', 'triage', 'upstreams', 'adoptions'] as const;

function isPlain(name: string): name is (typeof plainPages)[number] {
  return plainPages.some((page) => page === name);
}

export function parseRoute(pathname: string, query: string): Route {
  const rest = pathname.startsWith(base) ? pathname.slice(base.length) : '';
  if (rest === '' || rest === 'index.html') {
    return { page: 'inventory', search: new URLSearchParams(query).get('search') ?? '' };
  }
  const plain = rest.replace(/\/$/, '');
  if (isPlain(plain)) return { page: plain };
  const id = /^adoptions\/(sha256(?::|%3A)[0-9a-f]{64})\/?$/i.exec(rest)?.[1];
  if (id !== undefined) return { page: 'adoption', id: decodeURIComponent(id).toLowerCase() };
  const digest = /^artifacts\/(sha256(?::|%3A)[0-9a-f]{64})\/?$/i.exec(rest)?.[1];
  return digest === undefined
    ? { page: 'unknown' }
    : { page: 'artifact', digest: decodeURIComponent(digest).toLowerCase() };
}

export function encodeRoute(route: Route): string {
  if (route.page === 'artifact') return `${base}artifacts/${route.digest}`;
  if (isPlain(route.page)) return `${base}${route.page}`;
  if (route.page === 'adoption') return `${base}adoptions/${route.id}`;
  const search = route.page === 'inventory' && route.search !== '' ? route.search : undefined;
  return search === undefined ? base : `${base}?${new URLSearchParams({ search }).toString()}`;
}

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

/** Goes to a page; `replace` for a change of the same page, such as its search. */
export function go(route: Route, replace = false): void {
  const address = encodeRoute(route);
  if (replace) window.history.replaceState(null, '', address);
  else {
    window.history.pushState(null, '', address);
    window.scrollTo(0, 0);
  }
  for (const listener of listeners) listener();
}

export function useRoute(): Route {
  const address = useSyncExternalStore(subscribe, () => window.location.pathname + window.location.search);
  const mark = address.indexOf('?');
  return mark === -1 ? parseRoute(address, '') : parseRoute(address.slice(0, mark), address.slice(mark));
}
