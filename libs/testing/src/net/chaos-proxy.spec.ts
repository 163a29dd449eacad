import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../eventually.js';
import { startProxy } from './chaos-proxy.js';
import type { ChaosProxy } from './chaos-proxy.js';

async function roundTrip(client: Socket): Promise<string> {
  client.write('x');
  const [chunk] = (await once(client, 'data', { signal: AbortSignal.timeout(500) })) as [Buffer];
  return chunk.toString();
}

describe('startProxy', () => {
  let echo: Server;
  let proxy: ChaosProxy;
  const clients: Socket[] = [];

  beforeAll(async () => {
    echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
  });
  afterAll(() => {
    echo.close();
  });
  beforeEach(async () => {
    proxy = await startProxy({ host: '127.0.0.1', port: (echo.address() as AddressInfo).port });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await proxy.stop();
  });

  async function open(): Promise<Socket> {
    const client = connect(proxy.port, '127.0.0.1');
    clients.push(client);
    await once(client, 'connect');
    return client;
  }

  it('relays, and delays both directions by its latency', async () => {
    const client = await open();
    expect(await roundTrip(client)).toBe('x');
    proxy.latency(40);
    const before = performance.now();
    expect(await roundTrip(client)).toBe('x');
    expect(performance.now() - before).toBeGreaterThan(70);
  });

  it('keeps the order of the bytes when the latency decreases', async () => {
    const client = await open();
    expect(await roundTrip(client)).toBe('x');
    let received = '';
    client.on('data', (chunk: Buffer) => (received += chunk.toString()));
    proxy.latency(200);
    client.write('first');
    await open(); // The proxy has read it by now.
    proxy.latency(0);
    client.write('second');
    await eventually(() => expect(received).toBe('firstsecond'));
  });

  it('delivers requests and drops the answers', async () => {
    let received = '';
    echo.once('connection', (socket) => socket.on('data', (chunk: Buffer) => (received += chunk.toString())));
    const client = await open();
    client.on('error', () => undefined);
    expect(await roundTrip(client)).toBe('x');
    proxy.loseAnswers();
    await expect(roundTrip(client)).rejects.toThrow(/abort/i);
    expect(received).toBe('xx');
    await proxy.heal();
    await eventually(() => client.destroyed);
    expect(await roundTrip(await open())).toBe('x');
  });

  it('keeps connections open and drops all data as a black hole', async () => {
    const client = await open();
    expect(await roundTrip(client)).toBe('x');
    proxy.blackhole();
    await expect(roundTrip(client)).rejects.toThrow(/abort/i);
    expect(client.destroyed).toBe(false);
    await expect(roundTrip(await open())).rejects.toThrow(/abort/i);
    client.on('error', () => undefined);
    clients.at(-1)?.on('error', () => undefined);
    await proxy.heal();
    await eventually(() => client.destroyed);
    expect(await roundTrip(await open())).toBe('x');
  });

  it('resets open connections and accepts new ones', async () => {
    const client = await open();
    client.on('error', () => undefined);
    expect(await roundTrip(client)).toBe('x');
    proxy.cut();
    await eventually(() => client.destroyed);
    expect(await roundTrip(await open())).toBe('x');
  });

  it('refuses connections, and accepts them on the same port after heal()', async () => {
    const client = await open();
    client.on('error', () => undefined);
    await proxy.refuse();
    await eventually(() => client.destroyed);
    await expect(open()).rejects.toThrow(/ECONNREFUSED/);
    const { port } = proxy;
    await proxy.heal();
    expect(proxy.port).toBe(port);
    expect(await roundTrip(await open())).toBe('x');
  });
});
