import { BlockList, isIP } from 'node:net';
import { OptionsError } from '@yuxi/core';

/** Address of the client behind trusted proxies: IPv4 as text, IPv6 as its /64, `unknown` without a connection. */
export type ClientAddress = (
  remoteAddress: string | undefined,
  xForwardedFor: string | readonly string[] | undefined,
) => string;

/** Injection token of the application's {@link ClientAddress}. */
export const CLIENT_ADDRESS = Symbol.for('@yuxi/throttler:ClientAddress');

/**
 * @param trusted CIDRs or addresses of the proxies whose `X-Forwarded-For` is used; empty: the header is ignored. The header is read
 * from right to left, up to the first address that is not trusted. An element that is not an address ends the reading, and the
 * address to its right counts.
 * @param ignored called once with the peer when an untrusted peer sends `X-Forwarded-For`. It may be a proxy that is missing in
 * `trusted`, and then all its clients count as one.
 * @throws {OptionsError} an element of `trusted` is not a CIDR or address
 */
export function createClientAddress(trusted: readonly string[], ignored?: (peer: string) => void): ClientAddress {
  const proxies = new BlockList();
  for (const cidr of trusted) {
    const problem = addTo(proxies, cidr);
    if (problem) throw new OptionsError('trustedProxies', problem, cidr);
  }
  const read = (text: string): Hop | undefined => {
    const ip = fold(text);
    if (ip === undefined) return undefined;
    const isV6 = isIP(ip) === 6;
    return { ip, trusted: proxies.check(ip, isV6 ? 'ipv6' : 'ipv4'), counted: isV6 ? prefix64(ip) : ip };
  };
  // Parsing an address costs more than the rest of this function, and the same addresses come again.
  const known = new Map<string, Hop>();
  const hopOf = (text: string): Hop | undefined => {
    const same = known.get(text);
    if (same !== undefined) return same;
    const hop = read(text);
    // Text that is not an address is not kept, because it may have any length.
    if (hop === undefined) return undefined;
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(text, hop);
    return hop;
  };

  let reported = false;
  return (remoteAddress, xForwardedFor) => {
    let client = hopOf(remoteAddress ?? '');
    if (client === undefined) return 'unknown';
    if (xForwardedFor === undefined || xForwardedFor === '') return client.counted;
    const rest = (typeof xForwardedFor === 'string' ? xForwardedFor : xForwardedFor.join(',')).split(',');
    if (!reported && !client.trusted) {
      reported = true;
      ignored?.(client.ip);
    }
    while (client.trusted && rest.length > 0) {
      const next = hopOf(rest.pop()!.trim());
      if (next === undefined) break;
      client = next;
    }
    return client.counted;
  };
}

/** Parsed addresses that are kept. */
const MAX_KNOWN = 10_000;

interface Hop {
  /** In its canonical form. */
  ip: string;
  trusted: boolean;
  /** The form that limits count by. */
  counted: string;
}

/**
 * Reads TRUSTED_PROXIES: CIDRs or addresses separated by commas or blanks. An empty text trusts no proxy.
 * @returns the valid elements, and one message for each invalid one
 */
export function parseTrustedProxies(text: string): { trusted: string[]; problems: string[] } {
  const elements = text.split(/[\s,]+/).filter(Boolean);
  const problems: string[] = [];
  const trusted = elements.filter((element) => {
    const problem = addTo(new BlockList(), element);
    if (problem) problems.push(`${JSON.stringify(element.slice(0, 80))} must be ${problem}`);
    return !problem;
  });
  return { trusted, problems };
}

const FORM = 'the CIDR or address of a proxy, e.g. 10.0.0.0/8 or fd00::/8';

/** @returns the broken rule, or `undefined` */
function addTo(list: BlockList, cidr: string): string | undefined {
  const [address = '', bits, ...more] = cidr.split('/');
  const family = isIP(address);
  if (/^\d+$/.test(cidr)) return `${FORM}; a number of hops is not supported, because clients can add hops`;
  if (/^(true|all|\*)$/i.test(cidr)) return `${FORM}; if every peer is trusted, clients can choose their address`;
  if (family === 0 || more.length > 0 || address.includes('%')) return FORM;
  if (family === 6 && fold(address) !== canonical6(address)) return `${FORM}; write an IPv4-mapped address as IPv4`;
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (bits === undefined) {
    list.addAddress(address, type);
    return undefined;
  }
  const most = family === 6 ? 128 : 32;
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > most) return `${FORM}, with a prefix of 1..${most} bits`;
  if (Number(bits) === 0) return `${FORM}; with /0 clients can choose their address`;
  list.addSubnet(address, Number(bits), type);
  return undefined;
}

/** The canonical form: IPv4-mapped IPv6 as IPv4, IPv6 without zone. */
function fold(text: string): string | undefined {
  const family = isIP(text);
  if (family === 4) return text;
  if (family === 0) return undefined;
  const ip = canonical6(text);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(ip);
  if (!mapped) return ip;
  const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function canonical6(ip: string): string {
  return new URL(`http://[${ip.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
}

/** A subscriber owns a whole /64. Counting single addresses would give one client 2^64 counters. */
function prefix64(ip: string): string {
  const [head = '', tail] = ip.split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return `${canonical6(`${groups.slice(0, 4).join(':')}::`)}/64`;
}
