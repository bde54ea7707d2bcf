import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databaseFault } from './database.ts';

test('a connection that broke is the database away, whatever the system calls it; our SQL is ours', () => {
  const of = (code: string, errno?: number) =>
    databaseFault(Object.assign(new Error('write'), { code, ...(errno === undefined ? {} : { errno }) }))
      .code;
  assert.equal(of('EPIPE', -32), 'database.unavailable');
  assert.equal(of('ECONNRESET', -104), 'database.unavailable');
  assert.equal(of('57P01'), 'database.unavailable');
  assert.equal(of('53100'), 'disk.full');
  assert.equal(of('42P01'), 'internal.unexpected');
});
