import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import type { LimitedRequest, LimitedRoute, RouteLimit } from './rate-limit.decorator.js';
import { ReadyRefusals } from './ready-refusals.js';
import { hitsOf } from './route-hits.js';

/** What is used of Fastify, so that the library does not depend on it. */
interface HookRequest extends LimitedRequest {
  id: string;
  routeOptions: { config: LimitedRoute };
}
interface HookReply {
  code(status: number): this;
  header(name: string, value: string): this;
  send(body: string): void;
}
interface Watched {
  /** Those by address. */
  limits: readonly RouteLimit[];
  refusals: ReadyRefusals;
}
interface HookedServer {
  addHook(name: 'onRequest', hook: (request: HookRequest, reply: HookReply, done: () => void) => void): void;
}

/**
 * Answers clients that are known to be refused before their body is read and without the path of exceptions, on Fastify.
 * Only limits by address are looked at: who the user is has to be found out first. Nobody is asked and nothing is counted.
 */
@Injectable()
export class EarlyRefusal implements OnModuleInit {
  readonly #routes = new WeakMap<LimitedRoute, Watched>();

  constructor(
    private readonly limiter: LimiterService,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
    private readonly host: HttpAdapterHost,
    @Inject(LIMITER_OPTIONS) private readonly options: LimiterModuleOptions,
  ) {}

  onModuleInit(): void {
    // Absent in an application without HTTP.
    const adapter = this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    if (adapter?.getType() !== 'fastify') return;
    adapter.getInstance<HookedServer>().addHook('onRequest', (request, reply, done) => {
      if (!this.#refuse(request, reply)) done();
    });
  }

  #refuse(request: HookRequest, reply: HookReply): boolean {
    const { limits, refusals } = this.#watched(request.routeOptions.config);
    if (limits.length === 0) return false;
    const decision = this.limiter.refusedAtOnce(hitsOf(limits, request, this.clientAddress));
    if (!decision) return false;
    const { refusal, headers, body } = refusals.of(decision);
    const own = this.options.refusalBody?.(refusal, request.id);
    reply.code(429);
    for (const [name, value] of headers) reply.header(name, value);
    reply.send(own === undefined ? body : JSON.stringify(own));
    return true;
  }

  #watched(route: LimitedRoute): Watched {
    let watched = this.#routes.get(route);
    if (!watched) {
      const limits = (route.rateLimits ?? []).filter(({ by }) => typeof by !== 'function');
      watched = { limits, refusals: new ReadyRefusals({ legacy: this.options.legacyHeaders }) };
      this.#routes.set(route, watched);
    }
    return watched;
  }
}
