import { BlockList, isIP } from 'node:net';

/**
 * IANA IPv4 Special-Purpose Address Registry (RFC 6890) as far as an entry is not globally reachable, and multicast. Three
 * blocks that are reachable but belong to infrastructure count as private, too: 192.0.0.0/24 as a whole and the relays of
 * 6to4 (192.88.99.0/24, deprecated by RFC 7526).
 */
const private4 = listOf('ipv4', [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]);

/** All that IANA has ever given out as global unicast (RFC 4291 §2.4): loopback, NAT64, local and multicast are outside. */
const global6 = listOf('ipv6', [['2000::', 3]]);

/**
 * IANA IPv6 Special-Purpose Address Registry inside `global6`: protocol assignments (Teredo, benchmarking, ORCHID), 6to4,
 * which leads to any IPv4 address, and documentation.
 */
const private6 = listOf('ipv6', [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

const mapped = listOf('ipv6', [['::ffff:0:0', 96]]);

/**
 * Is this IP address one that the public internet does not route? IPv4-mapped IPv6 is judged as the IPv4 address. Addresses
 * with a zone, and what is not an address at all, count as private.
 */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return true;
  if (family === 4) return private4.check(address, 'ipv4');
  // A list of IPv4 networks judges a mapped address by the IPv4 address inside it.
  if (mapped.check(address, 'ipv6')) return private4.check(address, 'ipv6');
  return !global6.check(address, 'ipv6') || private6.check(address, 'ipv6');
}

function listOf(family: 'ipv4' | 'ipv6', networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, family);
  return list;
}
