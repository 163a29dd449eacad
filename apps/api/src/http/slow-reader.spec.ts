import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import fastify, { type FastifyInstance } from 'fastify';
import { limitSlowReaders } from './slow-clients.js';

/** More than the operating system buffers for a client that does not read. */
const LARGE = Buffer.alloc(32 * 1024 * 1024, 'x');
const LIMIT_MS = 200;

describe('a response that is not received', () => {
  let app: FastifyInstance;
  let client: Socket | undefined;
  const start = async (limited: boolean) => {
    app = fastify({ forceCloseConnections: true });
    if (limited) limitSlowReaders(app, LIMIT_MS);
    app.get('/large', (_request, reply) => reply.send(LARGE));
    app.get('/small', () => 'taken');
    app.get('/events', (_request, reply) => {
      const events = new Readable({ read: () => undefined });
      events.push('data: 1\n\n');
      return reply.type('text/event-stream').send(events);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
  };
  const ask = (path: string) => {
    client = connect((app.server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  };
  const connections = () =>
    new Promise<number>((resolve, reject) =>
      app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );

  afterEach(async () => {
    client?.destroy();
    await app.close();
  });

  it('is disconnected after the time limit', async () => {
    await start(true);
    ask('/large');
    client!.pause();
    await eventually(async () => expect(await connections()).toBe(1));
    await eventually(async () => expect(await connections()).toBe(0));
  });

  it('control: is not disconnected without the limit', async () => {
    await start(false);
    ask('/large');
    client!.pause();
    await pause(LIMIT_MS * 5);
    expect(await connections()).toBe(1);
  });

  it('is not one that was received: its connection stays open', async () => {
    await start(true);
    ask('/small');
    await once(client!, 'data');
    await pause(LIMIT_MS * 2);
    client!.write('GET /small HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(client!, 'data');
  });

  it('is not an event stream: its connection stays open', async () => {
    await start(true);
    ask('/events');
    await once(client!, 'data');
    await pause(LIMIT_MS * 3);
    expect(await connections()).toBe(1);
  });
});
