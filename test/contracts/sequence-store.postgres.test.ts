import { after, before } from 'node:test';
import { openDatabase } from '#adapters/postgres/database.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { sequenceStoreContract } from './sequence-store.contract.ts';

let server: TestPostgres;
before(async () => {
  server = await startTestPostgres();
});
after(() => server.close());

sequenceStoreContract('postgres', async () => {
  const { database, endpoints } = await server.makeDatabase();
  const replica = openDatabase(endpoints);
  return {
    store: openSequenceStore(database),
    other: openSequenceStore(replica),
    namespaces: ['default', 'team-a'],
    close: async () => {
      await database.close();
      await replica.close();
    },
  };
});
