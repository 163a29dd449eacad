import { expect, it } from '@jest/globals';
import { startRedis } from '@yuxi/testing';

it('leaves a server running', async () => {
  expect((await startRedis()).pid).toBeGreaterThan(0);
});

it('finds its port in use', async () => {
  const server = await startRedis();
  try {
    await startRedis({ port: server.port });
  } finally {
    await server.stop();
  }
});
