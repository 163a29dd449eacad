import { expect, it } from '@jest/globals';
import { YuxiError } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { eventually } from '@yuxi/testing';
import { z } from 'zod';
import { onBothEngines } from '../../../test/support/tasks/both-engines.js';
import { gate, type Handlers } from '../../../test/support/tasks/replica.js';
import { TaskRetryLater, type TaskContext } from './index.js';

const untilAborted = (_: unknown, { signal }: TaskContext) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

/**
 * A handler that runs until its signal aborts, and a record of its states. `begun` is not the same as `running: 1`. The queue counts a
 * task when it is claimed, and the worker may begin it later or return it.
 */
const holding = () => {
  const seen: string[] = [];
  const hold: Handlers[string]['run'] = (payload, context) => {
    seen.push('begun');
    return untilAborted(payload, context).catch((error: { code: string }) => {
      seen.push(error.code);
      throw error;
    });
  };
  return { seen, hold };
};

/** A handler that records what it receives. */
const noting = <T>(what: (payload: T, context: TaskContext) => unknown = (payload) => payload) => {
  const noted: unknown[] = [];
  return { noted, run: (payload: T, context: TaskContext) => void noted.push(what(payload, context)) };
};
const become = (noted: unknown[], expected: unknown[]) =>
  eventually(() => expect(noted).toEqual(expected), { timeout: 15_000 });

onBothEngines('a task', ({ site, kind }) => {
  const letters = async (one: Awaited<ReturnType<typeof site>>, count: number) =>
    eventually(async () => {
      const dead = await one.queues.deadLetters();
      expect(dead).toHaveLength(count);
      return dead;
    });
  const view = async (one: Awaited<ReturnType<typeof site>>) =>
    (await one.queues.list()).find(({ queue }) => queue === 'default');

  it('passes payload, run and the context of the request to its handler', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const requestId = '2f1d7a50-5f6c-4b8e-9d7e-0a8f3f0f7c11';
    const { noted, run } = noting((payload, { id, name, attempt, owner }) => {
      const context = requestContext.getStore();
      return { payload, id, name, attempt, owner, requestId: context?.requestId, traceparent: context?.traceparent };
    });
    const one = await site({ t: { run } });
    const payload = { text: 'ä\n"', list: [1, null, true, {}] };
    const id = await requestContext.run({ requestId, traceparent }, () =>
      one.queue.enqueue('t', payload, { owner: '7' }),
    );
    await become(noted, [{ payload, id, name: 't', attempt: 1, owner: '7', requestId, traceparent }]);
    await one.queue.enqueue('t', 0);
    await eventually(() => expect(noted.at(-1)).toMatchObject({ payload: 0, owner: null }));
  });

  it('runs by priority, then in order, and not before it is due', async () => {
    const { noted, run } = noting();
    const one = await site({ t: { run } }, { worker: false });
    await one.queue.enqueue('t', 'late', { delay: 600 });
    await one.queue.enqueue('t', 'low', { priority: -1 });
    await one.queue.enqueue('t', 'a');
    await one.queue.enqueue('t', 'b');
    await one.queue.enqueue('t', 'urgent', { priority: 5 });
    await site({ t: { run } }, { concurrency: 1 });
    await become(noted, ['urgent', 'a', 'b', 'low', 'late']);
  });

  it('exists once for an id, and once for a dedupe key while it is open', async () => {
    const { opened, open } = gate();
    const { noted, run } = noting();
    const handlers: Handlers = { t: { run: (payload: never, context) => opened.then(() => run(payload, context)) } };
    const one = await site(handlers);
    expect(await one.queue.enqueue('t', 1, { id: 'mine' })).toBe('mine');
    expect(await one.queue.enqueue('t', 2, { id: 'mine' })).toBe('mine');
    const ids = await Promise.all([3, 4, 5].map((n) => one.queue.enqueue('t', n, { dedupe: 'k' })));
    expect(new Set(ids).size).toBe(1);
    open();
    await eventually(() => expect(noted).toHaveLength(2));
    await eventually(async () => expect(await one.queue.enqueue('t', 6, { dedupe: 'k' })).not.toBe(ids[0]));
    await eventually(() => expect(noted).toEqual(expect.arrayContaining([1, 6])));
    expect(noted).toHaveLength(3);
  });

  it('holds its dedupe key for dedupeFor, also after its end', async () => {
    const { noted, run } = noting();
    const one = await site({ t: { run } });
    const first = await one.queue.enqueue('t', 1, { dedupe: 'k', dedupeFor: 1500 });
    await become(noted, [1]);
    await eventually(async () => expect(await view(one)).toMatchObject({ running: 0, waiting: 0 }));
    expect(await one.queue.enqueue('t', 2, { dedupe: 'k' })).toBe(first);
    await eventually(async () => expect(await one.queue.enqueue('t', 3, { dedupe: 'k' })).not.toBe(first));
    await become(noted, [1, 3]);
  });

  it.each([
    [
      'something that contains itself',
      'contains itself',
      '$.a.b',
      () => {
        const a: Record<string, unknown> = {};
        a['b'] = a;
        return { a };
      },
    ],
    ['a big integer', 'is 1n', '$[1]', () => [0, 1n]],
    ['a Map', 'is a Map', '$.m', () => ({ m: new Map() })],
    ['undefined', 'undefined', '$.u', () => ({ u: undefined })],
    ['not a number', 'NaN', '$.n', () => ({ n: Number.NaN })],
    ['too much', 'store it and pass a reference', '$', () => 'x'.repeat(300_000)],
    ['what the schema does not allow', 'does not match the schema', '$.n', () => ({ n: 'one' })],
  ])('is refused with %s', async (_, problem, path, make) => {
    const one = await site(
      { t: { schema: z.looseObject({ n: z.number().optional() }).or(z.array(z.any())).or(z.string()), run: () => 1 } },
      { worker: false },
    );
    const strict = await site({ t: { schema: z.object({ n: z.number() }), run: () => 1 } }, { worker: false });
    const refused = (problem.includes('schema') ? strict : one).queue.enqueue('t', make());
    await expect(refused).rejects.toMatchObject({
      code: 'TASK_PAYLOAD',
      path,
      problem: expect.stringContaining(problem),
    });
    expect((await view(one))?.waiting ?? 0).toBe(0);
  });

  it.each([
    ['delay', { delay: -1 }],
    ['delay', { delay: Number.NaN }],
    ['id', { id: '' }],
    ['id', { id: 'x'.repeat(129) }],
    ['dedupe', { dedupe: 'x'.repeat(201) }],
    ['dedupeFor', { dedupe: 'k', dedupeFor: '8d' as const }],
    ['priority', { priority: 1.5 }],
  ])('is refused with %s %j', async (option, options) => {
    const one = await site({ t: { run: () => 1 } }, { worker: false });
    await expect(one.queue.enqueue('t', 1, options)).rejects.toThrow(option);
  });

  it('of an unknown name or a newer version waits for other workers', async () => {
    const { noted, run } = noting();
    const producer = await site({ t: { version: 2, run }, other: { run } }, { worker: false });
    await producer.queue.enqueue('t', 'new');
    await producer.queue.enqueue('other', 'other');
    const old = noting();
    await site({ t: { version: 1, run: old.run }, known: { run: old.run } });
    const known = await site({ known: { run } }, { worker: false });
    await known.queue.enqueue('known', 'known');
    await become(old.noted, ['known']);
    await site({ t: { version: 2, run }, other: { run } });
    await eventually(() => expect(new Set(noted)).toEqual(new Set(['new', 'other'])), { timeout: 15_000 });
    expect(old.noted).toEqual(['known']);
  });

  it('is retried until no attempt remains, and becomes a dead letter then', async () => {
    const { noted, run } = noting((_, { attempt }) => attempt);
    const fail: Handlers[string]['run'] = (payload, context) => {
      run(payload, context);
      throw new TypeError('no luck');
    };
    const one = await site({ t: { retry: { attempts: 3, backoff: 10 }, run: fail } });
    const id = await one.queue.enqueue('t', { n: 1 }, { owner: '7' });
    const [letter] = await letters(one, 1);
    expect(noted).toEqual([1, 2, 3]);
    expect(letter).toMatchObject({
      id,
      name: 't',
      queue: 'default',
      version: 1,
      payload: { n: 1 },
      error: 'TypeError: no luck',
      attempts: 3,
      owner: '7',
      failed_at: expect.any(Date),
    });
    expect(await view(one)).toMatchObject({ dead: 1, waiting: 0, running: 0, delayed: 0 });
  });

  it.each([
    ['an error that is not retryable', () => Promise.reject(new YuxiError('never', { code: 'X' }))],
    ['a result that is no JSON', () => ({ at: new Date() })],
  ])('fails at once for %s', async (_, run) => {
    const one = await site({ t: { run } });
    await one.queue.enqueue('t', 1);
    const [letter] = await letters(one, 1);
    expect(letter).toMatchObject({ attempts: 1, error: expect.stringMatching(/never|\$\.at is a Date/) });
  });

  it('waits again after TaskRetryLater, without counting the run', async () => {
    const { noted, run } = noting((_, { attempt }) => attempt);
    const again: Handlers[string]['run'] = (payload, context) => {
      run(payload, context);
      if (noted.length < 4) throw new TaskRetryLater(1, 'another task holds the lock');
    };
    const one = await site({ t: { retry: { attempts: 1 }, run: again } });
    await one.queue.enqueue('t', 1);
    await become(noted, [1, 1, 1, 1]);
    await eventually(async () =>
      expect(await view(one)).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 }),
    );
  });

  it('that takes too long is ended by its signal, which counts as a failure', async () => {
    const one = await site({ t: { timeout: 50, retry: { attempts: 2, backoff: 1 }, run: untilAborted } });
    await one.queue.enqueue('t', 1);
    expect((await letters(one, 1))[0]).toMatchObject({
      attempts: 2,
      error: expect.stringContaining('longer than 50 ms'),
    });
  });

  it('never runs more often at once than its handler and the worker allow', async () => {
    const now = { limited: 0, all: 0 };
    const most = { limited: 0, all: 0 };
    const track = (name: 'limited' | 'all') => async () => {
      most[name] = Math.max(most[name], ++now[name]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now[name]--;
    };
    const limited = track('limited');
    const all = track('all');
    const one = await site({
      limited: { concurrency: 2, run: () => Promise.all([limited(), all()]) },
      free: { run: all },
    });
    const names = Array.from({ length: 40 }, (_, n) => (n % 2 ? 'limited' : 'free'));
    await Promise.all(names.map((name, n) => one.queue.enqueue(name, n)));
    await eventually(async () => expect(await view(one)).toMatchObject({ waiting: 0, running: 0 }), {
      timeout: 15_000,
    });
    expect(most).toEqual({ limited: 2, all: 4 });
  });

  it('is cancelled while it waits, while it is delayed, and while it runs', async () => {
    const { noted, run } = noting((_, { signal }) => signal.aborted);
    const { seen, hold } = holding();
    const one = await site({ hold: { run: hold }, t: { run } }, { concurrency: 1 });
    const running = await one.queue.enqueue('hold', 1, { dedupe: 'k' });
    await become(seen, ['begun']);
    const waiting = await one.queue.enqueue('t', 2);
    const delayed = await one.queue.enqueue('t', 3, { delay: '1h' });
    const stays = await one.queue.enqueue('t', 4);
    await one.queue.cancel('t', waiting);
    await one.queue.cancel('t', delayed);
    await one.queue.cancel('hold', running);
    await become(noted, [false]);
    expect(seen).toEqual(['begun', 'TASK_CANCELLED']);
    await eventually(async () =>
      expect(await view(one)).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 }),
    );
    expect(await one.queue.enqueue('hold', 5, { dedupe: 'k' })).not.toBe(running);
    await one.queue.cancel('t', stays);
    await one.queue.cancel('t', 'unknown');
  });

  it('that was cancelled while it waited releases its dedupe key for the next one', async () => {
    const { noted, run } = noting();
    const one = await site({ t: { run } });
    await one.queues.pause('default');
    const cancelled = await one.queue.enqueue('t', 1, { dedupe: 'k' });
    expect(await one.queue.enqueue('t', 2, { dedupe: 'k' })).toBe(cancelled);
    await one.queue.cancel('t', cancelled);
    const next = await one.queue.enqueue('t', 3, { dedupe: 'k' });
    expect(next).not.toBe(cancelled);
    await one.queues.resume('default');
    await become(noted, [3]);
    await eventually(async () => expect(await view(one)).toMatchObject({ waiting: 0, running: 0 }));
    expect(noted).toEqual([3]);
    expect(await one.queue.enqueue('t', 4, { dedupe: 'k' })).not.toBe(next);
  });

  it('waits while its queue is paused, for workers that start then too', async () => {
    const { noted, run } = noting();
    const one = await site({ t: { run } });
    await one.queues.pause('default', 'operator');
    await one.queue.enqueue('t', 1);
    await one.queue.enqueue('t', 2, { delay: 50 });
    const other = await site({ t: { run } });
    await eventually(async () =>
      expect(await view(other)).toMatchObject({ paused: true, paused_by: 'operator', waiting: 2, running: 0 }),
    );
    expect(noted).toEqual([]);
    expect((await view(one))!.oldest_waiting_seconds).toBeGreaterThanOrEqual(0);
    expect(await other.queues.resume('default')).toBe(true);
    expect(await other.queues.resume('default')).toBe(false);
    await eventually(() => expect(new Set(noted)).toEqual(new Set([1, 2])));
  });

  it('that waits is cancelled by a drain, and a running one continues', async () => {
    const { opened, open } = gate();
    const { noted, run } = noting();
    const handlers: Handlers = { held: { run: (payload: never, context) => opened.then(() => run(payload, context)) } };
    const one = await site(handlers, { concurrency: 1 });
    await one.queue.enqueue('held', 0);
    await eventually(async () => expect(await view(one)).toMatchObject({ running: 1 }));
    const ids = await Promise.all(
      [1, 2, 3].map((n) => one.queue.enqueue('held', n, { dedupe: `k${n}`, priority: n - 2 })),
    );
    await one.queue.enqueue('held', 4, { delay: '1h', dedupe: 'late' });
    expect(await one.queues.drain('default')).toBe(4);
    expect(await one.queues.drain('nothing')).toBe(0);
    open();
    await eventually(async () => expect(await view(one)).toMatchObject({ waiting: 0, running: 0, delayed: 0 }));
    expect(noted).toEqual([0]);
    expect(ids).not.toContain(await one.queue.enqueue('held', 5, { dedupe: 'k1' }));
    await become(noted, [0, 5]);
  });

  it('that failed permanently can be listed in pages, replayed and discarded', async () => {
    let broken = true;
    const { noted, run } = noting();
    const fail: Handlers[string]['run'] = (payload, context) => {
      if (broken) throw new YuxiError('not yet', { code: 'X' });
      run(payload, context);
    };
    const one = await site({ t: { run: fail }, u: { run: fail } });
    const ids: string[] = [];
    for (const n of [1, 2, 3]) {
      ids.unshift(await one.queue.enqueue('t', n, { owner: String(n), dedupe: `k${n}` }));
      await letters(one, n);
    }
    expect((await one.queues.deadLetters({ queue: 'default', name: 't' })).map(({ id }) => id)).toEqual(ids);
    expect(await one.queues.deadLetters({ name: 'u' })).toEqual([]);
    const first = await one.queues.deadLetters({ limit: 2 });
    const rest = await one.queues.deadLetters({ limit: 2, before: first.at(-1)!.id });
    expect([...first, ...rest].map(({ id }) => id)).toEqual(ids);
    expect(await one.queues.deadLetters({ before: 'unknown' })).toEqual([]);

    broken = false;
    expect(await one.queues.replay({ id: ids[0], owner: '1' })).toBe(0);
    expect(await one.queues.replay({ id: ids[0] })).toBe(1);
    await become(noted, [3]);
    expect(await one.queues.replay({ id: ids[0] })).toBe(0);

    const { opened, open } = gate();
    const two = await site({ wait: { run: () => opened }, t: { run: fail } }, { worker: false });
    await two.queues.pause('default');
    const holder = await two.queue.enqueue('t', 4, { dedupe: 'k2' });
    expect(holder).not.toBe(ids[1]);
    expect(await two.queues.replay({ name: 't', queue: 'default' })).toBe(1);
    await two.queues.resume('default');
    open();
    await eventually(() => expect(new Set(noted)).toEqual(new Set([1, 3, 4])));
    expect(await one.queues.discard({ name: 'u' })).toBe(0);
    expect(await one.queues.discard({ name: 't' })).toBe(1);
    await letters(one, 0);
    for (const none of [{}, { id: undefined }, { nmae: 't' }, { queue: '' }, undefined])
      for (const action of ['replay', 'discard'] as const)
        await expect(one.queues[action](none as object)).rejects.toThrow(
          'choice must be at least one of id, queue, name, owner',
        );
  });

  it('is handed back by a worker that shuts down, without counting an attempt', async () => {
    const { noted, run } = noting((_, { attempt }) => attempt);
    const { seen, hold } = holding();
    const one = await site({ t: { run: hold, retry: { attempts: 1 } } }, { shutdownGrace: 50 });
    await one.queue.enqueue('t', 1);
    await become(seen, ['begun']);
    await one.stop();
    expect(seen).toEqual(['begun', 'TASK_HANDED_BACK']);
    await site({ t: { run } });
    await become(noted, [1]);
  });

  it('never runs more often at once over all workers than its queue allows', async () => {
    let [now, most, done] = [0, 0, 0];
    const ran = [0, 0];
    const on = (place: number) => async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 10));
      now--;
      ran[place]!++;
      done++;
    };
    const limits = { default: { concurrency: 3 } };
    const one = await site({ t: { run: on(0) } }, { limits });
    const two = await site({ t: { run: on(1) } }, { limits });
    await Promise.all(Array.from({ length: 30 }, (_, n) => one.queue.enqueue('t', n)));
    await eventually(() => expect(done).toBe(30), { timeout: 15_000 });
    expect(most).toBe(3);
    for (const each of [one, two]) each.limits.set({ default: { concurrency: 1 } });
    // A claim sent before the change may still return tasks. After two more tasks each worker has sent a new claim.
    const before = [...ran];
    while (ran.some((count, place) => count < before[place]! + 2)) {
      const sofar = done;
      await one.queue.enqueue('t', 0);
      await eventually(() => expect(done).toBeGreaterThan(sofar), { timeout: 15_000 });
    }
    const from = done;
    most = 0;
    await Promise.all(Array.from({ length: 10 }, (_, n) => one.queue.enqueue('t', n)));
    await eventually(() => expect(done).toBe(from + 10), { timeout: 15_000 });
    expect(most).toBe(1);
    expect(() => one.limits.set({ default: { concurrency: 0 } })).toThrow('concurrency');
  });

  it('begins no faster over all workers than its queue allows', async () => {
    const { noted, run } = noting(() => performance.now());
    const limits = { default: { rate: { tasks: 5, per: 1000 } } };
    const one = await site({ t: { run } }, { limits });
    await site({ t: { run } }, { limits });
    await Promise.all(Array.from({ length: 12 }, (_, n) => one.queue.enqueue('t', n)));
    await eventually(() => expect(noted).toHaveLength(12), { timeout: 15_000 });
    const times = noted as number[];
    // Five at once, then one each 200 ms. The clocks may differ by some milliseconds.
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(1300);
    one.limits.set({});
    expect(one.limits.queues).toEqual([]);
  });

  it(`is run once among thousands (${kind})`, async () => {
    let done = 0;
    const handlers: Handlers = { t: { run: () => void done++ } };
    const one = await site(handlers, { concurrency: 50 });
    await site(handlers, { concurrency: 50 });
    const count = kind === 'rows' ? 500 : 5000;
    await Promise.all(Array.from({ length: count }, (_, n) => one.queue.enqueue('t', n)));
    await eventually(() => expect(done).toBe(count), { timeout: 20_000 });
    await eventually(async () => expect(await view(one)).toMatchObject({ waiting: 0, running: 0 }));
    expect(done).toBe(count);
  });
});
