import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from '@jest/globals';
import { ModelHosts } from './model-hosts.js';
import { isPublicAddress, publicLookup } from './public-addresses.js';

const resolveTo =
  (...addresses: string[]) =>
  (_host: string, _options: unknown, callback: (error: null, found: LookupAddress[]) => void) =>
    callback(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))); // prettier-ignore

const ask = (all: boolean, ...addresses: string[]) =>
  new Promise((resolve) =>
    publicLookup(resolveTo(...addresses))('models.example.com', { all }, (error, address) => resolve(error ?? address)),
  );

const anywhere = ModelHosts.parse(undefined).hosts;
const listed = ModelHosts.parse('models.example.com, 10.0.0.7:8080, localhost:9000, [::1]').hosts;

describe('ModelHosts', () => {
  it.each([
    'http://127.0.0.1:6379',
    'https://localhost/v1',
    'https://LOCALHOST./v1',
    'https://0/v1',
    'https://0x7f.1/v1',
    'https://2130706433/v1',
    'https://017700000001/v1',
    'https://[::1]/v1',
    'https://[::ffff:127.0.0.1]/v1',
    'https://[::ffff:7f00:1]/v1',
    'https://[64:ff9b::7f00:1]/v1',
    'https://[2002:7f00:1::]/v1',
    'https://169.254.169.254/latest',
    'https://10.1.2.3/v1',
    'https://172.31.0.1/v1',
    'https://192.168.1.1/v1',
    'https://100.64.0.1/v1',
    'https://224.0.0.1/v1',
    'https://255.255.255.255/v1',
    'https://[fd00::1]/v1',
    'https://[fe80::1]/v1',
    'https://metadata.google.internal/v1',
    'https://redis/v1',
    'https://printer.local/v1',
  ])('refuses %s, which is not public', (url) => {
    expect(anywhere.problemOf(url)).toMatch(/blocked address|https/);
  });

  it.each([
    ['file:///etc/passwd', /https/],
    ['gopher://example.com/1', /https/],
    ['dict://example.com:11211/stat', /https/],
    ['data:text/plain,hello', /https/],
    ['ftp://example.com/v1', /https/],
    ['https://user:secret@example.com/v1', /user or a password/],
    ['https://example.com/v1\r\nX-Injected: 1', /URL/],
    ['https://example.com\\@127.0.0.1/v1', /URL/],
    ['https://example.com/v1?key=1', /query/],
    ['https://example.com/v1#part', /fragment/],
    ['http://example.com/v1', /https/],
    ['example.com/v1', /URL/],
    [`https://example.com/${'x'.repeat(2048)}`, /URL/],
  ])('refuses %s', (url, reason) => {
    expect(anywhere.problemOf(url)).toMatch(reason);
  });

  it.each([
    'https://api.example.com/v1',
    'https://api.example.com:8443',
    'https://8.8.8.8/v1',
    'https://[2606:4700::1]/v1',
  ])('allows %s, which is public', (url) => {
    expect(anywhere.problemOf(url)).toBeUndefined();
  });

  it('with a list allows its hosts at any address, and no other host', () => {
    for (const url of [
      'http://models.example.com/v1',
      'https://models.example.com:444/v1',
      'http://10.0.0.7:8080/v1',
      'http://localhost:9000/v1',
      'http://[::1]:1234/v1',
    ])
      expect([url, listed.problemOf(url)]).toEqual([url, undefined]);
    for (const url of [
      'https://api.example.com/v1',
      'http://10.0.0.7/v1',
      'http://localhost:9001/v1',
      'ftp://[::1]/v1',
    ])
      expect(listed.problemOf(url)).toBeDefined();
  });

  it('reports entries that are not hosts', () => {
    expect(ModelHosts.parse('https://a.example, b.example:x, ok.example').problems).toEqual([
      '"https://a.example" must be a host or host:port',
      '"b.example:x" must be a host or host:port',
    ]);
  });

  it('treats text that is not an address as not public', () => {
    expect(isPublicAddress('nonsense')).toBe(false);
  });
});

describe('the address of a public name', () => {
  it('is the one that was checked', async () => {
    expect(await ask(false, '93.184.216.34')).toBe('93.184.216.34');
    expect(await ask(true, '93.184.216.34')).toEqual([{ address: '93.184.216.34', family: 4 }]);
  });

  it.each([['127.0.0.1'], ['93.184.216.34', '10.0.0.1'], ['::ffff:169.254.169.254']])(
    'is refused when it is not public: %s',
    async (...all) => {
      expect(await ask(true, ...all)).toMatchObject({
        code: 'BLOCKED_ADDRESS',
        message: expect.stringContaining('models.example.com'),
      });
    },
  );

  it('is refused when a second answer of the resolver is not public (DNS rebinding)', async () => {
    const answers = ['93.184.216.34', '127.0.0.1'];
    const lookup = publicLookup((host, options, callback) => resolveTo(answers.shift()!)(host, options, callback));
    const once = () =>
      new Promise((resolve) =>
        lookup('rebind.example.com', { all: false }, (error, address) => resolve(error ?? address)),
      );
    expect(await once()).toBe('93.184.216.34');
    expect(await once()).toMatchObject({ code: 'BLOCKED_ADDRESS' });
  });
});
