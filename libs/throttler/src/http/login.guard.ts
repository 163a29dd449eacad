import {
  applyDecorators,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { catchError, type Observable, throwError } from 'rxjs';
import type { LoginAttempt } from '../login/login-attempt.js';
import { LoginProtection } from '../login/login-protection.js';
import { LOGIN } from '../login/login.policies.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { EarlyRefusal } from './early-refusal.js';
import { LimiterError } from './limiter.errors.js';
import { type LimitedRequest, type RouteLimit, showToHooks } from './rate-limit.decorator.js';
import { addressOf } from './route-hits.js';

/** What is known of a login before its body is read. */
const LIMITS: readonly RouteLimit[] = [{ policy: LOGIN.address }];

/** What a request behind {@link LoginGuard} carries. */
export interface LoginRequest {
  /** The counted attempt: tell it the account before the password is looked at, and how it ended. */
  loginAttempt?: LoginAttempt;
}

/**
 * Counts the attempt before the handler runs. Bound to the handler, so that no spelling of the path avoids it.
 * Throws TooManyAttemptsError, which Nest answers with 429; `Retry-After` is set already.
 */
@Injectable()
export class LoginGuard implements CanActivate {
  constructor(
    private readonly protection: LoginProtection,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
    private readonly host: HttpAdapterHost,
    private readonly early: EarlyRefusal,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<LimitedRequest & LoginRequest>();
    try {
      request.loginAttempt = await this.protection.knock(addressOf(request, this.clientAddress));
    } catch (error) {
      this.early.remember(context, LIMITS);
      throw withRetryAfter(error, context, this.host);
    }
    return true;
  }
}

/** `Retry-After` where the handler itself finds that the account has to wait. */
@Injectable()
class LoginInterceptor implements NestInterceptor {
  constructor(private readonly host: HttpAdapterHost) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(catchError((error) => throwError(() => withRetryAfter(error, context, this.host))));
  }
}

/** {@link LoginGuard} on a route, and its blocked clients answered before their body is read. */
export function LimitLogins(): MethodDecorator {
  return applyDecorators(
    UseGuards(LoginGuard),
    UseInterceptors(LoginInterceptor),
    (_target: object, _property?: unknown, descriptor?: PropertyDescriptor) =>
      showToHooks(descriptor!.value as object, LIMITS),
  );
}

function withRetryAfter(error: unknown, context: ExecutionContext, { httpAdapter }: HttpAdapterHost): unknown {
  if (error instanceof LimiterError)
    httpAdapter.setHeader(context.switchToHttp().getResponse(), 'retry-after', String(error.retryAfterSeconds));
  return error;
}
