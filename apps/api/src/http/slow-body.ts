import type { IncomingHttpHeaders } from 'node:http';
import { HttpException } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';

/**
 * Node has one time limit for all requests of a server. It is set for uploads; everything else gets this shorter one,
 * so that a body sent byte by byte cannot hold a connection for as long as an honest upload may take.
 */
export function limitSlowBodies(instance: FastifyInstance, limitMs: number): void {
  instance.addHook('preParsing', (request, _reply, payload, done) => {
    done(null, payload);
    if (!hasBody(request.headers) || isUpload(request.headers)) return;
    const timer = setTimeout(() => {
      const late = new HttpException('The request body did not arrive in time', 408);
      if (!request.raw.readableEnded && payload.listenerCount('error') > 0) payload.emit('error', late);
    }, limitMs).unref();
    for (const event of ['end', 'close']) request.raw.once(event, () => clearTimeout(timer));
  });
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isUpload(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.toLowerCase().startsWith('multipart/') ?? false;
}
