import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import type { Decision } from '../limiter.types.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { EarlyRefusal } from './early-refusal.js';
import { limitHeaders } from './limit-headers.js';
import { RateLimitedError } from './limiter.errors.js';
import { type LimitedRequest, RATE_LIMITS, type RouteLimit } from './rate-limit.decorator.js';
import { hitsOf } from './route-hits.js';

/** What a request behind {@link RateLimitGuard} carries, e.g. to refund it. */
export interface RateLimitedRequest {
  rateLimit?: Decision;
}

/**
 * Asks once for all limits that `@RateLimit` names on a route and its controller, and tells the client in headers. After an
 * authentication guard, if limits look at the user.
 * Throws RateLimitedError, which Nest answers with 429; the headers are set already.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #limits = new WeakMap<object, readonly RouteLimit[]>();

  constructor(
    private readonly limiter: LimiterService,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
    private readonly host: HttpAdapterHost,
    private readonly early: EarlyRefusal,
    @Inject(LIMITER_OPTIONS) private readonly options: LimiterModuleOptions,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const limits = this.#limitsOf(context);
    if (limits.length === 0) return true;
    const http = context.switchToHttp();
    const request = http.getRequest<LimitedRequest & RateLimitedRequest>();
    const hits = hitsOf(limits, request, this.clientAddress);
    if (hits.length === 0) return true;
    const decision = await this.limiter.consume(hits);
    request.rateLimit = decision;
    const response = http.getResponse<unknown>();
    for (const [name, value] of Object.entries(limitHeaders(decision, { legacy: this.options.legacyHeaders })))
      this.host.httpAdapter.setHeader(response, name, value);
    if (decision.allowed) return true;
    this.early.remember(context, limits);
    throw new RateLimitedError(decision);
  }

  /** Those of the route and of its controller. */
  #limitsOf(context: ExecutionContext): readonly RouteLimit[] {
    const handler = context.getHandler();
    const known = this.#limits.get(handler);
    if (known) return known;
    const limits = [handler, context.getClass()].flatMap(
      (target) => (Reflect.getMetadata(RATE_LIMITS, target) as RouteLimit[] | undefined) ?? [],
    );
    this.#limits.set(handler, limits);
    return limits;
  }
}
