import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { NotFoundException } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { toMs, type Duration } from '@yuxi/core';
import { requestContext, type RequestPeer } from '@yuxi/observability';
import { drainConnections, Shutdown } from '@yuxi/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { registerBodyParsers } from './body-parsers.js';
import { codeOfStatus } from './error-status.js';
import { toProblem } from './error.filter.js';
import { SECURITY_HEADERS, securityHeaders } from './security-headers.js';
import { limitSlowBodies, limitSlowReaders } from './slow-clients.js';

/** Request ids of clients that are safe in a log line and in a header. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Status of requests that Node cannot read, by the code of its error. Default 400. */
const STATUS_OF_FAILURE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

export interface HttpAdapterOptions {
  /** Limits how long the server takes to close. Default: a new {@link Shutdown}. */
  shutdown?: Shutdown;
  /** Size limit of a JSON or form body, bytes. Uploads have another (`readUpload`). Default 1 MiB. */
  bodyLimit?: number;
  /** Time limit for the request line and the headers. Default 10 s. */
  headersTimeout?: Duration;
  /** Time limit for a whole request that is no upload. Default 30 s. */
  requestTimeout?: Duration;
  /** Time limit for a whole multipart request. Default 5 min. */
  uploadTimeout?: Duration;
  /** Time limit for a client to receive a whole response. Default 5 min. */
  responseTimeout?: Duration;
  /** How long an idle connection is kept. It must be longer than a proxy keeps its connections. Default 65 s. */
  keepAliveTimeout?: Duration;
  /** A connection without data in either direction is closed after this time. Default 2 min. */
  connectionTimeout?: Duration;
  /** Routes (exact paths) that accept `application/x-www-form-urlencoded`. Default: the token route of OAuth2. */
  formRoutes?: readonly string[];
}

/**
 * The HTTP server of the API: strict bodies and paths, short timeouts, one form of errors, and a request id for every
 * request. It never reads the address of the client from a header (see `CLIENT_ADDRESS`).
 */
export function createHttpAdapter(options: HttpAdapterOptions = {}): FastifyAdapter {
  const { bodyLimit = 1024 * 1024, formRoutes = ['/api/auth/token'] } = options;
  const ms = (name: keyof Omit<HttpAdapterOptions, 'shutdown'>, fallback: Duration) =>
    toMs(name, (options[name] as Duration | undefined) ?? fallback, { where: 'createHttpAdapter' });
  const adapter = new FastifyAdapter({
    bodyLimit,
    trustProxy: false,
    // Everything a request needs is there until the server has closed: who came on an open connection is served.
    return503OnClosing: false,
    requestIdHeader: false,
    genReqId: (request: IncomingMessage) => requestIdOf(request.headers),
    requestTimeout: ms('uploadTimeout', '5m'),
    keepAliveTimeout: ms('keepAliveTimeout', '65s'),
    connectionTimeout: ms('connectionTimeout', '2m'),
    http: { headersTimeout: ms('headersTimeout', '10s'), connectionsCheckingInterval: 5000 },
    routerOptions: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      maxParamLength: 200,
    },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const problem = toProblem(error, request.id);
      void reply
        .code(problem.status)
        .headers({ ...securityHeaders(''), ...problem.headers, 'x-request-id': request.id })
        .send({ ...problem.body, detail: 'The URL is malformed' });
    },
    clientErrorHandler: answerClientError,
    multipart: { limits: { parts: 20, fields: 16, fieldNameSize: 100, fieldSize: 4096 }, throwFileSizeLimit: false },
  });
  const instance = adapter.getInstance<FastifyInstance>();
  instance.addHook('onRequest', (request, reply, done) => {
    reply.headers({ ...securityHeaders(request.url), 'x-request-id': request.id });
    const traceparent = traceparentOf(request.headers);
    requestContext.run({ requestId: request.id, traceparent, peer: peerOf(request) }, () => done(errorOf(request)));
  });
  drainConnections(instance, options.shutdown ?? new Shutdown());
  limitSlowBodies(instance, ms('requestTimeout', '30s'));
  limitSlowReaders(instance, ms('responseTimeout', '5m'));
  registerBodyParsers(adapter, formRoutes);
  return adapter;
}

/** The error for a request that is refused before its body is read. */
function errorOf({ method, url, is404 }: FastifyRequest): Error | undefined {
  // PostgreSQL cannot store NUL, and no valid URL of this API has one.
  if (url.includes('%00')) return new ApiError('INVALID_INPUT', 'The URL has a NUL character');
  return is404 ? new NotFoundException(`Cannot ${method} ${url}`) : undefined;
}

function peerOf({ socket, headers }: FastifyRequest): RequestPeer {
  return {
    remoteAddress: socket.remoteAddress,
    forwardedFor: headers['x-forwarded-for'],
    userAgent: headers['user-agent'],
  };
}

/** Valid W3C trace context of the client: https://www.w3.org/TR/trace-context/#traceparent-header */
function traceparentOf({ traceparent }: IncomingHttpHeaders): string | undefined {
  return typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? traceparent : undefined;
}

/** The client's `X-Request-Id` if it is safe, else a new one. */
function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Answers a request that Node cannot read, in the form of all errors, and closes the connection. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const status = STATUS_OF_FAILURE[error.code ?? ''] ?? 400;
  const requestId = randomUUID();
  const body = JSON.stringify({
    detail: status === 400 ? 'Malformed HTTP request' : STATUS_CODES[status],
    code: codeOfStatus(status),
    request_id: requestId,
  });
  const headers = {
    ...SECURITY_HEADERS,
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'x-request-id': requestId,
    connection: 'close',
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`);
}
