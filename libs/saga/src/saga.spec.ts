import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { z } from 'zod';
import { gate } from '../../../test/support/tasks/replica.js';
import { onBothStores, type Site } from '../../../test/support/saga/both-stores.js';
import {
  type CompensationContext,
  Saga,
  type SagaContext,
  SagaRejectedError,
  type SagaStatus,
  SagaStep,
  type SagaStepOptions,
} from './index.js';
import { SAGA_STORE, type SagaStore } from './store/saga.store.js';

type Act = (context: SagaContext) => unknown;
type Compensation = (context: CompensationContext) => unknown;

/** A saga with the steps a, b and c: its class, and the list of what ran. `acts` has their bodies; the compensation of a is `-a`. */
function trip(
  acts: Record<string, Act | Compensation> = {},
  more: { steps?: Record<string, Partial<SagaStepOptions>>; version?: number; deadline?: string } = {},
) {
  const did: string[] = [];
  const retry = { attempts: 3, backoff: 10 };
  const { steps = {}, ...saga } = more;
  const record = async (what: string, context: CompensationContext) => {
    did.push(what);
    return (acts[what] as Compensation | undefined)?.(context);
  };
  @Saga({ name: 'trip', schema: z.object({ to: z.string() }), ...saga })
  class Trip {
    @SagaStep({ order: 1, compensate: 'compensateA', retry, ...steps['a'] })
    a(context: CompensationContext) {
      return record('a', context);
    }
    @SagaStep({ order: 2, compensate: 'compensateB', retry, ...steps['b'] })
    b(context: CompensationContext) {
      return record('b', context);
    }
    @SagaStep({ order: 3, compensate: 'compensateC', retry, ...steps['c'] })
    c(context: CompensationContext) {
      return record('c', context);
    }
    compensateA(context: CompensationContext) {
      return record('-a', context);
    }
    compensateB(context: CompensationContext) {
      return record('-b', context);
    }
    compensateC(context: CompensationContext) {
      return record('-c', context);
    }
  }
  return { Trip, did };
}

const input = { to: 'Lima' };
const fails = () => {
  throw new Error('out of order');
};
const rejects = () => {
  throw new SagaRejectedError('no seat');
};
const untilAborted = ({ signal }: SagaContext) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

const becomes = (site: Site, id: string, status: SagaStatus) =>
  eventually(async () => expect((await site.sagas.get(id)).status).toBe(status), { timeout: 15_000 });
const timeline = async (site: Site, id: string) =>
  (await site.sagas.get(id)).timeline.map(({ event, step }) => (step === null ? event : `${event} ${step}`));

onBothStores('sagas', ({ kind, site, loseTasks }) => {
  it('run their steps in order, each with the input, the previous results and its own key', async () => {
    const seen: unknown[] = [];
    const act = ({ input: given, results, idempotencyKey, attempt }: SagaContext) => {
      seen.push({ given, results, idempotencyKey, attempt });
      return { n: seen.length };
    };
    const { Trip } = trip({ a: act, b: act, c: () => undefined });
    const one = await site([Trip]);
    const { id, started } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'done');
    expect(started).toBe(true);
    expect(seen).toEqual([
      { given: input, results: {}, idempotencyKey: `${id}:a:do`, attempt: 1 },
      { given: input, results: { a: { n: 1 } }, idempotencyKey: `${id}:b:do`, attempt: 1 },
    ]);
    expect(await one.sagas.get(id)).toMatchObject({
      name: 'trip',
      version: 1,
      step: null,
      error: null,
      input,
      results: { a: { n: 1 }, b: { n: 2 }, c: null },
    });
    expect(await timeline(one, id)).toEqual([
      'intent a',
      'done a',
      'intent b',
      'done b',
      'intent c',
      'done c',
      'ended',
    ]);
  });

  it('compensate in reverse order when a step rejects, with the results of the steps and the reason', async () => {
    const seen: unknown[] = [];
    const compensation = ({ idempotencyKey, effectKey, result, reason }: CompensationContext) =>
      void seen.push({ idempotencyKey, effectKey, result, reason });
    const { Trip, did } = trip({ a: () => 'seat', c: rejects, '-a': compensation });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', 'c', '-c', '-b', '-a']);
    const reason = 'SagaRejectedError: no seat';
    expect(seen).toEqual([{ idempotencyKey: `${id}:a:undo`, effectKey: `${id}:a:do`, result: 'seat', reason }]);
    expect(await one.sagas.get(id)).toMatchObject({ error: reason, step: null });
    expect(await timeline(one, id)).toEqual([
      'intent a',
      'done a',
      'intent b',
      'done b',
      'intent c',
      'rejected c',
      'turned c',
      'intent c',
      'done c',
      'intent b',
      'done b',
      'intent a',
      'done a',
      'ended',
    ]);
  });

  it('retry a step that fails, and go back when its attempts are used up', async () => {
    let left = 2;
    const { Trip, did } = trip({ a: () => (left-- > 0 ? fails() : 1), b: fails });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'a', 'a', 'b', 'b', 'b', '-b', '-a']);
    expect(await one.sagas.get(id)).toMatchObject({ error: 'out of order' });
  });

  it('skip steps without a compensation when they go back', async () => {
    const { Trip, did } = trip({ c: rejects }, { steps: { b: { compensate: false }, c: { compensate: false } } });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', 'c', '-a']);
  });

  const pivot = { b: { pivot: true, compensate: false }, c: { compensate: false } } as const;

  it('go back from a pivot that rejects, and only forward after it', async () => {
    let left = 2;
    const there = trip({ c: () => (left-- > 0 ? fails() : 1) }, { steps: pivot });
    const one = await site([there.Trip]);
    const { id } = await one.sagas.start(there.Trip, input);
    await becomes(one, id, 'done');
    expect(there.did).toEqual(['a', 'b', 'c', 'c', 'c']);
    await one.stop();
    const back = trip({ b: rejects }, { steps: pivot });
    const two = await site([back.Trip]);
    const refused = await two.sagas.start(back.Trip, input);
    await becomes(two, refused.id, 'undone');
    expect(back.did).toEqual(['a', 'b', '-a']);
  });

  it.each([
    ['a pivot that keeps failing', { b: fails }, 'b', ['a', 'b', 'b', 'b']],
    ['a step after the pivot that keeps failing', { c: fails }, 'c', ['a', 'b', 'c', 'c', 'c']],
    ['a step after the pivot that rejects', { c: rejects }, 'c', ['a', 'b', 'c']],
  ] as const)('are stuck at %s, until an operator decides', async (_, acts, step, expected) => {
    const { Trip, did } = trip(acts, { steps: pivot });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'stuck');
    expect(did).toEqual(expected);
    expect(await one.sagas.get(id)).toMatchObject({ step, direction: 'forward' });
    await expect(one.sagas.cancel(id)).rejects.toMatchObject({ code: 'SAGA_STATE' });
    const store = one.module.get<SagaStore>(SAGA_STORE, { strict: false });
    expect(await store.counts()).toEqual([{ name: 'trip', version: 1, status: 'stuck', count: 1 }]);
    await one.sagas.skip(id);
    await becomes(one, id, 'done');
    expect(await store.counts()).toEqual([]);
  });

  it('are stuck at a compensation that keeps failing; retry runs it again, skip continues after it', async () => {
    let broken = true;
    const compensation = () => (broken ? fails() : undefined);
    const { Trip, did } = trip({ b: rejects, '-b': compensation, '-a': fails });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'stuck');
    expect(did).toEqual(['a', 'b', '-b', '-b', '-b']);
    broken = false;
    await one.sagas.retry(id);
    await eventually(async () => expect(await one.sagas.get(id)).toMatchObject({ status: 'stuck', step: 'a' }));
    await one.sagas.skip(id);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', '-b', '-b', '-b', '-b', '-a', '-a', '-a']);
    await expect(one.sagas.retry(id)).rejects.toMatchObject({ code: 'SAGA_STATE' });
    await expect(one.sagas.skip(id)).rejects.toMatchObject({ code: 'SAGA_STATE' });
    await expect(one.sagas.cancel(id)).rejects.toMatchObject({ code: 'SAGA_STATE' });
  });

  it('go back when they are cancelled; the running step is aborted, in any process', async () => {
    const { Trip, did } = trip({ b: untilAborted });
    const one = await site([Trip]);
    const other = await site([Trip], { tasks: { worker: false } });
    const { id } = await one.sagas.start(Trip, input);
    await eventually(() => expect(did).toContain('b'));
    expect(await other.sagas.cancel(id)).toMatchObject({ cancel_requested: true });
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', '-b', '-a']);
    expect(await timeline(one, id)).toContain('cancel');
  });

  it('go back at once when they are cancelled during the pause before an attempt', async () => {
    const { Trip, did } = trip({ b: fails }, { steps: { b: { retry: { backoff: '1h', maxBackoff: '1h' } } } });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await eventually(async () => expect(await one.sagas.get(id)).toMatchObject({ failures: 1 }));
    await one.sagas.cancel(id);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', '-b', '-a']);
  });

  it('retry a step after a timeout, and go back after a deadline', async () => {
    const { Trip, did } = trip(
      { b: untilAborted },
      { steps: { b: { timeout: 50, retry: { attempts: 2, backoff: 10 } } } },
    );
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', 'b', '-b', '-a']);
    expect((await one.sagas.get(id)).error).toContain('step b took longer than 50 ms');
    await one.stop();
    const late = trip({ b: untilAborted }, { deadline: '1h' });
    const two = await site([late.Trip]);
    const second = await two.sagas.start('trip', input, { deadline: 2000 });
    await becomes(two, second.id, 'undone');
    expect(late.did).toEqual(['a', 'b', '-b', '-a']);
    expect((await two.sagas.get(second.id)).error).toContain('deadline');
  });

  it('start once for a business key, also by concurrent starts', async () => {
    const { Trip, did } = trip();
    const one = await site([Trip]);
    const all = await Promise.all(Array.from({ length: 10 }, () => one.sagas.start(Trip, input, { key: 'k' })));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(all.filter(({ started }) => started)).toHaveLength(1);
    await becomes(one, all[0]!.id, 'done');
    expect(await one.sagas.start(Trip, input, { key: 'k' })).toEqual({ id: all[0]!.id, started: false });
    expect(did).toEqual(['a', 'b', 'c']);
    expect((await one.sagas.start(Trip, input, { key: 'other' })).started).toBe(true);
  });

  it('are listed newest first, by name and status, page by page', async () => {
    const { Trip } = trip({ b: (context: SagaContext) => (context.input as typeof input).to === 'no' && rejects() });
    const one = await site([Trip]);
    const ids: string[] = [];
    for (const to of ['one', 'no', 'three']) {
      ids.push((await one.sagas.start(Trip, { to })).id);
      await becomes(one, ids.at(-1)!, to === 'no' ? 'undone' : 'done');
    }
    const list = async (query: object) => (await one.sagas.list(query)).map(({ id }) => id);
    expect(await list({})).toEqual(ids.toReversed());
    expect(await list({ status: 'done' })).toEqual([ids[2], ids[0]]);
    expect(await list({ name: 'trip', limit: 1 })).toEqual([ids[2]]);
    expect(await list({ limit: 2, before: ids[2] })).toEqual([ids[1], ids[0]]);
    expect(await list({ name: 'other' })).toEqual([]);
    await expect(one.sagas.list({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(one.sagas.get('missing')).rejects.toMatchObject({ code: 'SAGA_NOT_FOUND' });
  });

  it('keep their version, and wait for a process that has it', async () => {
    const { opened, open } = gate();
    const first = trip({ a: () => opened });
    const one = await site([first.Trip]);
    const { id } = await one.sagas.start(first.Trip, input);
    await eventually(() => expect(first.did).toEqual(['a']));
    const stopping = one.stop();
    open();
    await stopping;
    const second = trip({}, { version: 2 });
    const two = await site([second.Trip]);
    await eventually(async () => {
      await two.keeper.look();
      expect(two.keeper.check()).toMatchObject({
        status: 'degraded',
        state: expect.stringContaining('trip version 1'),
      });
    });
    const { id: newer } = await two.sagas.start('trip', input);
    await becomes(two, newer, 'done');
    expect(await two.sagas.get(newer)).toMatchObject({ version: 2 });
    expect(await two.sagas.get(id)).toMatchObject({ version: 1, status: 'running', step: null });
    const again = trip();
    const both = await site([again.Trip, second.Trip]);
    await becomes(both, id, 'done');
    await both.keeper.look();
    expect(both.keeper.check()).toEqual({ status: 'up' });
    expect(second.did).toEqual(['a', 'b', 'c']);
  });

  it('continue after their task was lost', async () => {
    const { Trip, did } = trip();
    const idle = await site([Trip], { tasks: { worker: false }, saga: { lookEvery: '1h' } });
    const { id } = await idle.sagas.start(Trip, input);
    await loseTasks();
    const one = await site([Trip]);
    if (kind === 'redis') await one.sagas.retry(id);
    await becomes(one, id, 'done');
    expect(did).toEqual(['a', 'b', 'c']);
  });

  it('are removed with their key some time after they ended', async () => {
    const { Trip } = trip();
    const one = await site([Trip], { saga: { keep: 1, lookEvery: '1h' } });
    const { id } = await one.sagas.start(Trip, input, { key: 'k' });
    await becomes(one, id, 'done');
    await eventually(async () => {
      await one.keeper.look();
      await expect(one.sagas.get(id)).rejects.toMatchObject({ code: 'SAGA_NOT_FOUND' });
    });
    expect(await one.sagas.list()).toEqual([]);
    expect((await one.sagas.start(Trip, input, { key: 'k' })).started).toBe(true);
  });

  it.each<[string, unknown, object, object]>([
    ['an input that breaks the schema', { to: 7 }, {}, { code: 'TASK_PAYLOAD', path: '$.to' }],
    ['an input that is not JSON', { to: 'x', at: new Date() }, {}, { code: 'TASK_PAYLOAD', path: '$.at' }],
    ['an empty key', input, { key: '' }, { code: 'INVALID_OPTION', option: 'key' }],
    ['a long key', input, { key: 'x'.repeat(201) }, { code: 'INVALID_OPTION', option: 'key' }],
    ['an invalid deadline', input, { deadline: -1 }, { code: 'INVALID_OPTION', option: 'deadline' }],
  ])('refuse %s', async (_, given, options, error) => {
    const { Trip } = trip();
    const one = await site([Trip]);
    await expect(one.sagas.start(Trip, given, options)).rejects.toMatchObject(error);
    await expect(one.sagas.start('missing', input)).rejects.toMatchObject({ code: 'SAGA_UNKNOWN' });
    expect(await one.sagas.list()).toEqual([]);
  });

  it('go back when a step returns a value that is not JSON', async () => {
    const { Trip, did } = trip({ b: () => new Map() });
    const one = await site([Trip]);
    const { id } = await one.sagas.start(Trip, input);
    await becomes(one, id, 'undone');
    expect(did).toEqual(['a', 'b', '-b', '-a']);
  });

  describe('with an invalid definition', () => {
    it.each<[string, Parameters<typeof trip>[1], string]>([
      ['the same order twice', { steps: { b: { order: 1 } } }, 'order'],
      ['a step without `compensate`', { steps: { b: { compensate: undefined as never } } }, 'compensate'],
      ['a missing compensation', { steps: { b: { compensate: 'nothing' } } }, 'compensate'],
      [
        'two pivots',
        { steps: { b: { pivot: true, compensate: false }, c: { pivot: true, compensate: false } } },
        'pivot',
      ],
      ['a compensation from the pivot on', { steps: { b: { pivot: true, compensate: false } } }, 'compensate'],
      ['the same name twice', { steps: { b: { name: 'a' } } }, 'name'],
      ['an invalid timeout', { steps: { b: { timeout: 'soon' } } }, 'timeout'],
      ['an invalid version', { version: 0 }, 'version'],
    ])('stop the boot: %s', async (_, options, option) => {
      await expect(site([trip({}, options).Trip])).rejects.toMatchObject({ code: 'INVALID_OPTION', option });
    });

    it('stop the boot: the same name and version twice', async () => {
      await expect(site([trip().Trip, trip().Trip])).rejects.toMatchObject({ code: 'SAGA_DUPLICATE' });
    });

    it('count once when their class is provided twice', async () => {
      const { Trip } = trip();
      await expect(site([Trip], { providers: [{ provide: 'again', useClass: Trip }] })).resolves.toBeDefined();
    });
  });
});
