import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';
import { isStorageFull, YuxiError } from '@yuxi/core';
import { isLostConnection } from '@yuxi/storage';
import { LimiterError, LimiterUnavailableError } from '@yuxi/throttler';
import { refusalText } from '../compat/legacy-fields.js';
import { codeOfStatus, STATUS_OF_CODE } from './error-status.js';

/** Body of every answer from 400 on. */
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

const UNAVAILABLE = 'A service that this request needs is not available. Try again later';
const FULL: Known = {
  status: 507,
  code: 'STORAGE_FULL',
  detail:
    'There is no room to store this. Search, reading and deletion go on; try again when the operator has made room',
};
const INTERNAL: Known = { status: 500, code: 'INTERNAL_ERROR', detail: 'Internal error' };

/** What a client is told about an error: nothing of the inside from 500 on, the message below. */
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
  // The query builder wraps what the database's driver throws.
  if (error instanceof Error && error.cause instanceof YuxiError) return fromYuxi(error.cause);
  if (isLostConnection(error)) return ofStatus(503);
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
  const detail = error instanceof LimiterUnavailableError ? UNAVAILABLE : refusalText(error);
  return { code, retryAfterSeconds, detail };
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
