import assert from 'node:assert/strict';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import { AppModule, Passages } from './example-1.js';
import { calls } from './provider.js';
import { becomes, start } from '../start.js';

const one = await start(AppModule);
const vectors = await one.get(Passages).vectors(['a', 'bc', 'a']);
assert.deepEqual(
  vectors.map((vector) => vector.indexOf(1)),
  [1, 2, 1],
);
assert.deepEqual(calls, [['a', 'bc']]);
const redis = one.get<RedisClient>(REDIS_CONNECTION);
// Writes to Redis run in the background. Each vector may still have a claim beside it.
await becomes(async () => (await redis.keys('yuxi:*')).length >= 2, true);

const another = await start(AppModule);
await becomes(async () => {
  await another.get(Passages).vectors(['a', 'bc']);
  return calls.length;
}, 1);
await Promise.all([one.close(), another.close()]);
