import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import type { Shutdown } from './shutdown.js';

/**
 * Lets a server close in bounded time. From the beginning of the shutdown on, each answer tells the client to use another connection.
 * When the server closes, connections without a complete request head are closed at once, the others with their answer, and what is
 * still there after {@link Shutdown.timeForRequests} is cut off.
 *
 * `closeIdleConnections` of Node does not do: to it a connection that has never sent anything, or half a head, is busy.
 */
export function drainConnections(instance: FastifyInstance, shutdown: Shutdown): void {
  const { server } = instance;
  const logger = new Logger('Shutdown');
  /** Requests under way on each connection. */
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
      // What has not been read of a request would reset the connection, and the client would lose the answer.
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
      logger.warn(`${requests.size} connections are cut off: their requests did not end in time`);
      for (const socket of requests.keys()) socket.destroy();
    }, shutdown.timeForRequests);
    server.once('close', () => clearTimeout(timer));
    done();
  });
}
