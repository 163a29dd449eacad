import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { LoginLimiter, type Reservation } from '../login-limiter.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';

/** What a request behind {@link LoginGuard} carries. */
export interface LoginRequest {
  /** The counted attempt: refund it when the login succeeded. */
  loginReservation?: Reservation;
}

interface HttpRequest extends LoginRequest {
  socket: { remoteAddress?: string };
  headers: Record<string, string | string[] | undefined>;
}

/**
 * Counts the attempt before the handler runs. Bound to the handler, so that no spelling of the path avoids it.
 * Throws TooManyAttemptsError, to be answered with 429 and its `retryAfterSeconds` as `Retry-After`.
 */
@Injectable()
export class LoginGuard implements CanActivate {
  constructor(
    private readonly limiter: LoginLimiter,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<HttpRequest>();
    const address = this.clientAddress(request.socket.remoteAddress, request.headers['x-forwarded-for']);
    request.loginReservation = await this.limiter.reserve(address);
    return true;
  }
}
