import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisCluster, type RedisServer, startRedis, startRedisCluster } from '@yuxi/testing';
import { captureLog, open, type Opened } from '../../../test/support/redis.fixture.js';
import { RedisUnavailableError } from './redis.errors.js';
import { defineScript, type Script } from './script.js';
import { ScriptBatch, slotOf } from './script.batch.js';

/** Each operation has one key and one argument. */
const SOURCE = `-- Appends to lists.
-- KEYS: one list for each operation
-- ARGV: 1 a prefix; then one text for each operation
-- Returns: the length of each list
local answers = {}
for i, key in ipairs(KEYS) do
  if ARGV[i + 1] == 'fail' then return redis.error_reply('REFUSED by the script') end
  answers[i] = redis.call('RPUSH', key, ARGV[1] .. ARGV[i + 1])
end
return answers
`;

/** Longer than any delay of a busy machine. */
const commandTimeout = '5s';

describe('ScriptBatch', () => {
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-batch-'));
  let script: Script;
  let server: RedisServer;
  let redis: Opened;
  captureLog();

  beforeAll(async () => {
    writeFileSync(join(folder, 'append.lua'), SOURCE);
    script = defineScript('append', pathToFileURL(join(folder, 'append.lua')));
    server = await startRedis();
    redis = open({ url: server.url, commandTimeout });
    await eventually(() => redis.availability.state === 'up');
    await script.run(redis.client, ['yuxi:warm'], ['', 'x']);
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await redis[Symbol.asyncDispose]();
    await server.stop();
  });

  const evalshas = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);

  async function scriptsSent(work: () => Promise<unknown>): Promise<number> {
    const before = await evalshas();
    await work();
    return (await evalshas()) - before;
  }

  it('takes the answer to a single operation without a list, from a script with unwrapSingle', async () => {
    const source = SOURCE.replace('return answers', 'return #KEYS == 1 and answers[1] or answers');
    writeFileSync(join(folder, 'single.lua'), source);
    const single = defineScript('single', pathToFileURL(join(folder, 'single.lua')));
    const batch = new ScriptBatch(redis.client, single, { common: () => [''], unwrapSingle: true });
    expect(await batch.send(['yuxi:single:1'], ['a'])).toBe(1);
    const two = [batch.send(['yuxi:single:1'], ['b']), batch.send(['yuxi:single:2'], ['c'])];
    expect(await Promise.all(two)).toEqual([2, 1]);
  });

  it('sends the operations of one turn of the event loop in one script, in order, with one answer each', async () => {
    const batch = new ScriptBatch(redis.client, script, { common: () => ['p:'] });
    let answers: unknown[] = [];
    const sent = await scriptsSent(async () => {
      answers = await Promise.all(['a', 'b', 'c'].map((text) => batch.send([`yuxi:list:${text < 'c'}`], [text])));
    });
    expect(answers).toEqual([1, 2, 1]);
    expect(await redis.client.lrange('yuxi:list:true', 0, -1)).toEqual(['p:a', 'p:b']);
    expect(sent).toBe(1);
  });

  it('sends a full script at once, not only when the turn ends', async () => {
    const sent: number[] = [];
    const run: Script['run'] = async (client, keys, args) => {
      sent.push(keys.length);
      return script.run(client, keys, args);
    };
    const batch = new ScriptBatch(redis.client, { ...script, run }, { common: () => ['p:'], perScript: 2 });
    const all = ['a', 'b', 'c'].map((key) => batch.send([`yuxi:full:${key}`], [key]));
    expect(sent).toEqual([2]);
    await Promise.all(all);
    expect(sent).toEqual([2, 1]);
  });

  it('sends the operations of several callbacks of one turn in one script while another script runs', async () => {
    const sizes: number[] = [];
    const finish: Array<() => void> = [];
    const run: Script['run'] = (_client, keys) => {
      sizes.push(keys.length);
      return new Promise((resolve) => finish.push(() => resolve(keys.map(() => 'done'))));
    };
    const batch = new ScriptBatch(redis.client, { ...script, run });
    /** Callbacks of one turn, like those of sockets that become readable together. */
    const fromCallbacks = (keys: string[]) =>
      Promise.all(
        keys.map((key) => new Promise((resolve) => setImmediate(() => resolve({ answer: batch.send([key], []) })))),
      ) as Promise<Array<{ answer: Promise<unknown> }>>;

    const first = await fromCallbacks(['a']);
    expect(sizes).toEqual([1]);
    const others = await fromCallbacks(['b', 'c', 'd']);
    await new Promise(setImmediate);
    expect(sizes).toEqual([1, 3]);

    for (const end of finish) end();
    const answers = [...first, ...others].map(({ answer }) => answer);
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 4 }, () => 'done'));
    // When no script runs, an operation does not wait for others.
    const last = await fromCallbacks(['e']);
    expect(sizes).toEqual([1, 3, 1]);
    finish.at(-1)!();
    await last[0]!.answer;
  });

  it('resolves each operation with the shared element', async () => {
    const batch = new ScriptBatch(redis.client, script, { common: () => [''], shared: true });
    // This script returns no shared element.
    const pair = Promise.all([batch.send(['yuxi:shared'], ['x']), batch.send(['yuxi:shared'], ['y'])]);
    expect(await pair).toEqual([
      [1, undefined],
      [2, undefined],
    ]);
    writeFileSync(
      join(folder, 'sum.lua'),
      SOURCE.replace('return answers\n', "answers[#KEYS + 1] = 'all'\nreturn answers\n"),
    );
    const sum = defineScript('sum', pathToFileURL(join(folder, 'sum.lua')));
    const summed = new ScriptBatch(redis.client, sum, { common: () => [''], shared: true });
    expect(await Promise.all(['x', 'y'].map((text) => summed.send([`yuxi:sum:${text}`], [text])))).toEqual([
      [1, 'all'],
      [1, 'all'],
    ]);
  });

  it('sends operations that the answers of one script cause in one script again', async () => {
    const batch = new ScriptBatch(redis.client, script, { common: () => [''] });
    const caller = async (_: unknown, i: number) => {
      for (let turn = 1; turn <= 3; turn++) expect(await batch.send([`yuxi:again:${i}`], ['x'])).toBe(turn);
    };
    expect(await scriptsSent(() => Promise.all(Array.from({ length: 10 }, caller)))).toBe(3);
  });

  it('splits long batches and keeps the order on a key', async () => {
    const batch = new ScriptBatch(redis.client, script, { common: () => [''], perScript: 4 });
    let answers: unknown[] = [];
    const sent = await scriptsSent(async () => {
      answers = await Promise.all(Array.from({ length: 10 }, (_, i) => batch.send(['yuxi:long'], [String(i)])));
    });
    expect(answers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await redis.client.lrange('yuxi:long', 0, -1)).toEqual(Array.from({ length: 10 }, (_, i) => String(i)));
    expect(sent).toBe(3);
  });

  it('an error reply rejects the operations of its script, not those of the next', async () => {
    const batch = new ScriptBatch(redis.client, script, { common: () => [''], perScript: 2 });
    const texts = ['fail', 'x', 'y'];
    const results = await Promise.allSettled(texts.map((text) => batch.send(['yuxi:error'], [text])));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
    expect(results[0]).toMatchObject({ reason: { message: expect.stringContaining('REFUSED') } });
  });

  it('all operations reject within one command timeout when Redis hangs, at once when it is dead', async () => {
    const own = await startRedis();
    await using hanging = open({ url: own.url, commandTimeout: 200 });
    await eventually(() => hanging.availability.state === 'up');
    const batch = new ScriptBatch(hanging.client, script, { common: () => [''] });
    own.pause();
    const from = performance.now();
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => batch.send(['yuxi:k'], ['x'])));
    expect(performance.now() - from).toBeLessThan(1500);
    await own.stop();
    results.push(...(await Promise.allSettled([batch.send(['yuxi:k'], ['x'])])));
    expect(results).toHaveLength(51);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(RedisUnavailableError) });
  });
});

describe('ScriptBatch on a Cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-batch-'));
  let cluster: RedisCluster;

  beforeAll(async () => {
    writeFileSync(join(folder, 'append.lua'), SOURCE);
    cluster = await startRedisCluster();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await cluster?.stop();
  });

  it('sends operations of different slots in separate scripts', async () => {
    const script = defineScript('append', pathToFileURL(join(folder, 'append.lua')));
    await using redis = open({ clusterNodes: cluster.nodes, startupWait: '10s', commandTimeout });
    await eventually(() => redis.availability.state === 'up', { timeout: 10_000 });
    const batch = new ScriptBatch(redis.client, script, { common: () => [''] });
    const keys = Array.from({ length: 40 }, (_, i) => `yuxi:{${i % 20}}`);
    const answers = await Promise.all(keys.map((key, i) => batch.send([key], [String(i)])));
    expect(answers).toEqual(keys.map((_, i) => (i < 20 ? 1 : 2)));
    // Control: together they would be refused.
    await expect(script.run(redis.client, keys, ['', ...keys])).rejects.toThrow(/CROSSSLOT|same slot/);
  });

  it('computes the slot of a key as the server does', async () => {
    await using redis = open({ clusterNodes: cluster.nodes, startupWait: '10s', commandTimeout });
    await eventually(() => redis.availability.state === 'up', { timeout: 10_000 });
    for (const key of ['yuxi:a', 'yuxi:limit:{a:b}', 'yuxi:limit:{yuxi:login_attempts:1.2.3.4}:log', '{}x'])
      expect(slotOf(key)).toBe(await redis.client.cluster('KEYSLOT', key));
  });
});
