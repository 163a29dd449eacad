import { setTimeout as pause } from 'node:timers/promises';
import { describe, it } from '@jest/globals';
import { eventually, startRedis } from '@yuxi/testing';
import { captureLog, open } from '../../../test/support/redis.fixture.js';

captureLog();

describe('TLS', () => {
  it('can be closed during a handshake that would have failed', async () => {
    const server = await startRedis({ tls: true });
    try {
      for (let i = 0; i < 100; i++) {
        const redis = open({ url: server.url });
        await pause((i % 16) / 2);
        await redis.connections.onApplicationShutdown();
      }
      // An error without a listener would have failed the run by now.
      await pause(200);
    } finally {
      await server.stop();
    }
  });

  it('connects with the right authority, and reports tls without it', async () => {
    const server = await startRedis({ tls: true, password: 'secret' });
    try {
      await using good = open({ url: server.url, tls: { ca: server.ca } });
      await eventually(() => good.availability.state === 'up');
      await using bad = open({ url: server.url });
      await eventually(() => bad.availability.reason === 'tls');
      await using plain = open({ host: server.host, port: server.port, password: 'secret' });
      await eventually(() => plain.availability.state === 'down' && plain.availability.reason !== 'connecting');
    } finally {
      await server.stop();
    }
  });
});
