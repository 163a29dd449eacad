import { OptionsError } from '@yuxi/core';

/** What the guard knows of an HTTP request, whichever the platform. */
export interface LimitedRequest {
  headers: Record<string, string | string[] | undefined>;
  socket: { remoteAddress?: string };
}

/**
 * Whom a request counts against: `'address'`, the client's address behind trusted proxies; or a function of the request,
 * which after an authentication guard may look at the user. `undefined`: the limit does not apply.
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

export const RATE_LIMITS = Symbol.for('@yuxi/throttler:RateLimits');
/** Where platform-fastify looks for what a route's `config` is to hold, so that a hook sees it before any guard. */
const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__';

/** What a hook finds in the `config` of a Fastify route. */
export interface LimitedRoute {
  rateLimits?: readonly RouteLimit[];
}

/**
 * Limits a route, or all routes of a controller; several limits of a request are asked for at once, and count all or none.
 * Needs {@link RateLimitGuard}.
 * @throws {OptionsError} no policy name, or a cost that is no whole number
 */
export function RateLimit(...limits: readonly (string | RouteLimit)[]): ClassDecorator & MethodDecorator {
  const added = limits.map((limit) => check(typeof limit === 'string' ? { policy: limit } : limit));
  return (target: object, _property?: string | symbol, descriptor?: PropertyDescriptor) => {
    const owner = (descriptor?.value ?? target) as object;
    const all = [...((Reflect.getMetadata(RATE_LIMITS, owner) as RouteLimit[] | undefined) ?? []), ...added];
    Reflect.defineMetadata(RATE_LIMITS, all, owner);
    if (descriptor) showToHooks(owner, all);
  };
}

/** Lets hooks refuse a client that is known to be blocked, before the body is read. Only for the methods of controllers. */
export function showToHooks(handler: object, rateLimits: readonly RouteLimit[]): void {
  const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, handler) as object | undefined;
  Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...config, rateLimits } satisfies LimitedRoute, handler);
}

function check(limit: RouteLimit): RouteLimit {
  const { policy, by = 'address', cost = 1 } = limit;
  if (typeof policy !== 'string' || policy === '')
    throw new OptionsError('policy', 'the name of a policy', policy, WHERE);
  if (by !== 'address' && typeof by !== 'function')
    throw new OptionsError('by', "'address' or a function of the request", by, WHERE);
  if (!Number.isInteger(cost) || cost < 1) throw new OptionsError('cost', 'a whole number from 1 on', cost, WHERE);
  return { policy, by, cost };
}

const WHERE = '@RateLimit';
