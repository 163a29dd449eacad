import type { FastifyInstance } from 'fastify';

const LOOK_EVERY = 100;

/**
 * Lets a closing server end as soon as its last request is answered. Node closes the connections that are idle when
 * the server closes; one that was in use then would be kept for the whole keep-alive time and hold up the process.
 */
export function drainConnections(instance: FastifyInstance): void {
  const { server } = instance;
  // The client learns from the answer that it must not send another request on this connection.
  instance.addHook('onSend', (_request, reply, payload, done) => {
    if (!server.listening) reply.header('connection', 'close');
    done(null, payload);
  });
  instance.addHook('preClose', (done) => {
    const timer = setInterval(() => server.closeIdleConnections(), LOOK_EVERY);
    server.once('close', () => clearInterval(timer));
    done();
  });
}
