import { expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@yuxi/testing';
import { onStreams } from '../../../../test/support/tasks/both-engines.js';
import { QueueFullError, type TaskContext } from '../index.js';

const KEY = 'yuxi:q:{default}';
const pending = (count: number) => [count, expect.anything(), expect.anything(), expect.anything()];

onStreams('a task in Redis', (engine) => {
  const { site } = engine;
  const eventuallyView = async (one: Awaited<ReturnType<typeof site>>, expected: object) =>
    eventually(async () => expect(await one.queues.list()).toMatchObject([{ queue: 'default', ...expected }]));

  it('leaves only counters when it has ended', async () => {
    const one = await site({ t: { run: () => 1 } });
    await Promise.all(Array.from({ length: 20 }, (_, n) => one.queue.enqueue('t', n, { priority: (n % 3) - 1 })));
    await one.queue.enqueue('t', 20, { delay: 20, dedupe: 'k' });
    await eventually(async () => expect(await engine.redis.hget(KEY, 'done')).toBe('21'));
    const lengths = await Promise.all([1, 2, 3].map((place) => engine.redis.xlen(`${KEY}:${place}`)));
    expect(lengths).toEqual([0, 0, 0]);
    const keys = (await engine.redis.keys('*')).map((key) => key.replace(/:k:.*/, ':k:'));
    const lasting = ['yuxi:probe:0', KEY, `${KEY}:1`, `${KEY}:2`, `${KEY}:3`, `${KEY}:w`, 'yuxi:queues'];
    expect(keys.filter((key) => !lasting.includes(key) && !/:[ikh]:?$/.test(key))).toEqual([]);
  });

  it('is taken from the start on without a warning', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const one = await site({ t: { run: () => 1 } });
    await one.queue.enqueue('t', 1);
    await eventually(async () => expect(await engine.redis.hget(KEY, 'done')).toBe('1'));
    expect(warn.mock.calls).toEqual([]);
    warn.mockRestore();
  });

  it('has no effects that happen once without a bound database', async () => {
    const refusals: unknown[] = [];
    const run = async (_: unknown, { once }: TaskContext) => {
      refusals.push(await once('book', () => 1).catch((error: unknown) => error));
    };
    const one = await site({ t: { run } });
    await one.queue.enqueue('t', 1);
    await eventually(() => expect(refusals).toMatchObject([{ code: 'INVALID_OPTION', option: 'SQL_CLIENT' }]));
  });

  it('is refused while the queue is full, and accepted later', async () => {
    const one = await site({ t: { run: () => 1 } }, { worker: false, streams: { maxLength: 3 } });
    const results = await Promise.allSettled(
      [1, 2, 3, 4, 5].map((n) => one.queue.enqueue('t', n, n > 3 ? { delay: 5 } : {})),
    );
    expect(results.map(({ status }) => status)).toEqual([...Array(3).fill('fulfilled'), ...Array(2).fill('rejected')]);
    const refused = await one.queue.enqueue('t', 6).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(QueueFullError);
    expect(refused).toMatchObject({ code: 'QUEUE_FULL', retryable: true, queue: 'default', most: 3 });
    await site({ t: { run: () => 1 } });
    await eventually(() => one.queue.enqueue('t', 7));
  });

  it.each([
    ['no JSON', ['d', '{']],
    ['another shape', ['d', '{"id":1}']],
    ['another field', ['x', 'y']],
  ])('that cannot be read (%s) becomes a dead letter, and others run', async (_, fields) => {
    const ran: unknown[] = [];
    const one = await site({ t: { run: (payload: number) => ran.push(payload) } });
    await engine.redis.xadd(`${KEY}:2`, '*', ...fields);
    await one.queue.enqueue('t', 1);
    await eventually(() => expect(ran).toEqual([1]));
    await eventuallyView(one, { dead: 1, waiting: 0, running: 0 });
    const [letter] = await one.queues.deadLetters();
    expect(letter).toMatchObject({ error: 'it cannot be read', attempts: 0, payload: fields[1] });
    expect(await one.queues.replay({ id: letter!.id })).toBe(0);
    expect(await one.queues.discard({ id: letter!.id })).toBe(1);
    await eventuallyView(one, { dead: 0 });
  });

  it('that was delivered in a lost reply, as after a failover, is found by the step numbers of its worker', async () => {
    const ran: unknown[] = [];
    const one = await site({ t: { run: (payload: number) => ran.push(payload) } });
    await one.queue.enqueue('t', 1);
    await eventually(() => expect(ran).toEqual([1]));
    await one.queues.pause('default');
    const worker = (await engine.redis.zrange(`${KEY}:w`, '0', '-1'))[0]!;
    await one.queue.enqueue('t', 2);
    // The new master has the delivery, but not the steps that came after it.
    await engine.redis.xreadgroup('GROUP', 'g', worker, 'COUNT', '1', 'STREAMS', `${KEY}:2`, '>');
    await engine.redis.hincrby(KEY, `q:${worker}`, -1);
    await eventually(() => expect(ran).toEqual([1, 2]));
    expect(await engine.redis.xpending(`${KEY}:2`, 'g')).not.toEqual(pending(1));
  });

  it('is taken over from a consumer without a membership, as a failover may leave it', async () => {
    const ran: unknown[] = [];
    const one = await site({ t: { run: (payload: number) => ran.push(payload) } }, { worker: false });
    await one.queue.enqueue('t', 1);
    await engine.redis.xgroup('CREATE', `${KEY}:2`, 'g', '0');
    await engine.redis.xreadgroup('GROUP', 'g', 'stranger', 'COUNT', 1, 'STREAMS', `${KEY}:2`, '>');
    await site({ t: { run: (payload: number) => ran.push(payload) } });
    await eventually(() => expect(ran).toEqual([1]), { timeout: 15_000 });
    await eventually(async () =>
      expect(await engine.redis.xinfo('CONSUMERS', `${KEY}:2`, 'g')).not.toContain('stranger'),
    );
  });

  it('of low priority runs while tasks of high priority never end', async () => {
    let low = 0;
    let high = 0;
    const one = await site(
      {
        high: { run: () => new Promise((resolve) => setImmediate(() => resolve(++high))) },
        low: { run: () => void low++ },
      },
      { concurrency: 2 },
    );
    const flood = async (): Promise<void> => {
      await Promise.all(Array.from({ length: 50 }, () => one.queue.enqueue('high', 0, { priority: 1 })));
      if (low === 0) return flood();
    };
    const flooded = flood();
    await eventually(() => expect(high).toBeGreaterThan(50));
    await one.queue.enqueue('low', 0, { priority: -1 });
    await eventually(() => expect(low).toBe(1));
    await flooded;
  });

  it('is refused with a transaction and as member of a group', async () => {
    const one = await site({ t: { run: () => 1 } }, { worker: false });
    await expect(one.queue.enqueue('t', 1, {}, {} as never)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(one.queue.enqueueGroup('t', [1])).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('runs after the connections to Redis were lost', async () => {
    const ran: unknown[] = [];
    const one = await site({ t: { run: (payload: number) => ran.push(payload) } });
    await engine.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() => one.queue.enqueue('t', 1));
    await eventually(() => expect(ran).toContain(1));
  });
});
