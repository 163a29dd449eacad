import { describe, expect, it } from '@jest/globals';
import { createClientAddress, parseTrustedProxies } from './client-address.js';

const CASES: [
  what: string,
  trusted: string[],
  remote: string | undefined,
  header: string | undefined,
  client: string,
][] = [
  ['no proxy', [], '203.0.113.7', undefined, '203.0.113.7'],
  ['a header of an untrusted client', [], '203.0.113.7', '1.2.3.4', '203.0.113.7'],
  ['a header of a client outside the trusted range', ['10.0.0.0/8'], '203.0.113.7', '1.2.3.4', '203.0.113.7'],
  ['a trusted proxy', ['10.0.0.0/8'], '10.1.1.1', '203.0.113.7', '203.0.113.7'],
  ['an element that the client added', ['10.0.0.0/8'], '10.1.1.1', '1.2.3.4, 203.0.113.7', '203.0.113.7'],
  ['a forged trusted element', ['10.0.0.0/8'], '10.1.1.1', '10.9.9.9, 203.0.113.7', '203.0.113.7'],
  ['two trusted proxies', ['10.0.0.0/8'], '10.1.1.1', '1.2.3.4, 203.0.113.7 ,10.2.2.2', '203.0.113.7'],
  ['only trusted addresses', ['10.0.0.0/8'], '10.1.1.1', '10.3.3.3, 10.2.2.2', '10.3.3.3'],
  ['a trusted proxy without a header', ['10.0.0.0/8'], '10.1.1.1', undefined, '10.1.1.1'],
  ['an empty header', ['10.0.0.0/8'], '10.1.1.1', '', '10.1.1.1'],
  ['garbage next to the proxy', ['10.0.0.0/8'], '10.1.1.1', '203.0.113.7, unknown', '10.1.1.1'],
  ['garbage before a trusted hop', ['10.0.0.0/8'], '10.1.1.1', 'a{b}, 10.2.2.2', '10.2.2.2'],
  ['8 KB of garbage', ['10.0.0.0/8'], '10.1.1.1', 'x'.repeat(8000), '10.1.1.1'],
  ['an IPv4-mapped connection', ['10.0.0.0/8'], '::ffff:10.1.1.1', '::ffff:203.0.113.7', '203.0.113.7'],
  ['an IPv4-mapped address in hexadecimal', [], '::ffff:cb00:7107', undefined, '203.0.113.7'],
  ['a single trusted address', ['10.1.1.1'], '10.1.1.1', '203.0.113.7', '203.0.113.7'],
  ['an IPv6 proxy', ['fd00::/8'], 'fd00::1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['IPv6 by /64', [], '2001:DB8:1:2::99', undefined, '2001:db8:1:2::/64'],
  ['IPv6 with zeros', [], '2001:db8::1', undefined, '2001:db8::/64'],
  ['IPv6 with a zone', [], 'fe80::1%eth0', undefined, 'fe80::/64'],
  ['IPv6 loopback', [], '::1', undefined, '::/64'],
  ['IPv6 that ends in zeros', [], '1:2:3:4:5:6::', undefined, '1:2:3:4::/64'],
  ['no connection', [], undefined, '1.2.3.4', 'unknown'],
];

describe('createClientAddress', () => {
  it.each(CASES)('finds the client with %s', (_, trusted, remote, header, client) => {
    expect(createClientAddress(trusted)(remote, header)).toBe(client);
  });

  it('reports once an untrusted peer that sends X-Forwarded-For', () => {
    const reported: string[] = [];
    const address = createClientAddress(['10.0.0.0/8'], (peer) => void reported.push(peer));
    address('10.1.1.1', '198.51.100.9');
    address('203.0.113.7', undefined);
    expect(reported).toEqual([]);
    expect(address('203.0.113.7', '198.51.100.9')).toBe('203.0.113.7');
    address('203.0.113.8', '198.51.100.9');
    expect(reported).toEqual(['203.0.113.7']);
  });

  it('reads several headers as one list', () => {
    expect(createClientAddress(['10.0.0.0/8'])('10.1.1.1', ['1.2.3.4', '203.0.113.7, 10.2.2.2'])).toBe('203.0.113.7');
  });

  it('refuses an invalid list', () => {
    expect(() => createClientAddress(['999.1.1.1/8'])).toThrow(/trustedProxies must be the CIDR/);
  });
});

describe('parseTrustedProxies', () => {
  it('reads CIDRs and addresses', () => {
    const { trusted, problems } = parseTrustedProxies(' 10.0.0.0/8, 192.168.1.1\nfd00::/8 ');
    expect(trusted).toEqual(['10.0.0.0/8', '192.168.1.1', 'fd00::/8']);
    expect(problems).toEqual([]);
    expect(parseTrustedProxies('')).toEqual({ trusted: [], problems: [] });
  });

  it.each([
    'true',
    '*',
    '1',
    '999.1.1.1/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '0.0.0.0/0',
    '::/0',
    '::ffff:10.0.0.0/104',
    'fe80::1%eth0',
    'loopback',
  ])('refuses %s with a reason', (text) => {
    const { trusted, problems } = parseTrustedProxies(`10.0.0.0/8,${text}`);
    expect(trusted).toEqual(['10.0.0.0/8']);
    expect(problems).toEqual([expect.stringContaining(`"${text}" must be the CIDR or address of a proxy`)]);
  });
});
