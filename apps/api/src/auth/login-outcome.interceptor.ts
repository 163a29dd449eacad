import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { YuxiError } from '@yuxi/core';
import type { LoginRequest } from '@yuxi/throttler';
import { catchError, from, map, mergeMap, throwError, type Observable } from 'rxjs';

const GUESSES: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'WRONG_PASSWORD']);

/**
 * Gives the counted attempt back unless a password was checked and found wrong: a success, a malformed request or a
 * failure of ours is no guess.
 */
@Injectable()
export class LoginOutcomeInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { loginAttempt } = context.switchToHttp().getRequest<LoginRequest>();
    const settled = (how: 'succeeded' | 'refund') => from(loginAttempt?.[how]() ?? Promise.resolve());
    return next.handle().pipe(
      catchError((error: unknown) => {
        const guessed = error instanceof YuxiError && GUESSES.has(error.code);
        const failure = throwError(() => error);
        return guessed ? failure : settled('refund').pipe(mergeMap(() => failure));
      }),
      mergeMap((answer: unknown) => settled('succeeded').pipe(map(() => answer))),
    );
  }
}
