import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivateAddress } from './private-address.ts';

/** First and last address of every network that must not be reached, the neighbour on either side where it is public. */
const networks: readonly {
  readonly inside: readonly string[];
  readonly beside?: readonly string[];
}[] = [
  { inside: ['0.0.0.0', '0.255.255.255'], beside: ['1.0.0.0'] },
  { inside: ['10.0.0.0', '10.255.255.255'], beside: ['9.255.255.255', '11.0.0.0'] },
  { inside: ['100.64.0.0', '100.127.255.255'], beside: ['100.63.255.255', '100.128.0.0'] },
  { inside: ['127.0.0.0', '127.255.255.255'], beside: ['126.255.255.255', '128.0.0.0'] },
  {
    inside: ['169.254.0.0', '169.254.169.254', '169.254.255.255'],
    beside: ['169.253.255.255', '169.255.0.0'],
  },
  { inside: ['172.16.0.0', '172.31.255.255'], beside: ['172.15.255.255', '172.32.0.0'] },
  { inside: ['192.0.0.0', '192.0.0.255'], beside: ['191.255.255.255', '192.0.1.0'] },
  { inside: ['192.0.2.0', '192.0.2.255'], beside: ['192.0.3.0'] },
  { inside: ['192.88.99.0', '192.88.99.255'], beside: ['192.88.98.255', '192.88.100.0'] },
  { inside: ['192.168.0.0', '192.168.255.255'], beside: ['192.167.255.255', '192.169.0.0'] },
  { inside: ['198.18.0.0', '198.19.255.255'], beside: ['198.17.255.255', '198.20.0.0'] },
  { inside: ['198.51.100.0', '198.51.100.255'], beside: ['198.51.99.255', '198.51.101.0'] },
  { inside: ['203.0.113.0', '203.0.113.255'], beside: ['203.0.112.255', '203.0.114.0'] },
  { inside: ['224.0.0.0', '239.255.255.255', '240.0.0.0', '255.255.255.255'], beside: ['223.255.255.255'] },
  { inside: ['::', '::1', '::2', '1fff:ffff::'], beside: ['2000::', '2000::1'] },
  { inside: ['::127.0.0.1', '::a9fe:a9fe', '::ffff:0:127.0.0.1', '::ffff:0:1.1.1.1'] },
  { inside: ['::ffff:127.0.0.1', '::ffff:169.254.169.254', '::ffff:a00:1', '::FFFF:192.168.0.1'] },
  { inside: ['0:0:0:0:0:ffff:7f00:1'], beside: ['::ffff:1.1.1.1', '::ffff:808:808'] },
  { inside: ['64:ff9b::', '64:ff9b::7f00:1', '64:ff9b::1.1.1.1', '64:ff9b:1::1', '64:ff9b:1:ffff::'] },
  { inside: ['100::', '100::ffff', '100:0:0:1::1', '5f00::1'] },
  { inside: ['2001::', '2001::7f00:1', '2001:2::1', '2001:10::1', '2001:20::1', '2001:1ff:ffff::'] },
  { inside: ['2001:db8::', '2001:db8:ffff::1'], beside: ['2001:db7:ffff::', '2001:db9::', '2001:200::'] },
  {
    inside: ['2002::', '2002:7f00:1::', '2002:a9fe:a9fe::1', '2002:ffff::'],
    beside: ['2003::', '2001:ffff::'],
  },
  { inside: ['3fff::', '3fff:fff:ffff::'], beside: ['3ffe:ffff::', '3fff:1000::', '2606:4700::1111'] },
  { inside: ['4000::', 'fc00::', 'fdff:ffff::', 'fe80::1', 'febf::1', 'fec0::1', 'feff::', 'ff02::1'] },
];

for (const { inside, beside = [] } of networks) {
  test(`${inside[0]}: inside, and what lies beside it`, () => {
    for (const address of inside) assert.equal(isPrivateAddress(address), true, address);
    for (const address of beside) assert.equal(isPrivateAddress(address), false, address);
  });
}

test('what is not an address, or names a zone, is inside', () => {
  for (const text of ['', 'localhost', '127.1', '0x7f.1', '2130706433', '01.1.1.1', '1.1.1.1 ', '[::1]']) {
    assert.equal(isPrivateAddress(text), true, text);
  }
  for (const text of ['fe80::1%eth0', '2606:4700::1111%eth0', '2606:4700::1111%']) {
    assert.equal(isPrivateAddress(text), true, text);
  }
});

test('addresses of the public internet', () => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '18.164.174.55',
    '2a00:1450:4001::200e',
    '2600:9000:1234::1',
  ]) {
    assert.equal(isPrivateAddress(address), false, address);
  }
});
