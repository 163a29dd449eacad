import type { IncomingMessage } from 'node:http';
import { NotFoundException } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { toMs, type Duration } from '@yuxi/core';
import { requestContext, type RequestPeer } from '@yuxi/observability';
import { drainConnections, Shutdown } from '@yuxi/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { answerClientError } from './client-error.js';
import { registerBodyParsers } from './content-parsers.js';
import { toProblem } from './problem.js';
import { requestIdOf, traceparentOf } from './request-id.js';
import { securityHeaders } from './security-headers.js';
import { limitSlowBodies } from './slow-body.js';
import { limitSlowReaders } from './slow-reader.js';

export interface HttpAdapterOptions {
  /** Bounds how long the server takes to close. Default: its own, see {@link Shutdown}. */
  shutdown?: Shutdown;
  /** Largest JSON or form body, bytes. Uploads have their own limit (`readUpload`). Default 1 MiB. */
  bodyLimit?: number;
  /** Time for the request line and the headers. Default 10 s. */
  headersTimeout?: Duration;
  /** Time for the whole of a request that is no upload. Default 30 s. */
  requestTimeout?: Duration;
  /** Time for the whole of a multipart request. Default 5 min. */
  uploadTimeout?: Duration;
  /** Time in which a client must take the whole of an answer. Default 5 min. */
  answerTimeout?: Duration;
  /** How long an idle connection is kept; longer than a proxy in front keeps its own. Default 65 s. */
  keepAliveTimeout?: Duration;
  /** Silence on a connection, in both directions, after which it is closed. Default 2 min. */
  connectionTimeout?: Duration;
  /** Routes (exact paths) that take `application/x-www-form-urlencoded`. Default the token route of OAuth2. */
  formRoutes?: readonly string[];
}

/**
 * The HTTP server of the API: strict bodies, strict paths, short timeouts, one shape of errors and a request id
 * from the first byte on. The client's address is never taken from a header here (see `CLIENT_ADDRESS`).
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
    requestContext.run({ requestId: request.id, traceparent, peer: peerOf(request) }, () => done(refusalOf(request)));
  });
  drainConnections(instance, options.shutdown ?? new Shutdown());
  limitSlowBodies(instance, ms('requestTimeout', '30s'));
  limitSlowReaders(instance, ms('answerTimeout', '5m'));
  registerBodyParsers(adapter, formRoutes);
  return adapter;
}

/** Before the body of such a request is read. */
function refusalOf({ method, url, is404 }: FastifyRequest): Error | undefined {
  // No database takes a NUL, and no honest address has one.
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
