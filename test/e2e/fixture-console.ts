import { createRequire } from 'node:module';
import fastify from 'fastify';
import type { Browser } from 'playwright-core';
import { makeMetrics } from '#app/metrics.ts';
import { makePeopleListener } from '#app/server.ts';
import { Fault } from '#lib/fault.ts';
import { fixtureToken } from '../support/fixture-desk.ts';
import type { openFixtureDesk } from '../support/fixture-desk.ts';
import { openBrowser, openVisit } from './browser.ts';
import type { Visit, VisitOptions } from './browser.ts';

const { buildConsole } = createRequire(import.meta.url)('../../bin/launch.js') as {
  readonly buildConsole: () => void;
};

/** The built console in front of a desk with fixed content, and a browser that looks at it. */
export interface FixtureConsole extends AsyncDisposable {
  readonly origin: string;
  readonly browser: Browser;
  visit(options?: Partial<VisitOptions>): Promise<Visit>;
}

export async function openFixtureConsole(
  fixture: ReturnType<typeof openFixtureDesk>,
): Promise<FixtureConsole> {
  buildConsole();
  const app = await makePeopleListener(fastify({ logger: false }).log, {
    desk: fixture.desk,
    authenticate: async (request) => {
      if (request.headers.authorization !== `Bearer ${fixtureToken}`) {
        throw new Fault('request.unauthenticated', 'the token is not known');
      }
      return { class: 'administrator', person: 'person-1', namespace: 'default', environment: 'development' };
    },
    metrics: makeMetrics(),
    health: { ready: () => ({ ready: true, reason: undefined }) },
    version: '1',
  });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const browser = await openBrowser();
  return {
    origin,
    browser,
    visit: (options = {}) => openVisit(browser, { origin, token: fixtureToken, ...options }),
    [Symbol.asyncDispose]: async () => {
      await browser.close();
      await app.close();
    },
  };
}
