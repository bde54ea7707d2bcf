import { after, before } from 'node:test';
import { openDatabase } from '#adapters/postgres/database.ts';
import { openJobs } from '#adapters/postgres/jobs.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { jobsContract } from './jobs.contract.ts';

let server: TestPostgres;
before(async () => {
  server = await startTestPostgres();
});
after(() => server.close());

jobsContract('postgres', async () => {
  const { database, endpoints } = await server.makeDatabase();
  const replica = openDatabase(endpoints);
  return {
    jobs: openJobs(database),
    other: openJobs(replica),
    close: async () => {
      await database.close();
      await replica.close();
    },
  };
});
