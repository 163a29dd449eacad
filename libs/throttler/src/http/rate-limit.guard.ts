import { type CanActivate, type ExecutionContext, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost } from '@nestjs/core';
import { discoverClasses, methodsOf } from '@yuxi/core/discovery';
import type { Decision } from '../limiter.decision.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { PolicyBook } from '../policies/policy-book.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { EarlyRefusal } from './early-refusal.js';
import { limitHeaders } from './limit-headers.js';
import { RateLimitedError } from './limiter.errors.js';
import { hitsOf, type LimitedRequest, rateLimitsOf, type RouteLimit } from './rate-limit.decorator.js';

/** A request after {@link RateLimitGuard}. A handler can refund its decision. */
export interface RateLimitedRequest {
  rateLimit?: Decision;
}

/**
 * Checks all limits that `@RateLimit` names on a route and its controller, in one call, and sets the headers of the answer. Must run
 * after the authentication guard when a limit reads the user.
 * Throws RateLimitedError, which Nest answers with 429.
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

  /** The limits of the route and of its controller. */
  #limitsOf(context: ExecutionContext): readonly RouteLimit[] {
    const handler = context.getHandler();
    const known = this.#limits.get(handler);
    if (known) return known;
    const limits = [handler, context.getClass()].flatMap((target) => rateLimitsOf(target) ?? []);
    this.#limits.set(handler, limits);
    return limits;
  }
}

/** Fails the boot when a controller names an unknown policy. Otherwise each request to it would fail. */
@Injectable()
export class RateLimitExplorer implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly policies: PolicyBook,
  ) {}

  onModuleInit(): void {
    for (const controller of discoverClasses(this.discovery, { providers: false, controllers: true })) {
      const onClass = rateLimitsOf(controller.prototype.constructor) ?? [];
      const onMethods = methodsOf(controller, rateLimitsOf).flatMap(({ metadata }) => metadata);
      for (const { policy } of [...onClass, ...onMethods])
        this.policies.get(policy, `@RateLimit on ${controller.name}`);
    }
  }
}
