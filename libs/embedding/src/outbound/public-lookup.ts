import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { BlockedAddressError } from '../embedding.errors.js';
import { isInside } from './addresses.js';

type Resolve = (
  host: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Resolves a name for one connection and refuses it when any of its addresses is inside. The connection goes to the very addresses
 * that were looked at, so that a second answer of the resolver (DNS rebinding) changes nothing.
 */
export function publicLookup(resolve: Resolve = lookup): LookupFunction {
  return (host, options, callback) => {
    resolve(host, { ...options, all: true }, (error, addresses) => {
      const blocked = !error && addresses.some(({ address }) => isInside(address));
      const failure = blocked ? new BlockedAddressError(host) : error;
      const [first] = addresses ?? [];
      if (failure || !first) callback(failure ?? new Error(`${host} has no address`), '', 0);
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
