import { Injectable, type CanActivate, type ExecutionContext, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { PUBLIC } from '@yuxi/platform';
import type { KeyScope, Role } from '@yuxi/storage';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { flagsOf } from '../http/index.js';
import { KEY_ACCESS, ROLE, type AuthenticatedRequest } from './auth.decorators.js';
import { forbidden } from './auth.errors.js';
import { Authenticator } from './authenticator.js';
import { atLeast, type KeyCredential } from './caller.js';

type Request = FastifyRequest & AuthenticatedRequest;

const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Authenticates a request before its body is read, so that a client without a token cannot make the server parse one. Only
 * `@Public()` on the method itself exempts a route; on a controller it does not.
 */
@Injectable()
export class EarlyAuthentication implements OnModuleInit {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    const server = this.host.httpAdapter.getInstance<FastifyInstance>();
    server.addHook('onRequest', async (request: Request) => {
      if (WITHOUT_BODY.has(request.method) || flagsOf(request).open) return;
      request.caller = await this.authenticator.authenticate(request);
    });
  }
}

/**
 * Closes every route that is not `@Public()`. Each request reads user and session, or user and key, from the database in
 * one statement. A logout, a deletion, a new role or a new password is therefore effective on every replica at once.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (this.#metadata(PUBLIC, context) === true) return true;
    const request = context.switchToHttp().getRequest<Request>();
    // EarlyAuthentication has set the caller of a request that may have a body.
    const caller = (request.caller ??= await this.authenticator.authenticate(request));
    if (caller.credential.kind === 'key') this.#checkScope(caller.credential, request.method, context);
    const role = this.#metadata(ROLE, context) as Role | undefined;
    if (role && !atLeast(caller.role, role)) throw forbidden(`This request needs the role ${role}`);
    return true;
  }

  /** @throws {ApiError} 403 when a key with these scopes may not call the handler */
  #checkScope({ scopes }: KeyCredential, method: string, context: ExecutionContext): void {
    const declared = this.#metadata(KEY_ACCESS, context) as KeyScope | 'none' | undefined;
    const scope = declared ?? (WITHOUT_BODY.has(method) ? 'read' : 'write');
    if (scope === 'none') throw forbidden('API keys cannot make this request: log in and use an access token');
    if (!scopes.includes(scope)) throw forbidden(`This request needs an API key with the scope ${scope}`);
  }

  /** What the method declares, else what its controller declares. */
  #metadata(key: string, context: ExecutionContext): unknown {
    return this.reflector.getAllAndOverride<unknown>(key, [context.getHandler(), context.getClass()]);
  }
}
