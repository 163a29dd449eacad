import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { PUBLIC } from '@yuxi/platform';
import type { Role } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { ROLE, type AuthenticatedRequest } from './auth.decorators.js';
import { forbidden, unauthorized } from './auth.errors.js';
import { atLeast, type Caller } from './caller.js';
import { Tokens } from './tokens.js';
import { UserStore } from './user.store.js';

const BEARER = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i;

/**
 * Closes every route that is not `@Public()`. The user is read from the database for each request, so that a deletion,
 * a new role or a new password counts at once on every replica.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: Tokens,
    private readonly users: UserStore,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest & AuthenticatedRequest>();
    request.caller = await this.authenticate(request);
    const needed = this.reflector.getAllAndOverride<Role | undefined>(ROLE, targets);
    if (needed && !atLeast(request.caller.role, needed)) throw forbidden(`This needs the role ${needed}`);
    return true;
  }

  private async authenticate({ headers, raw }: FastifyRequest): Promise<Caller> {
    const repeated = raw.rawHeaders?.filter((name, index) => index % 2 === 0 && /^authorization$/i.test(name)) ?? [];
    const token = BEARER.exec(headers.authorization ?? '')?.[1];
    if (!token || repeated.length > 1) throw unauthorized();
    const { id, version } = this.tokens.read(token);
    const user = await this.users.caller(id, version);
    if (!user) throw unauthorized();
    return user;
  }
}
