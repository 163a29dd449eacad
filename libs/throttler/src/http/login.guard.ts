import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  UseGuards,
} from '@nestjs/common';
import type { LoginAttempt } from '../login/login-attempt.js';
import { LoginProtection } from '../login/login-protection.js';
import { LOGIN } from '../login/login.policies.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { type LimitedRequest, showToHooks } from './rate-limit.decorator.js';
import { addressOf } from './route-hits.js';

/** What a request behind {@link LoginGuard} carries. */
export interface LoginRequest {
  /** The counted attempt: tell it the account before the password is looked at, and how it ended. */
  loginAttempt?: LoginAttempt;
}

/**
 * Counts the attempt before the handler runs. Bound to the handler, so that no spelling of the path avoids it.
 * Throws TooManyAttemptsError, to be answered with 429 and its `retryAfterSeconds` as `Retry-After`.
 */
@Injectable()
export class LoginGuard implements CanActivate {
  constructor(
    private readonly protection: LoginProtection,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<LimitedRequest & LoginRequest>();
    request.loginAttempt = await this.protection.knock(addressOf(request, this.clientAddress));
    return true;
  }
}

/** {@link LoginGuard} on a route, and its blocked clients answered before their body is read. */
export function LimitLogins(): MethodDecorator {
  return applyDecorators(
    UseGuards(LoginGuard),
    (_target: object, _property?: unknown, descriptor?: PropertyDescriptor) =>
      showToHooks(descriptor!.value as object, [{ policy: LOGIN.address }]),
  );
}
