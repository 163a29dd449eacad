import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { lingerOverBody } from './linger.js';
import { toProblem } from './problem.js';

/** The one place where an error becomes an answer: `{"detail","code","request_id"}`, for known and unknown routes. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(ErrorFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = toProblem(error, request.id);
    if (problem.status >= 500) this.log(error, request, problem.status);
    if (reply.sent || reply.raw.headersSent) {
      // The answer has begun: cutting it is the only way left to tell the client that it is not complete.
      reply.raw.destroy();
      return;
    }
    // A body that does not come in time is not waited for any longer.
    if (problem.status === 408) reply.header('connection', 'close');
    else lingerOverBody(request.raw, reply.raw);
    void reply
      .code(problem.status)
      .headers(problem.headers)
      .header('content-type', 'application/json; charset=utf-8')
      .send(problem.body);
  }

  private log(error: unknown, request: FastifyRequest, status: number): void {
    const text = `${request.method} ${request.routeOptions.url ?? 'unknown route'} answered ${status}: `;
    if (error instanceof Error) this.logger.error(text + error.message, error.stack);
    else this.logger.error(`${text}${typeof error} thrown`);
  }
}
