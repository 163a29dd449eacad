import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { drainConnections } from './drain.js';

const agent = new Agent({ keepAlive: true });

function get(instance: FastifyInstance): Promise<string | undefined> {
  const { port } = instance.server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    request({ port, agent }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.headers.connection));
    })
      .once('error', reject)
      .end();
  });
}

describe('a server that closes while it answers on a kept connection', () => {
  let instance: FastifyInstance;
  afterEach(() => instance.server.closeAllConnections());

  async function closeDuringRequest(drained: boolean) {
    instance = fastify({ keepAliveTimeout: 60_000 });
    if (drained) drainConnections(instance);
    const closed: { promise?: Promise<void> } = {};
    instance.get('/', async () => {
      closed.promise = instance.close();
      await pause(50);
      return 'done';
    });
    await instance.listen({ port: 0 });
    const connection = await get(instance);
    const ended = Promise.race([closed.promise!.then(() => true), pause(1_000, false)]);
    return { connection, ended: await ended };
  }

  it('says so, and ends with the answer', async () => {
    expect(await closeDuringRequest(true)).toEqual({ connection: 'close', ended: true });
  });

  it('waits for the client to go away without the draining', async () => {
    expect((await closeDuringRequest(false)).ended).toBe(false);
  });
});
