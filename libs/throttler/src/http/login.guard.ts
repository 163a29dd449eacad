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
import { LOGIN } from '../login/login.policies.js';
import { type LoginAttempt, LoginProtection } from '../login/login-protection.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { EarlyRefusal } from './early-refusal.js';
import { LimiterError } from './limiter.errors.js';
import { addressOf, exposeToHooks, type LimitedRequest, type RouteLimit } from './rate-limit.decorator.js';

/** The limits that apply before the body is read. Those of the account follow in {@link LoginAttempt.against}. */
const LIMITS: readonly RouteLimit[] = [{ policy: LOGIN.address }];

/** A request after {@link LoginGuard}. */
export interface LoginRequest {
  /** The counted attempt. Call `against` before the password is verified, and `succeeded` or `refund` afterwards. */
  loginAttempt?: LoginAttempt;
}

/**
 * Counts the attempt before the handler runs. It is bound to the handler, so no spelling of the path avoids it.
 * Throws TooManyAttemptsError, which Nest answers with 429. `Retry-After` is already set then.
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
      request.loginAttempt = await this.protection.reserveAttempt(addressOf(request, this.clientAddress));
    } catch (error) {
      this.early.remember(context, LIMITS);
      throw withRetryAfter(error, context, this.host);
    }
    return true;
  }
}

/** Sets `Retry-After` when the handler finds that the account has to wait. */
@Injectable()
class LoginInterceptor implements NestInterceptor {
  constructor(private readonly host: HttpAdapterHost) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(catchError((error) => throwError(() => withRetryAfter(error, context, this.host))));
  }
}

/** Applies {@link LoginGuard} to a route. Blocked clients are answered before their body is read. */
export function LimitLogins(): MethodDecorator {
  return applyDecorators(
    UseGuards(LoginGuard),
    UseInterceptors(LoginInterceptor),
    (_target: object, _property?: unknown, descriptor?: PropertyDescriptor) =>
      exposeToHooks(descriptor!.value as object, LIMITS),
  );
}

function withRetryAfter(error: unknown, context: ExecutionContext, { httpAdapter }: HttpAdapterHost): unknown {
  if (error instanceof LimiterError)
    httpAdapter.setHeader(context.switchToHttp().getResponse(), 'retry-after', String(error.retryAfterSeconds));
  return error;
}
