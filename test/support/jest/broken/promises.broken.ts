import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { startReplicas, temporaryFolder } from '@yuxi/testing';

it('waits forever', () => new Promise(() => undefined));

it('leaves a rejection unhandled', async () => {
  void Promise.reject(new Error('this is not handled'));
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(1).toBe(1);
});

it('sends a request to a replica that has crashed', async () => {
  const entry = join(temporaryFolder('crashing'), 'main.mjs');
  writeFileSync(
    entry,
    `import { createServer } from 'node:http';
     createServer((request, response) => {
       if (request.url === '/health/startup') return response.end();
       console.log('request 4711 was too much');
       process.exit(1);
     }).listen(Number(process.env.PORT), '127.0.0.1');`,
  );
  const [replica] = await startReplicas({ entry, count: 1, databaseUrl: 'postgresql://nowhere' });
  expect((await fetch(`${replica!.baseUrl}/crash`)).status).toBe(200);
});
