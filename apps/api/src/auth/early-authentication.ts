import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { flagsOf } from '../http/index.js';
import type { AuthenticatedRequest } from './auth.decorators.js';
import { Callers } from './callers.js';

/** Their bodies are not read. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Authenticates a request that may have a body before the body is read: whoever has no token makes nobody parse anything. The guard
 * takes the caller from here, so that it stays one statement a request. A route is open to it only by `@Public()` on the method itself.
 */
@Injectable()
export class EarlyAuthentication implements OnModuleInit {
  constructor(
    private readonly callers: Callers,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    const server = this.host.httpAdapter.getInstance<FastifyInstance>();
    server.addHook('onRequest', async (request: FastifyRequest & AuthenticatedRequest) => {
      if (WITHOUT_BODY.has(request.method) || flagsOf(request).open) return;
      request.caller = await this.callers.authenticate(request);
    });
  }
}
