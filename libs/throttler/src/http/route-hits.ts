import type { Hit } from '../limiter.types.js';
import type { ClientAddress } from './client-address.js';
import type { LimitedRequest, RouteLimit } from './rate-limit.decorator.js';

/** What a request costs under the limits of its route. */
export function hitsOf(limits: readonly RouteLimit[], request: LimitedRequest, clientAddress: ClientAddress): Hit[] {
  const hits: Hit[] = [];
  for (const { policy, by, cost } of limits) {
    const key = typeof by === 'function' ? by(request as never) : addressOf(request, clientAddress);
    if (key !== undefined) hits.push({ policy, key, cost });
  }
  return hits;
}

/** Address of the client behind trusted proxies. */
export function addressOf({ socket, headers }: LimitedRequest, clientAddress: ClientAddress): string {
  return clientAddress(socket.remoteAddress, headers['x-forwarded-for']);
}
