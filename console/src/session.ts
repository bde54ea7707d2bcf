import { createContext, useContext } from 'react';
import type { Client, WhoamiAnswer } from './api/client.ts';

const key = 'weighbridge-token';

/** The token lives as long as the tab: session storage, never local storage, a cookie or an address. */
export function storedToken(): string | undefined {
  return window.sessionStorage.getItem(key) ?? undefined;
}

export function storeToken(token: string | undefined): void {
  if (token === undefined) window.sessionStorage.removeItem(key);
  else window.sessionStorage.setItem(key, token);
}

export interface Session {
  readonly client: Client;
  readonly caller: WhoamiAnswer;
  /** Ends the session; the sign-in page shows the reason, if any. */
  readonly end: (reason?: string) => void;
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** The session of the signed-in pages. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error('a signed-in page is shown without a session');
  return session;
}
