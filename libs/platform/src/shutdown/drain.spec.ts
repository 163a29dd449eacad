import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { drainConnections } from './drain.js';
import { Shutdown } from './shutdown.js';

/** The rest of the timeout, 3 s, is reserved for the last steps. */
const TIME_FOR_REQUESTS = 1500;
const TIMEOUT = 3000 + TIME_FOR_REQUESTS;
const HEAD = 'POST /slow HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n';

describe('a server that closes', () => {
  let instance: FastifyInstance;
  let shutdown: Shutdown;
  let finish: () => void;
  /** Resolves when a request has reached the slow route. */
  let begun: Promise<void>;
  const agent = new Agent({ keepAlive: true });
  const sockets: Socket[] = [];

  beforeEach(async () => {
    instance = fastify({ keepAliveTimeout: 60_000 });
    shutdown = new Shutdown({ delay: 0, timeout: TIMEOUT });
    drainConnections(instance, shutdown);
    instance.get('/', () => 'done');
    begun = new Promise((begin) => {
      instance.get('/slow', () => {
        begin();
        return new Promise((resolve) => (finish = () => resolve('done')));
      });
    });
    instance.post('/slow', () => 'done');
    await instance.listen({ port: 0 });
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    agent.destroy();
    instance.server.closeAllConnections();
  });

  const port = () => (instance.server.address() as AddressInfo).port;
  const get = (path: string) =>
    new Promise<string | undefined>((resolve, reject) => {
      request({ port: port(), agent, path }, (response) => {
        response.resume();
        response.once('end', () => resolve(response.headers.connection));
      })
        .once('error', reject)
        .end();
    });
  /** Opens a connection and sends `text`. Resolves when the server has accepted the connection. */
  async function open(text: string): Promise<Socket> {
    const accepted = once(instance.server, 'connection');
    const socket = connect(port(), '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await accepted;
    if (text) socket.write(text);
    return socket;
  }
  async function close(): Promise<void> {
    shutdown.begin();
    await instance.close();
  }

  it('sends `connection: close` with each response from the beginning of the shutdown on', async () => {
    expect(await get('/')).toBe('keep-alive');
    shutdown.begin();
    expect(await get('/')).toBe('close');
    await instance.close();
  });

  it('closes after the last response, which has `connection: close`', async () => {
    await get('/');
    const answer = get('/slow');
    await begun;
    const closed = close();
    finish();
    expect(await answer).toBe('close');
    await closed;
    expect(shutdown.timeForRequests).toBeGreaterThan(0);
  });

  it.each([
    ['has never sent anything', ''],
    ['has sent half a head', HEAD],
    ['waits for its next request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('closes at once a connection that %s', async (_, text) => {
    const socket = await open(text);
    if (text.startsWith('GET')) await once(socket, 'data');
    await close();
    expect(shutdown.timeForRequests).toBeGreaterThan(0);
  });

  it('waits for the rest of a request body, and answers it', async () => {
    const socket = await open(`${HEAD}\r\n12345`);
    const answer = once(socket, 'data');
    await once(instance.server, 'request');
    const closed = close();
    socket.write('67890');
    expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 200 [^]*connection: close/i);
    await closed;
  });

  it('closes the connections of requests that did not end in time', async () => {
    const dripping = await open(`${HEAD}\r\n`);
    const drip = setInterval(() => dripping.write('1'), 300);
    const answer = get('/slow');
    answer.catch(() => undefined);
    await begun;
    await close();
    clearInterval(drip);
    expect(shutdown.timeForRequests).toBe(0);
    await expect(answer).rejects.toThrow('socket hang up');
  });
});
