import { STATUS_CODES } from 'node:http';
import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { isConnectionError, isStorageFull, YuxiError } from '@yuxi/core';
import { LimiterError, LimiterUnavailableError } from '@yuxi/throttler';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { refusalText } from '../compat/legacy-fields.js';
import { codeOfStatus, STATUS_OF_CODE } from './error-status.js';
import { discardRestOfBody } from './slow-clients.js';

/** Body of every response with a status of 400 or more. */
export interface ProblemBody {
  detail: string;
  code: string;
  request_id: string;
  errors?: readonly unknown[];
  details?: unknown;
}

export interface Problem {
  status: number;
  headers: Record<string, string>;
  body: ProblemBody;
}

interface Known {
  status: number;
  code: string;
  detail: string;
  errors?: readonly unknown[];
  details?: unknown;
  retryAfterSeconds?: number;
}

const UNAVAILABLE = 'A service that this request needs is unavailable. Try again later';
const FULL: Known = {
  status: 507,
  code: 'STORAGE_FULL',
  detail:
    'The storage is full. Search, reading and deletion still work; store more after the operator has made free space',
};
const INTERNAL: Known = { status: 500, code: 'INTERNAL_ERROR', detail: 'Internal error' };

/** Turns every error into a response `{"detail","code","request_id"}`, for known and unknown routes. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #log = new Logger(ErrorFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = toProblem(error, request.id);
    if (problem.status >= 500) this.#logError(error, request, problem.status);
    if (reply.sent || reply.raw.headersSent) {
      // The response has begun. Only a broken connection shows the client that it is incomplete.
      reply.raw.destroy();
      return;
    }
    // After a 408 the rest of the body is not received.
    if (problem.status === 408) reply.header('connection', 'close');
    else discardRestOfBody(request.raw, reply.raw);
    void reply
      .code(problem.status)
      .headers(problem.headers)
      .header('content-type', 'application/json; charset=utf-8')
      .send(problem.body);
  }

  #logError(error: unknown, request: FastifyRequest, status: number): void {
    const text = `${request.method} ${request.routeOptions.url ?? 'unknown route'} answered ${status}: `;
    if (error instanceof Error) this.#log.error(text + error.message, error.stack);
    else this.#log.error(`${text}${typeof error} thrown`);
  }
}

/** The response to an error. Below 500 it has the message of the error, from 500 on no internal detail. */
export function toProblem(error: unknown, requestId: string): Problem {
  const { status, code, detail, errors, details, retryAfterSeconds } = read(error);
  const headers: Record<string, string> = {};
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterSeconds)));
  else if (status === 503) headers['retry-after'] = '1';
  return {
    status,
    headers,
    body: { detail, code, request_id: requestId, ...(errors && { errors }), ...(details !== undefined && { details }) },
  };
}

function read(error: unknown): Known {
  if (isStorageFull(error)) return FULL;
  if (error instanceof YuxiError) return fromYuxi(error);
  if (error instanceof HttpException) return fromHttp(error);
  if (error instanceof Error && error.name === 'FastifyError') return fromFastify(error);
  // The query builder wraps the errors of the database driver.
  if (error instanceof Error && error.cause instanceof YuxiError) return fromYuxi(error.cause);
  if (isConnectionError(error)) return ofStatus(503);
  return INTERNAL;
}

function fromYuxi(error: YuxiError): Known {
  const status = STATUS_OF_CODE[error.code] ?? 500;
  if (status === 500) return INTERNAL;
  if (status > 500) return { status, code: error.code, detail: UNAVAILABLE };
  const extra = error as { errors?: unknown; details?: unknown; revision?: unknown; retryAfterSeconds?: unknown };
  return {
    status,
    code: error.code,
    detail: error.message,
    errors: Array.isArray(extra.errors) ? (extra.errors as unknown[]) : undefined,
    details: extra.details ?? (typeof extra.revision === 'number' ? { revision: extra.revision } : undefined),
    retryAfterSeconds: typeof extra.retryAfterSeconds === 'number' ? extra.retryAfterSeconds : undefined,
  };
}

function fromHttp(error: HttpException): Known {
  const status = error.getStatus();
  if (error instanceof LimiterError) return { ...fromLimiter(error), status };
  if (status >= 500) return ofStatus(status);
  const response = error.getResponse();
  const own = (typeof response === 'object' ? response : {}) as Record<string, unknown>;
  return {
    ...ofStatus(status),
    detail: typeof own['detail'] === 'string' ? own['detail'] : error.message,
    ...(typeof own['code'] === 'string' && { code: own['code'] }),
  };
}

function fromLimiter(error: LimiterError): Omit<Known, 'status'> {
  const { code, retryAfterSeconds } = error;
  return {
    code,
    retryAfterSeconds,
    detail: error instanceof LimiterUnavailableError ? UNAVAILABLE : refusalText(error),
  };
}

function fromFastify(error: Error): Known {
  const { statusCode: status } = error as { statusCode?: unknown };
  if (typeof status !== 'number' || status < 400 || status >= 600) return INTERNAL;
  return status < 500 ? { ...ofStatus(status), detail: error.message } : ofStatus(status);
}

function ofStatus(status: number): Known {
  if (status === 500) return INTERNAL;
  return { status, code: codeOfStatus(status), detail: STATUS_CODES[status] ?? 'Request refused' };
}
