import { OptionsError, type SqlClient } from '@yuxi/core';
import { type RedisClient, ScriptBatch } from '@yuxi/redis';
import { queueKey, type TaskQueue, type QueueAdmin } from '@yuxi/tasks';
import { SAGA_QUEUE, sagaTaskPrefix } from '../run/saga.task.js';
import type { SagaChange } from '../run/transitions.js';
import type { JournalEntry, SagaQuery, SagaState, SagaStatus, TimelineEntry } from '../saga.types.js';
import type { NewSaga, Orphan, SagaCount, SagaStore, StepTask } from './saga.store.js';
import { ADVANCE, CANCELLED, READ, START, SWEEP, WISH } from './scripts.js';
import { type Fields, stateOf } from './redis.state.js';

const KEY = queueKey(SAGA_QUEUE);
const PORTION = 100;
const SWEPT_AT_ONCE = 100;

/**
 * Instances live in Redis beside the queue that runs their steps. They survive what that Redis survives: a restart with an append-only
 * file, but no loss of its data, and of a failover all but its last moments.
 */
export class RedisSagaStore implements SagaStore {
  readonly engine = 'streams';
  /** Instances that steps of one turn of the event loop ask for travel together. */
  readonly #reads: ScriptBatch;

  constructor(
    private readonly redis: RedisClient,
    private readonly queue: TaskQueue,
    private readonly queues: QueueAdmin,
  ) {
    this.#reads = new ScriptBatch(redis, READ, { commonKeys: [KEY], perScript: PORTION, shared: true });
  }

  async start(saga: NewSaga, change: SagaChange, task: StepTask, tx?: SqlClient) {
    if (tx) throw new OptionsError('tx', 'left out for sagas that live in Redis', 'given', `start ${saga.name}`);
    const { id, name, key, deadline, version, input, pivot } = saga;
    const { how, envelope, taskId } = await this.#sealed(id, 1, change, task);
    const fields = [
      ...fieldsOf(change),
      'version',
      version,
      'input',
      input,
      'pivot',
      pivot,
      'epoch',
      1,
      'task',
      taskId,
    ];
    const holder = await START.run(
      this.redis,
      [KEY],
      [id, name, key ?? '', deadline ?? '', change.status, JSON.stringify(change.journal), how, envelope, ...fields],
    );
    return { id: holder as string, started: holder === id };
  }

  async load(id: string): Promise<SagaState | undefined> {
    return (await this.#read([id]))[0];
  }

  async advance({ id, epoch }: Pick<SagaState, 'id' | 'epoch'>, change: SagaChange, task?: StepTask): Promise<boolean> {
    const { status, journal, result } = change;
    const next = task && (await this.#sealed(id, epoch + 1, change, task));
    const returned = [result?.step ?? '', JSON.stringify(result?.value ?? null)];
    const then = [next?.how ?? '', next?.envelope ?? '', ...fieldsOf(change), 'task', next?.taskId ?? ''];
    const args = [id, epoch, status, JSON.stringify(journal), ...returned, ...then];
    return (await ADVANCE.run(this.redis, [KEY], args)) === 1;
  }

  async requestCancel(id: string): Promise<boolean> {
    const entry: JournalEntry = { event: 'cancel', step: null, direction: 'forward', attempt: 0 };
    return (await WISH.run(this.redis, [KEY], [id, JSON.stringify([entry])])) === 1;
  }

  async cancelled(ids: readonly string[]): Promise<string[]> {
    return (await CANCELLED.run(this.redis, [KEY], ids)) as string[];
  }

  async list({ status, name, limit, before }: Required<Pick<SagaQuery, 'limit'>> & SagaQuery): Promise<SagaState[]> {
    const key = status ? `${KEY}:sl:${status}` : `${KEY}:sl`;
    const found: SagaState[] = [];
    let from = 0;
    if (before !== undefined) {
      const rank = await this.redis.zrevrank(key, before);
      if (rank === null) return [];
      from = rank + 1;
    }
    for (;;) {
      const ids = await this.redis.zrevrange(key, from, from + PORTION - 1);
      const states = await this.#read(ids);
      found.push(...states.filter((state) => name === undefined || state.name === name));
      if (ids.length < PORTION || found.length >= limit) return found.slice(0, limit);
      from += PORTION;
    }
  }

  async timeline(id: string): Promise<TimelineEntry[]> {
    const lines = await this.redis.lrange(`${KEY}:s:${id}:j`, 0, -1);
    return lines.map((line) => {
      const [at, { step, ...entry }] = JSON.parse(line) as [number, JournalEntry];
      return { at: new Date(at), ...entry, step: step ?? null };
    });
  }

  /** Tasks that a crash or an operator removed from the queue leave no trace here: `retry` goes on with their instances. */
  async orphans(): Promise<Orphan[]> {
    const letters = await this.queues.deadLetters({ queue: SAGA_QUEUE, limit: PORTION });
    const orphans = letters.map(async ({ id, name, payload, error }): Promise<Orphan[]> => {
      if (!name.startsWith(sagaTaskPrefix)) return [];
      const settle = async () => void (await this.queues.discard({ id, queue: SAGA_QUEUE }));
      const { saga, epoch } = payload as { saga: string; epoch: number };
      const state = await this.load(saga);
      const open = state?.status === 'running' || state?.status === 'compensating';
      if (open && state.epoch === epoch) return [{ state, reason: error ?? 'its task failed', settle }];
      await settle();
      return [];
    });
    return (await Promise.all(orphans)).flat();
  }

  async counts(): Promise<SagaCount[]> {
    const counts = Object.entries(await this.redis.hgetall(`${KEY}:sc`));
    return counts.map(([field, count]) => {
      const [status, version, name] = field.split(' ') as [SagaStatus, string, string];
      return { name, version: Number(version), status, count: Number(count) };
    });
  }

  async sweep(keep: number): Promise<number> {
    let removed = 0;
    while (removed < 1000) {
      const count = (await SWEEP.run(this.redis, [KEY], [keep, SWEPT_AT_ONCE])) as number;
      removed += count;
      if (count < SWEPT_AT_ONCE) break;
    }
    return removed;
  }

  async #read(ids: readonly string[]): Promise<SagaState[]> {
    const instances = await Promise.all(ids.map((id) => this.#reads.send<[Fields, number]>([], [id])));
    return instances.flatMap(([fields, now]) => (fields.length > 0 ? [stateOf(fields, now)] : []));
  }

  async #sealed(saga: string, epoch: number, { runIn = 0 }: SagaChange, { name, title }: StepTask) {
    const options = { delay: Math.round(runIn), title, queue: SAGA_QUEUE };
    const { id: taskId, how, envelope } = await this.queue.serialized(name, { saga, epoch }, options);
    return { taskId, how, envelope };
  }
}

function fieldsOf({ direction, step, failures, error }: SagaChange): (string | number)[] {
  return ['direction', direction, 'step', step, 'failures', failures, 'error', error ?? ''];
}
