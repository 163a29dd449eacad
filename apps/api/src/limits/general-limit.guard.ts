import { type ExecutionContext, HttpException, HttpStatus, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import {
  InjectThrottlerOptions,
  InjectThrottlerStorage,
  ThrottlerGuard,
  type ThrottlerLimitDetail,
  type ThrottlerModuleOptions,
  type ThrottlerRequest,
  type ThrottlerStorage,
} from '@nestjs/throttler';
import { UNLIMITED } from '@yuxi/platform';
import { CLIENT_ADDRESS, type ClientAddress } from '@yuxi/throttler';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AuthenticatedRequest } from '../auth/index.js';
import { LiveLimits } from './live-limits.js';

/**
 * Counts every request of a user, or of a client address without a user, under one limit: the setting
 * `limits.requests_per_minute`. It runs after the authentication guard, so refused requests do not count. Health checks and
 * event streams do not count either.
 */
@Injectable()
export class GeneralLimitGuard extends ThrottlerGuard {
  constructor(
    @InjectThrottlerOptions() options: ThrottlerModuleOptions,
    @InjectThrottlerStorage() storage: ThrottlerStorage,
    reflector: Reflector,
    private readonly limits: LiveLimits,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
  ) {
    super(options, storage, reflector);
  }

  protected override shouldSkip(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    const exempt = this.reflector.getAllAndOverride<boolean | undefined>(UNLIMITED, targets);
    return Promise.resolve(exempt === true || this.limits.requestsPerMinute === 0);
  }

  protected override handleRequest(request: ThrottlerRequest): Promise<boolean> {
    return super.handleRequest({ ...request, limit: this.limits.requestsPerMinute });
  }

  protected override getTracker({ caller, socket, headers }: Record<string, unknown>): Promise<string> {
    const user = caller as AuthenticatedRequest['caller'] | undefined;
    if (user) return Promise.resolve(`user:${user.id}`);
    const { remoteAddress } = socket as FastifyRequest['socket'];
    return Promise.resolve(
      this.clientAddress(remoteAddress, (headers as FastifyRequest['headers'])['x-forwarded-for']),
    );
  }

  /** All routes share one count. */
  protected override generateKey(_context: ExecutionContext, tracker: string): string {
    return tracker;
  }

  protected override throwThrottlingException(
    context: ExecutionContext,
    { timeToBlockExpire, limit }: ThrottlerLimitDetail,
  ): Promise<void> {
    const seconds = Math.max(1, timeToBlockExpire);
    context.switchToHttp().getResponse<FastifyReply>().header('retry-after', String(seconds));
    const detail = `Too many requests: more than ${limit} in a minute. Try again in ${seconds} s`;
    throw new HttpException({ detail, code: 'RATE_LIMITED' }, HttpStatus.TOO_MANY_REQUESTS);
  }
}
