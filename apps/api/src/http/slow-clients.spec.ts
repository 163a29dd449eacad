import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { lingerOverBody } from './linger.js';

let server: Server;
let client: Socket;

/** A server that refuses everything at its first byte, and a client that has sent nothing but the head of a request. */
async function refused(
  connection: string,
  length: number,
  linger: typeof lingerOverBody,
  before = (_request: IncomingMessage) => Promise.resolve(),
): Promise<() => string> {
  server = createServer((request, response) => {
    linger(request, response);
    void before(request).then(() => response.writeHead(413, { 'content-length': 2 }).end('no'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  client.on('data', (bytes: Buffer) => (text += bytes.toString()));
  client.write(`POST / HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\nContent-Length: ${length}\r\n\r\n`);
  await once(client, 'data');
  return () => text;
}

afterEach(() => {
  client.destroy();
  server.close();
});

describe('a request that is refused before its body has come', () => {
  it.each(['close', 'keep-alive'])('may send all of it, slowly too (Connection: %s)', async (connection) => {
    const answered = await refused(connection, 300, lingerOverBody);
    const closed = once(client, 'close');
    // Longer than the silence that is borne.
    for (let i = 0; i < 30; i++) {
      expect(client.write('x'.repeat(10))).toBe(true);
      await pause(90);
    }
    if (connection === 'keep-alive') client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await closed).toEqual([false]);
    expect(answered().match(/413/g)).toHaveLength(connection === 'keep-alive' ? 2 : 1);
  });

  it('is over at once when all of it has come by the time of the answer', async () => {
    let silences = 0;
    const answered = refused('close', 2, lingerOverBody, async (request) => {
      client.write('ab');
      await once(request.resume(), 'end');
      const socket = request.socket;
      const destroy = socket.destroy.bind(socket);
      socket.destroy = (error) => {
        silences += socket.writableEnded ? 0 : 1;
        return destroy(error);
      };
    });
    await answered;
    await once(client, 'close');
    expect(silences).toBe(0);
  });

  it('is not waited for when it falls silent', async () => {
    await refused('keep-alive', 300, lingerOverBody);
    await once(client, 'close');
    expect(client.bytesWritten).toBeLessThan(300);
  });

  it('would be cut off without', async () => {
    await refused('close', 300, () => undefined);
    await once(client, 'close');
    expect(client.bytesWritten).toBeLessThan(300);
  });
});
