import { describe, expect, test } from 'bun:test';
import { innermost, maySendTo, outermost, type Zone, zoneOf } from '../../../lib/http/address.ts';

describe('zoneOf', () => {
  const table: readonly [address: string, zone: Zone | undefined][] = [
    ['8.8.8.8', 'public'],
    ['203.0.113.7', 'public'],
    ['100.63.255.255', 'public'],
    ['100.128.0.0', 'public'],
    ['172.15.255.255', 'public'],
    ['172.32.0.0', 'public'],
    ['223.255.255.255', 'public'],
    ['10.0.0.1', 'private'],
    ['10.255.255.255', 'private'],
    ['172.16.0.0', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['198.19.255.255', 'private'],
    ['224.0.0.1', 'private'],
    ['255.255.255.255', 'private'],
    ['0.0.0.0', 'loopback'],
    ['0.1.2.3', 'loopback'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['169.254.170.2', 'link-local'],
    ['100.100.100.200', 'link-local'],
    ['192.0.0.192', 'link-local'],
    ['2001:4860:4860::8888', 'public'],
    ['::1', 'loopback'],
    ['::', 'loopback'],
    ['[::1]', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b:1::10.0.0.1', 'private'],
    ['2002:7f00:1::', 'loopback'],
    ['2002:a9fe:a9fe::1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['febf::1', 'link-local'],
    ['fd00:ec2::254', 'link-local'],
    ['fd20:ce::254', 'link-local'],
    ['fd12:3456::1', 'private'],
    ['fc00::', 'private'],
    ['ff02::1', 'private'],
    ['fec0::1', 'private'],
    ['feff:ffff::1', 'private'],
    ['fd00:c1::a9fe:a9fe', 'link-local'],
    ['fd00:42::42', 'link-local'],
    ['168.63.129.16', 'link-local'],
    ['168.63.129.17', 'public'],
    ['::ffff:168.63.129.16', 'link-local'],
    ['::ffff:8.8.8.8', 'public'],
    ['::ffff:0:169.254.169.254', 'link-local'],
    ['::ffff:0:10.0.0.1', 'private'],
    ['::7f00:1', 'loopback'],
    ['::2', 'public'],
    // RFC 6052 with prefixes of 48, 56, 64 and 96 bits.
    ['64:ff9b:1:a9fe:a9:fe00::', 'link-local'],
    ['64:ff9b:1:a9:fe:a9fe::', 'link-local'],
    ['64:ff9b:1:0:a9:fea9:fe00::', 'link-local'],
    ['64:ff9b:1::169.254.169.254', 'link-local'],
    ['64:ff9b:1::8.8.8.8', 'private'],
    ['64:ff9b::8.8.8.8', 'public'],
    // Teredo: 169.254.169.254 as the client, complemented, and as the server.
    ['2001:0:53aa:64c:0:0:5601:5601', 'link-local'],
    ['2001:0:a9fe:a9fe:0:0:f7f7:f7f7', 'link-local'],
    ['2001:0:53aa:64c:0:0:f7f7:f7f7', 'public'],
    ['2001:1::1', 'public'],
    // No addresses.
    ['', undefined],
    ['example.com', undefined],
    ['1.2.3', undefined],
    ['1.2.3.4.5', undefined],
    ['1.2.3.256', undefined],
    ['1.2.3.4:80', undefined],
    ['::1::', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['::g', undefined],
    ['::12345', undefined],
  ];
  test.each(table)('%p is %p', (address, zone) => {
    expect(zoneOf(address)).toBe(zone as Zone);
  });

  test('agrees with the URL parser about every way to write 127.0.0.1', () => {
    for (const host of ['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '127.0.1', '[::ffff:127.0.0.1]'])
      expect(zoneOf(new URL(`http://${host}/`).hostname)).toBe('loopback');
  });
});

test('one may lead outwards and sideways, never inwards', () => {
  const zones: readonly Zone[] = ['public', 'private', 'loopback', 'link-local'];
  for (const [i, from] of zones.entries())
    for (const [j, to] of zones.entries())
      expect([from, to, maySendTo(from, to)]).toEqual([from, to, j <= i]);
});

test('a name is as far inside as its innermost address', () => {
  expect(innermost([])).toBe('public');
  expect(innermost(['public', 'link-local', 'private'])).toBe('link-local');
});

test('whoever leads has the outermost of his addresses', () => {
  expect(outermost([])).toBe('public');
  expect(outermost(['link-local', 'private', 'loopback'])).toBe('private');
  expect(outermost(['link-local'])).toBe('link-local');
});
