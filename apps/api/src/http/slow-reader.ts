import type { FastifyInstance } from 'fastify';

/**
 * Closes the connection of a client that has not taken an answer after `limitMs`: until then the server keeps all of it in memory. Event
 * streams have no end and are left alone.
 */
export function limitSlowReaders(instance: FastifyInstance, limitMs: number): void {
  instance.addHook('onSend', (_request, reply, payload, done) => {
    done(null, payload);
    if (String(reply.getHeader('content-type')).startsWith('text/event-stream')) return;
    const timer = setTimeout(() => reply.raw.destroy(), limitMs).unref();
    reply.raw.once('close', () => clearTimeout(timer));
  });
}
