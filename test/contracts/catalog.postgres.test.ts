import { after, before } from 'node:test';
import { openCatalog } from '#adapters/postgres/catalog.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { catalogContract } from './catalog.contract.ts';

let server: TestPostgres;
before(async () => {
  server = await startTestPostgres();
});
after(() => server.close());

catalogContract('postgres', async () => {
  const made = await server.makeDatabase();
  return { catalog: openCatalog(made.database), close: () => made.close() };
});
