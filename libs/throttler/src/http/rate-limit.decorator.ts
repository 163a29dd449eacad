import { integerOption, OptionsError } from '@yuxi/core';
import type { Hit } from '../limiter.decision.js';
import type { ClientAddress } from './client-address.js';

/** The part of an HTTP request that limits read; the same on Fastify and Express. */
export interface LimitedRequest {
  headers: Record<string, string | string[] | undefined>;
  socket: { remoteAddress?: string };
}

/**
 * What a limit counts by.
 * - `'address'`: the client address behind trusted proxies.
 * - A function of the request. Behind an authentication guard it may read the user. When it returns `undefined`, the limit does not
 *   apply to the request.
 */
export type LimitKey = 'address' | ((request: never) => string | undefined);

export interface RouteLimit {
  /** Name of a policy. */
  policy: string;
  /** Default `'address'`. */
  by?: LimitKey;
  /** Default 1. */
  cost?: number;
}

const RATE_LIMITS = Symbol.for('@yuxi/throttler:RateLimits');
/** Metadata that platform-fastify copies into the `config` of a route, where a hook can read it before any guard runs. */
const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__';

/** The `config` of a Fastify route. */
export interface LimitedRoute {
  rateLimits?: readonly RouteLimit[];
}

/**
 * Limits a route, or all routes of a controller. All limits of a request are checked together, and a hit counts in all of them or in
 * none. Needs {@link RateLimitGuard}.
 * @throws {OptionsError} no policy name, a bad `by`, or a cost that is not a positive integer
 */
export function RateLimit(...limits: readonly (string | RouteLimit)[]): ClassDecorator & MethodDecorator {
  const added = limits.map((limit) => check(typeof limit === 'string' ? { policy: limit } : limit));
  return (target: object, _property?: string | symbol, descriptor?: PropertyDescriptor) => {
    const owner = (descriptor?.value ?? target) as object;
    const all = [...(rateLimitsOf(owner) ?? []), ...added];
    Reflect.defineMetadata(RATE_LIMITS, all, owner);
    if (descriptor) exposeToHooks(owner, all);
  };
}

/** The limits that {@link RateLimit} gave to a class or method. */
export function rateLimitsOf(target: object): RouteLimit[] | undefined {
  return Reflect.getMetadata(RATE_LIMITS, target) as RouteLimit[] | undefined;
}

/** Makes the limits of a controller method readable for Fastify hooks, which refuse blocked clients before the body is read. */
export function exposeToHooks(handler: object, rateLimits: readonly RouteLimit[]): void {
  const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, handler) as object | undefined;
  Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...config, rateLimits } satisfies LimitedRoute, handler);
}

/** The hits of a request under the limits of its route. */
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

function check(limit: RouteLimit): RouteLimit {
  const { policy, by = 'address', cost = 1 } = limit;
  if (typeof policy !== 'string' || policy === '')
    throw new OptionsError('policy', 'the name of a policy', policy, WHERE);
  if (by !== 'address' && typeof by !== 'function')
    throw new OptionsError('by', "'address' or a function of the request", by, WHERE);
  return { policy, by, cost: integerOption('cost', cost, { where: WHERE }) };
}

const WHERE = '@RateLimit';
