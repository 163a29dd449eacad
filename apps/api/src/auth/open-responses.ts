import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  Logger,
  type NestInterceptor,
  type OnModuleDestroy,
  UseInterceptors,
} from '@nestjs/common';
import { Periodic } from '@yuxi/core';
import type { FastifyRequest } from 'fastify';
import { map, merge, Observable, type Subscriber, take } from 'rxjs';
import type { AuthenticatedRequest } from './auth.decorators.js';
import { unauthorized } from './auth.errors.js';
import { Authenticator } from './authenticator.js';
import { atLeast, type Caller } from './caller.js';

/** Milliseconds between two checks. An open response ends within 5 s after its caller has lost the right to it. */
const CHECK_EVERY = 2000;

/** Checks the rights of callers on the subjects of open responses, e.g. on tasks. */
export interface Rights<Subject> {
  /** Whether the caller of each pair has the rights now, in the order given. Called with many pairs at once. */
  held(pairs: readonly { caller: Caller; subject: Subject }[]): Promise<boolean[]>;
}

/** The caller has at least the role with which the request was let in. */
const SAME_ROLE: Rights<Caller> = {
  held: (pairs) => Promise.resolve(pairs.map(({ caller, subject }) => atLeast(caller.role, subject.role))),
};

interface OpenResponse {
  caller: Caller;
  rights: Rights<unknown>;
  subject: unknown;
  revoked: Subscriber<void>;
}

/**
 * Checks the callers of open responses again and again, because the guard checks a request only once. A response ends on
 * every replica when its caller has logged out, was deleted, or lost the rights on its subject. One check takes two
 * statements, and one for each kind of subject. While no response is open there are no checks.
 */
@Injectable()
export class OpenResponses implements OnModuleDestroy {
  readonly #log = new Logger('OpenResponses');
  readonly #open = new Set<OpenResponse>();
  readonly #checks = new Periodic(() => this.#check(), {
    every: CHECK_EVERY,
    onError: (error) => this.#failed(error as Error),
  });
  #failing = false;
  #stopping = false;

  constructor(private readonly authenticator: Authenticator) {}

  /**
   * Emits once, when the credential of the caller is no longer valid or the rights are lost.
   * @param rights one object for all subjects of a kind
   */
  revoked(caller: Caller): Observable<void>;
  revoked<Subject>(caller: Caller, rights: Rights<Subject>, subject: Subject): Observable<void>;
  revoked(caller: Caller, rights: Rights<unknown> = SAME_ROLE, subject: unknown = caller): Observable<void> {
    return new Observable((revoked) => {
      const response: OpenResponse = { caller, rights, subject, revoked };
      this.#open.add(response);
      if (!this.#stopping) this.#checks.start();
      return () => {
        this.#open.delete(response);
        if (this.#open.size === 0) void this.#checks.stop();
      };
    });
  }

  onModuleDestroy(): void {
    this.#stopping = true;
    void this.#checks.stop();
  }

  async #check(): Promise<void> {
    for (const { revoked } of await this.#withoutRights([...this.#open])) revoked.next();
    this.#failing = false;
  }

  /** The responses stay open: their content comes from the same database, so they receive nothing new either. */
  #failed(error: Error): void {
    if (!this.#failing) this.#log.warn(`Open responses cannot be checked: ${error.message}`);
    this.#failing = true;
  }

  async #withoutRights(responses: readonly OpenResponse[]): Promise<OpenResponse[]> {
    const callers = await this.authenticator.reauthenticate(responses.map(({ caller }) => caller));
    const present = responses.flatMap((response, i) => {
      const caller = callers[i];
      return caller ? [{ response, caller, subject: response.subject }] : [];
    });
    const kept = new Set<OpenResponse>();
    for (const rights of new Set(present.map(({ response }) => response.rights))) {
      const pairs = present.filter(({ response }) => response.rights === rights);
      const held = await rights.held(pairs);
      for (const [i, { response }] of pairs.entries()) if (held[i]) kept.add(response);
    }
    return responses.filter((response) => !kept.has(response));
  }
}

@Injectable()
class CallerInterceptor implements NestInterceptor {
  constructor(private readonly responses: OpenResponses) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { query, caller } = context.switchToHttp().getRequest<FastifyRequest & AuthenticatedRequest>();
    if (!caller || (query as { wait?: unknown }).wait === undefined) return next.handle();
    const revoked = this.responses.revoked(caller).pipe(
      map(() => {
        throw unauthorized();
      }),
    );
    return merge(next.handle(), revoked).pipe(take(1));
  }
}

/** For a route that waits with `?wait=`: answers 401 as soon as the caller is no longer valid. */
export const EndsWithCaller = () => UseInterceptors(CallerInterceptor);
