import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import type { Shutdown } from './shutdown.js';

/**
 * Makes a server close in bounded time. During the shutdown, each response has `connection: close`, so that clients use another connection.
 * When the server closes, connections without a complete request head are closed at once. The others are closed after their response, or
 * after {@link Shutdown.timeForRequests} at the latest.
 *
 * `closeIdleConnections` of Node is not enough: it treats a connection that has sent nothing, or half a head, as busy.
 */
export function drainConnections(instance: FastifyInstance, shutdown: Shutdown): void {
  const { server } = instance;
  const log = new Logger('Shutdown');
  /** Number of present requests on each connection. */
  const requests = new Map<Socket, number>();
  let closing = false;

  server.on('connection', (socket: Socket) => {
    requests.set(socket, 0);
    socket.once('close', () => requests.delete(socket));
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    requests.set(socket, (requests.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = (requests.get(socket) ?? 1) - 1;
      if (!socket.destroyed) requests.set(socket, left);
      if (!closing || left > 0) return;
      // Unread request data would reset the connection, and the client would lose the response.
      if (request.complete) socket.destroySoon();
      else socket.end();
    });
  });
  instance.addHook('onSend', (_request, reply, payload, done) => {
    if (shutdown.begun) reply.header('connection', 'close');
    done(null, payload);
  });
  instance.addHook('preClose', (done) => {
    closing = true;
    for (const [socket, count] of requests) if (count === 0) socket.destroy();
    const timer = setTimeout(() => {
      log.warn(`${requests.size} connections are closed: their requests did not end in time`);
      for (const socket of requests.keys()) socket.destroy();
    }, shutdown.timeForRequests);
    server.once('close', () => clearTimeout(timer));
    done();
  });
}
