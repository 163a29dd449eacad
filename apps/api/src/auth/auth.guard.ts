import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { PUBLIC } from '@yuxi/platform';
import type { Role } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { ROLE, type AuthenticatedRequest } from './auth.decorators.js';
import { forbidden } from './auth.errors.js';
import { atLeast } from './caller.js';
import { Callers } from './callers.js';
import { checkKeyAccess } from './keys/key-access.js';

/**
 * Closes every route that is not `@Public()`. User and session, or user and key, are read from the database for each
 * request, in one statement, so that a logout, a deletion, a new role or a new password counts at once on every replica.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly callers: Callers,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest & AuthenticatedRequest>();
    // Known already where the request may have a body: see EarlyAuthentication.
    const caller = (request.caller ??= await this.callers.authenticate(request));
    if (caller.credential.kind === 'key') checkKeyAccess(caller.credential, context, this.reflector);
    const needed = this.reflector.getAllAndOverride<Role | undefined>(ROLE, targets);
    if (needed && !atLeast(caller.role, needed)) throw forbidden(`This needs the role ${needed}`);
    return true;
  }
}
