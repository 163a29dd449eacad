import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { map, merge, type Observable, take } from 'rxjs';
import type { AuthenticatedRequest } from './auth.decorators.js';
import { unauthorized } from './auth.errors.js';
import { OpenAnswers } from './open-answers.js';

/** Answers 401 in place of what is waited for with `?wait=` when the caller does not count any more. */
@Injectable()
class CallerWait implements NestInterceptor {
  constructor(private readonly answers: OpenAnswers) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { query, caller } = context.switchToHttp().getRequest<FastifyRequest & AuthenticatedRequest>();
    if (!caller || (query as { wait?: unknown }).wait === undefined) return next.handle();
    const lost = this.answers.lost(caller).pipe(
      map(() => {
        throw unauthorized();
      }),
    );
    return merge(next.handle(), lost).pipe(take(1));
  }
}

/** For a route with `?wait=`: see {@link CallerWait}. */
export const EndsWithCaller = () => UseInterceptors(CallerWait);
