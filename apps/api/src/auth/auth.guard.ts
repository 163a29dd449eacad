import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { PUBLIC } from '@yuxi/platform';
import type { Role } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { ROLE, type AuthenticatedRequest } from './auth.decorators.js';
import { forbidden, unauthorized } from './auth.errors.js';
import { atLeast, type Caller } from './caller.js';
import { ApiKeys } from './keys/api-keys.js';
import { checkKeyAccess } from './keys/key-access.js';
import { SessionStore } from './sessions/session.store.js';
import { Tokens } from './tokens.js';

/** An API key, or the three parts of an access token. */
const BEARER = /^Bearer (?:(?<key>yxkey_[\w-]+)|(?<token>[\w-]+\.[\w-]+\.[\w-]+))$/i;

/**
 * Closes every route that is not `@Public()`. User and session, or user and key, are read from the database for each
 * request, in one statement, so that a logout, a deletion, a new role or a new password counts at once on every replica.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: Tokens,
    private readonly sessions: SessionStore,
    private readonly keys: ApiKeys,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest & AuthenticatedRequest>();
    const caller = await this.authenticate(request);
    if (caller.credential.kind === 'key') checkKeyAccess(caller.credential, context, this.reflector);
    const needed = this.reflector.getAllAndOverride<Role | undefined>(ROLE, targets);
    if (needed && !atLeast(caller.role, needed)) throw forbidden(`This needs the role ${needed}`);
    request.caller = caller;
    return true;
  }

  private async authenticate({ headers, raw }: FastifyRequest): Promise<Caller> {
    const repeated = raw.rawHeaders?.filter((name, index) => index % 2 === 0 && /^authorization$/i.test(name)) ?? [];
    const { key, token } = BEARER.exec(headers.authorization ?? '')?.groups ?? {};
    if (repeated.length > 1) throw unauthorized();
    const caller = key ? await this.keys.caller(key) : token && (await this.sessions.caller(this.tokens.read(token)));
    if (!caller) throw unauthorized();
    return caller;
  }
}
