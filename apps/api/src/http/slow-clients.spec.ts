import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { discardRestOfBody } from './slow-clients.js';

let server: Server;
let client: Socket;

/** A server that refuses every request at its first byte, and a client that has sent only the head of a request. */
async function refused(
  connection: string,
  length: number,
  discard: typeof discardRestOfBody,
  before = (_request: IncomingMessage) => Promise.resolve(),
): Promise<() => string> {
  server = createServer((request, response) => {
    discard(request, response);
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

describe('a request that is refused before its body has arrived', () => {
  it.each(['close', 'keep-alive'])('may send all of the body, also slowly (Connection: %s)', async (connection) => {
    const answered = await refused(connection, 300, discardRestOfBody);
    const closed = once(client, 'close');
    // Takes longer than the allowed silence.
    for (let i = 0; i < 30; i++) {
      expect(client.write('x'.repeat(10))).toBe(true);
      await pause(90);
    }
    if (connection === 'keep-alive') client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(await closed).toEqual([false]);
    expect(answered().match(/413/g)).toHaveLength(connection === 'keep-alive' ? 2 : 1);
  });

  it('ends at once when the body has arrived before the response is sent', async () => {
    let silences = 0;
    const answered = refused('close', 2, discardRestOfBody, async (request) => {
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

  it('is disconnected when it sends no more data', async () => {
    await refused('keep-alive', 300, discardRestOfBody);
    await once(client, 'close');
    expect(client.bytesWritten).toBeLessThan(300);
  });

  it('control: is cut off without the wait', async () => {
    await refused('close', 300, () => undefined);
    await once(client, 'close');
    expect(client.bytesWritten).toBeLessThan(300);
  });
});
