import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { HttpException } from '@nestjs/common';
import { Periodic } from '@yuxi/core';
import type { FastifyInstance } from 'fastify';

/** How long a client may pause, and the longest time in total, while the rest of its body is discarded. Milliseconds. */
const SILENCE_MS = 2000;
const MAX_DISCARD_MS = 30_000;

/**
 * Gives requests that are no uploads a shorter time limit. Node has one limit for all requests of a server, and that is
 * set for uploads. Without this hook a body sent byte by byte could occupy a connection for as long as an upload may take.
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

/**
 * Closes the connection of a client that has not received a response after `limitMs`. Until then the server keeps all of
 * it in memory. Event streams have no end and are exempt.
 */
export function limitSlowReaders(instance: FastifyInstance, limitMs: number): void {
  instance.addHook('onSend', (_request, reply, payload, done) => {
    done(null, payload);
    if (String(reply.getHeader('content-type')).startsWith('text/event-stream')) return;
    const timer = setTimeout(() => reply.raw.destroy(), limitMs).unref();
    reply.raw.once('close', () => clearTimeout(timer));
  });
}

/**
 * Keeps the connection of a request that is answered before its body has arrived, and discards the rest of the body.
 * Closing at once would reset the connection, and most clients would lose the response. RFC 9112, section 9.6, calls this
 * "lingering close". nginx uses the same two times. Call it before the response is sent.
 */
export function discardRestOfBody(request: IncomingMessage, response: ServerResponse): void {
  // Undefined for a request that was injected without a connection.
  if (request.complete ?? true) return;
  // By default Node closes the connection of a client that sent `Connection: close` right after the response.
  const closesAfter = !response.shouldKeepAlive;
  response.shouldKeepAlive = true;
  response.once('finish', () => {
    const { socket } = request;
    const close = () => {
      if (closesAfter) socket.end();
    };
    if (request.readableEnded) {
      // The rest arrived while the response was being sent.
      close();
      return;
    }
    // Node discards the rest below the stream, which then emits no `data` events.
    let received = socket.bytesRead;
    const closeWhenSilent = () => {
      if (socket.bytesRead === received) socket.destroy();
      received = socket.bytesRead;
    };
    const silence = new Periodic(closeWhenSilent, { every: SILENCE_MS, jitter: 0 });
    silence.start();
    const longest = setTimeout(() => socket.destroy(), MAX_DISCARD_MS).unref();
    request.once('end', close);
    request.once('close', () => {
      void silence.stop();
      clearTimeout(longest);
    });
  });
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isUpload(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.toLowerCase().startsWith('multipart/') ?? false;
}
