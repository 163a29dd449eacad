import { type ExecutionContext, HttpStatus, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Decision, LimitAnswer } from '../limiter.decision.js';
import { LIMITER_OPTIONS, type LimiterModuleOptions } from '../limiter.options.js';
import { LimiterService } from '../limiter.service.js';
import { CLIENT_ADDRESS, type ClientAddress } from './client-address.js';
import { type LimitHeaderOptions, limitHeaders, retryAfterSeconds, sameHeaders } from './limit-headers.js';
import { bodyOf, type Refusal, refusalOf } from './limiter.errors.js';
import { hitsOf, type LimitedRequest, type LimitedRoute, type RouteLimit } from './rate-limit.decorator.js';

// The parts of Fastify and Express that are used here. The library depends on neither of them.
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

interface LimitedPath {
  /** Only the limits by address. */
  limits: readonly RouteLimit[];
  texts: RefusalTexts;
}

/** Express paths that are stored. Clients choose the paths, so their number must be bounded. */
const MAX_PATHS = 1000;
/** Metadata of Nest for versions and hosts. With one of them, the path alone does not select the handler. */
const CHOOSE_HANDLER = ['__version__', 'host'];

/**
 * Answers clients that a cached refusal covers, before their body is read and without an exception. It checks only limits by address,
 * because the user is not known yet. It does not ask Redis and counts nothing.
 *
 * On Fastify, a hook receives the route of the request. Express selects the route after it has read the body. There, this class stores
 * paths on which a guard has refused a request, and checks them in a middleware in front of the body parsers.
 */
@Injectable()
export class EarlyRefusal implements OnModuleInit {
  readonly #routes = new WeakMap<LimitedRoute, LimitedPath>();
  readonly #paths = new Map<string, LimitedPath>();

  constructor(
    private readonly limiter: LimiterService,
    @Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress,
    private readonly host: HttpAdapterHost,
    @Inject(LIMITER_OPTIONS) private readonly options: LimiterModuleOptions,
  ) {
    // Here and not in onModuleInit: Nest adds the body parsers before it initialises modules.
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

  /** Called when a guard has refused a request: later ones to the same path can be refused earlier. */
  remember(context: ExecutionContext, limits: readonly RouteLimit[]): void {
    if (this.#adapter?.getType() !== 'express') return;
    const targets = [context.getHandler(), context.getClass()];
    if (targets.some((target) => CHOOSE_HANDLER.some((key) => Reflect.getMetadata(key, target) !== undefined))) return;
    const path = pathOf(context.switchToHttp().getRequest<ExpressRequest>());
    if (this.#paths.has(path)) return;
    if (this.#paths.size >= MAX_PATHS) this.#paths.clear();
    this.#paths.set(path, this.#limitedPath(limits));
  }

  get #adapter(): HttpAdapterHost['httpAdapter'] | undefined {
    // Missing in an application without HTTP.
    return this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
  }

  #refuseOnFastify(request: FastifyRequest, reply: FastifyReply): boolean {
    const { config } = request.routeOptions;
    let path = this.#routes.get(config);
    if (!path) this.#routes.set(config, (path = this.#limitedPath(config.rateLimits ?? [])));
    const answer = this.#answer(path, request, request.id);
    if (!answer) return false;
    reply.code(429);
    for (const [name, value] of answer.headers) reply.header(name, value);
    reply.send(answer.body);
    return true;
  }

  #refuseOnExpress(request: ExpressRequest, response: ExpressResponse): boolean {
    const path = this.#paths.get(pathOf(request));
    const answer = path && this.#answer(path, request, typeof request.id === 'string' ? request.id : '');
    if (!answer) return false;
    response.statusCode = 429;
    for (const [name, value] of answer.headers) response.setHeader(name, value);
    response.end(answer.body);
    return true;
  }

  /** `undefined`: no cached refusal covers the request. */
  #answer({ limits, texts }: LimitedPath, request: LimitedRequest, requestId: string) {
    if (limits.length === 0) return undefined;
    const decision = this.limiter.cachedDenial(hitsOf(limits, request, this.clientAddress));
    if (!decision) return undefined;
    const { refusal, headers, body } = texts.of(decision);
    const own = this.options.refusalBody?.(refusal, requestId);
    return { headers, body: own === undefined ? body : JSON.stringify(own) };
  }

  #limitedPath(limits: readonly RouteLimit[]): LimitedPath {
    return {
      limits: limits.filter(({ by }) => typeof by !== 'function'),
      texts: new RefusalTexts({ legacy: this.options.legacyHeaders }),
    };
  }
}

function pathOf({ method, originalUrl }: ExpressRequest): string {
  const query = originalUrl.indexOf('?');
  return `${method} ${query < 0 ? originalUrl : originalUrl.slice(0, query)}`;
}

/** Answers of one route that are kept, one for each waiting time. */
const MAX_KEPT = 1000;

/** The answer to a refused client. */
interface RefusalText {
  readonly refusal: Refusal;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** JSON of the library's own answer. */
  readonly body: string;
}

interface KeptText extends RefusalText {
  limits: readonly LimitAnswer[];
}

/** The refusals of one route as text. A text changes once a second, while a client that does not wait sends thousands of requests. */
export class RefusalTexts {
  readonly #bySeconds = new Map<number, KeptText>();

  constructor(private readonly options: LimitHeaderOptions) {}

  of(decision: Decision): RefusalText {
    const seconds = retryAfterSeconds(decision);
    const { limits } = decision;
    const kept = this.#bySeconds.get(seconds);
    if (kept && sameHeaders(kept.limits, limits)) return kept;
    if (this.#bySeconds.size >= MAX_KEPT) this.#bySeconds.clear();
    const refusal = refusalOf(decision);
    const headers = Object.entries(limitHeaders(decision, this.options));
    headers.push(['content-type', 'application/json; charset=utf-8']);
    const body = JSON.stringify(bodyOf(refusal, HttpStatus.TOO_MANY_REQUESTS));
    const text = { limits, refusal, headers, body };
    this.#bySeconds.set(seconds, text);
    return text;
  }
}
