import { type ExecutionContext, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import type { LimitedRequest, LimitedRoute, RouteLimit } from './rate-limit.decorator.js';
import { ReadyRefusals } from './ready-refusals.js';
import { hitsOf } from './route-hits.js';

// What is used of Fastify and Express, so that the library depends on neither.
interface FastifyRequest extends LimitedRequest {
  id: string;
  routeOptions: { config: LimitedRoute };
}
interface FastifyReply {
  code(status: number): this;
  header(name: string, value: string): this;
  send(body: string): void;
}
interface FastifyServer {
  addHook(name: 'onRequest', hook: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void): void;
}
interface ExpressRequest extends LimitedRequest {
  id?: unknown;
  method: string;
  originalUrl: string;
}
interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): void;
  end(body: string): void;
}

interface Watched {
  /** Those by address. */
  limits: readonly RouteLimit[];
  refusals: ReadyRefusals;
}

/** Paths of Express that are remembered; more than a client of one route needs, and bounded. */
const MOST_PATHS = 1000;
/** Metadata of Nest: with one of them a path alone does not say which handler answers. */
const CHOOSE_HANDLER = ['__version__', 'host'];

/**
 * Answers clients that are known to be refused before their body is read and without the path of exceptions. Only limits by
 * address are looked at: who the user is has to be found out first. Nobody is asked and nothing is counted.
 *
 * Fastify tells a hook which route a request is for. Express does not, and reads the body first: there the paths on which a guard has
 * refused somebody are remembered, and a middleware that stands before the body parsers looks at those.
 */
@Injectable()
export class EarlyRefusal implements OnModuleInit {
  readonly #routes = new WeakMap<LimitedRoute, Watched>();
  readonly #paths = new Map<string, Watched>();

  constructor(
    private readonly limiter: LimiterService,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
    private readonly host: HttpAdapterHost,
    @Inject(LIMITER_OPTIONS) private readonly options: LimiterModuleOptions,
  ) {
    // Not later: Nest adds the body parsers before it initialises modules.
    if (this.#adapter?.getType() === 'express')
      this.#adapter.use((request: ExpressRequest, response: ExpressResponse, next: () => void) => {
        if (!this.#refuseOnExpress(request, response)) next();
      });
  }

  onModuleInit(): void {
    if (this.#adapter?.getType() !== 'fastify') return;
    this.#adapter.getInstance<FastifyServer>().addHook('onRequest', (request, reply, done) => {
      if (!this.#refuseOnFastify(request, reply)) done();
    });
  }

  /** A guard has refused a request: others of the same client to the same path need not come so far. */
  remember(context: ExecutionContext, limits: readonly RouteLimit[]): void {
    if (this.#adapter?.getType() !== 'express') return;
    const targets = [context.getHandler(), context.getClass()];
    if (targets.some((target) => CHOOSE_HANDLER.some((key) => Reflect.getMetadata(key, target) !== undefined))) return;
    const path = pathOf(context.switchToHttp().getRequest<ExpressRequest>());
    if (this.#paths.has(path)) return;
    if (this.#paths.size >= MOST_PATHS) this.#paths.clear();
    this.#paths.set(path, this.#watch(limits));
  }

  get #adapter(): HttpAdapterHost['httpAdapter'] | undefined {
    // Absent in an application without HTTP.
    return this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
  }

  #refuseOnFastify(request: FastifyRequest, reply: FastifyReply): boolean {
    const { config } = request.routeOptions;
    let watched = this.#routes.get(config);
    if (!watched) this.#routes.set(config, (watched = this.#watch(config.rateLimits ?? [])));
    const answer = this.#answer(watched, request, request.id);
    if (!answer) return false;
    reply.code(429);
    for (const [name, value] of answer.headers) reply.header(name, value);
    reply.send(answer.body);
    return true;
  }

  #refuseOnExpress(request: ExpressRequest, response: ExpressResponse): boolean {
    const watched = this.#paths.get(pathOf(request));
    const answer = watched && this.#answer(watched, request, typeof request.id === 'string' ? request.id : '');
    if (!answer) return false;
    response.statusCode = 429;
    for (const [name, value] of answer.headers) response.setHeader(name, value);
    response.end(answer.body);
    return true;
  }

  /** Undefined: it is not known that the client is refused. */
  #answer({ limits, refusals }: Watched, request: LimitedRequest, requestId: string) {
    if (limits.length === 0) return undefined;
    const decision = this.limiter.refusedAtOnce(hitsOf(limits, request, this.clientAddress));
    if (!decision) return undefined;
    const { refusal, headers, body } = refusals.of(decision);
    const own = this.options.refusalBody?.(refusal, requestId);
    return { headers, body: own === undefined ? body : JSON.stringify(own) };
  }

  #watch(limits: readonly RouteLimit[]): Watched {
    return {
      limits: limits.filter(({ by }) => typeof by !== 'function'),
      refusals: new ReadyRefusals({ legacy: this.options.legacyHeaders }),
    };
  }
}

function pathOf({ method, originalUrl }: ExpressRequest): string {
  const query = originalUrl.indexOf('?');
  return `${method} ${query < 0 ? originalUrl : originalUrl.slice(0, query)}`;
}
