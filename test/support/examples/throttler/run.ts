import assert from 'node:assert/strict';
import { Module } from '@nestjs/common';
import { RedisModule } from '@yuxi/redis';
import { LimiterModule } from '@yuxi/throttler';
import { AppModule, Exports } from './example-1.js';
import { ThrottledModule } from './example-2.js';
import { AuthController } from './example-3.js';
import { serve } from '../start.js';
import { Users } from './users.js';

@Module({
  imports: [RedisModule.forRoot({ url: process.env.REDIS_URL! }), LimiterModule.forRoot()],
  controllers: [AuthController],
  providers: [Users],
})
class Logins {}

const times = async <T>(count: number, ask: () => Promise<T>) => {
  const answers: T[] = [];
  for (let i = 0; i < count; i++) answers.push(await ask());
  return answers;
};

const limited = await serve(AppModule);
const answer = await fetch(`${limited.url}/documents`);
assert.match(answer.headers.get('ratelimit')!, /^"search";r=99;t=\d+$/);
const statuses = await times(6, async () => (await fetch(`${limited.url}/documents/export`)).status);
assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429]);
const byHand = limited.app.get(Exports);
assert.deepEqual([await byHand.byHand('ann', async () => true), await byHand.byHand('ann', async () => false)], [0, 0]);
assert.equal(await byHand.byHand('ann', async () => true), 0);
assert.ok((await byHand.byHand('ann', async () => true)) > 0);
await limited.app.close();

const throttled = await serve(ThrottledModule);
const last = (await times(101, () => fetch(`${throttled.url}/pages`))).at(-1)!;
assert.equal(last.status, 429);
await throttled.app.close();

const { app, url } = await serve(Logins);
const login = async (password: string) => {
  const body = JSON.stringify({ username: 'ann', password });
  const response = await fetch(`${url}/auth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return response.status;
};
assert.equal(await login('correct horse'), 201);
assert.deepEqual(await times(11, () => login('guess')), [...Array<number>(10).fill(401), 429]);
await app.close();
