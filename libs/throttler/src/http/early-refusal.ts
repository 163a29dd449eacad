import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { limitHeaders } from './limit-headers.js';
import { refusalOf } from './rate-limited.error.js';
import type { LimitedRequest, LimitedRoute, RouteLimit } from './rate-limit.decorator.js';
import { hitsOf } from './route-hits.js';

/** What is used of Fastify, so that the library does not depend on it. */
interface HookRequest extends LimitedRequest {
  id: string;
  routeOptions: { config: LimitedRoute };
}
interface HookReply {
  code(status: number): this;
  headers(values: Record<string, string>): this;
  send(body: string): void;
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
  readonly #limits = new WeakMap<LimitedRoute, readonly RouteLimit[]>();

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
    const limits = this.#limitsOf(request.routeOptions.config);
    if (limits.length === 0) return false;
    const decision = this.limiter.refusedAtOnce(hitsOf(limits, request, this.clientAddress));
    if (!decision) return false;
    const refusal = refusalOf(decision);
    const { message: detail, code } = refusal;
    const answer = this.options.refusalBody?.(refusal, request.id) ?? { detail, code };
    reply
      .code(429)
      .headers({
        ...limitHeaders(decision, { legacy: this.options.legacyHeaders }),
        'content-type': 'application/json; charset=utf-8',
      })
      .send(JSON.stringify(answer));
    return true;
  }

  /** Those by address. */
  #limitsOf(route: LimitedRoute): readonly RouteLimit[] {
    let limits = this.#limits.get(route);
    if (!limits) {
      limits = (route.rateLimits ?? []).filter(({ by }) => typeof by !== 'function');
      this.#limits.set(route, limits);
    }
    return limits;
  }
}
