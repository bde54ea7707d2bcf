import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivateAddress } from './private-address.ts';

const inside = [
  '127.0.0.1',
  '127.255.0.9',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '255.255.255.255',
  '224.0.0.1',
  '::',
  '::1',
  'fe80::1',
  'fd00::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:169.254.169.254',
  '::ffff:a00:1',
  '64:ff9b::7f00:1',
  'localhost',
  '',
  '127.1',
  '0x7f.1',
];
const outside = [
  '1.1.1.1',
  '172.32.0.1',
  '172.15.0.1',
  '192.169.0.1',
  '8.8.8.8',
  '2606:4700::1111',
  '::ffff:1.1.1.1',
];

test('addresses that are inside', () => {
  for (const address of inside) assert.equal(isPrivateAddress(address), true, address);
});

test('addresses that are outside', () => {
  for (const address of outside) assert.equal(isPrivateAddress(address), false, address);
});
