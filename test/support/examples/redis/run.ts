import assert from 'node:assert/strict';
import { defineScript, REDIS_CONNECTION, type RedisClient, redisKey } from '@yuxi/redis';
import { AppModule, Visits } from './example-1.js';
import { module } from './example-2.js';
import { connect } from './example-3.js';
import { release } from './example-4.js';
import { acquire } from './example-5.js';
import { becomes, start } from '../start.js';

const app = await start(AppModule);
const visits = app.get(Visits);
assert.deepEqual([await visits.count('a'), await visits.count('a')], [1, 2]);

const client = app.get<RedisClient>(REDIS_CONNECTION);
await client.set(redisKey('lock', 'one'), 'mine');
await release(client, 'one', 'of another');
assert.equal(await client.get(redisKey('lock', 'one')), 'mine');
await release(client, 'one', 'mine');
assert.equal(await client.exists(redisKey('lock', 'one')), 0);

const script = defineScript('acquire', new URL('./lua/acquire.lua', import.meta.url));
const asked = ['a', 'b'].map((token) => acquire(client, script, redisKey('lock', 'two'), token));
assert.deepEqual(await Promise.all(asked), [1, 0]);

let reloads = 0;
const { subscriber, blocking } = connect(app, () => void reloads++);
await becomes(() => reloads, 1);
let received = '';
subscriber.on('message', (_channel, message) => void (received = message));
await client.publish('yuxi:config_updates', 'changed');
await becomes(() => received, 'changed');
await client.rpush('yuxi:list', 'work');
assert.deepEqual(await blocking.brpop('yuxi:list', 5), ['yuxi:list', 'work']);
await app.close();

// A client of the application: the application must close it.
await module.init();
await becomes(() => module.get(Visits).count('a'), 3);
await module.close();
module.get<RedisClient>(REDIS_CONNECTION).disconnect();
