import { OptionsError, type SqlClient } from '@yuxi/core';
import { type RedisClient, ScriptBatch } from '@yuxi/redis';
import { queueKey, type TaskQueue, type QueueAdmin } from '@yuxi/tasks';
import { SAGA_QUEUE, sagaTaskPrefix } from '../run/saga.writer.js';
import type { SagaChange } from '../run/transitions.js';
import type { JournalEntry, SagaQuery, SagaState, SagaStatus, TimelineEntry } from '../saga.types.js';
import type { NewSaga, Orphan, SagaCount, SagaStore, StepTask } from './saga.store.js';
import { ADVANCE, CANCELLED, READ, REQUEST_CANCEL, START, SWEEP } from './scripts.js';

const KEY = queueKey(SAGA_QUEUE);
const PAGE = 100;
const SWEEP_BATCH = 100;
/** Prefix of the fields that hold the results of steps. */
const RESULT = 'r:';

/** Names and values of a hash, one after the other. */
type Fields = string[];

/**
 * Instances are stored in Redis beside the queue that runs their steps. With an append-only file they survive a restart of Redis. They do
 * not survive a loss of its data, and a failover can lose the last changes.
 */
export class RedisSagaStore implements SagaStore {
  readonly engine = 'streams';
  /** Reads within one turn of the event loop share one script. */
  readonly #reads: ScriptBatch;

  constructor(
    private readonly redis: RedisClient,
    private readonly queue: TaskQueue,
    private readonly queues: QueueAdmin,
  ) {
    this.#reads = new ScriptBatch(redis, READ, { commonKeys: [KEY], perScript: PAGE, shared: true });
  }

  async start(saga: NewSaga, change: SagaChange, task: StepTask, tx?: SqlClient) {
    if (tx) throw new OptionsError('tx', 'omitted for sagas stored in Redis', 'given', `start ${saga.name}`);
    const { id, name, key, deadline, version, input, pivot } = saga;
    const { how, envelope, taskId } = await this.#serialized(id, 1, change, task);
    const fields = [...fieldsOf(change), ...Object.entries({ version, input, pivot, epoch: 1, task: taskId }).flat()];
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
    const next = task && (await this.#serialized(id, epoch + 1, change, task));
    const returned = [result?.step ?? '', JSON.stringify(result?.value ?? null)];
    const then = [next?.how ?? '', next?.envelope ?? '', ...fieldsOf(change), 'task', next?.taskId ?? ''];
    const args = [id, epoch, status, JSON.stringify(journal), ...returned, ...then];
    return (await ADVANCE.run(this.redis, [KEY], args)) === 1;
  }

  async requestCancel(id: string): Promise<boolean> {
    const entry: JournalEntry = { event: 'cancel', step: null, direction: 'forward', attempt: 0 };
    return (await REQUEST_CANCEL.run(this.redis, [KEY], [id, JSON.stringify([entry])])) === 1;
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
      const ids = await this.redis.zrevrange(key, from, from + PAGE - 1);
      const states = await this.#read(ids);
      found.push(...states.filter((state) => name === undefined || state.name === name));
      if (ids.length < PAGE || found.length >= limit) return found.slice(0, limit);
      from += PAGE;
    }
  }

  async timeline(id: string): Promise<TimelineEntry[]> {
    const lines = await this.redis.lrange(`${KEY}:s:${id}:j`, 0, -1);
    return lines.map((line) => {
      const [at, { step, ...entry }] = JSON.parse(line) as [number, JournalEntry];
      return { at: new Date(at), ...entry, step: step ?? null };
    });
  }

  /** Finds dead letters only. Of a task that was removed from the queue nothing remains; `retry` continues its instance. */
  async orphans(): Promise<Orphan[]> {
    const letters = await this.queues.deadLetters({ queue: SAGA_QUEUE, limit: PAGE });
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
      const count = (await SWEEP.run(this.redis, [KEY], [keep, SWEEP_BATCH])) as number;
      removed += count;
      if (count < SWEEP_BATCH) break;
    }
    return removed;
  }

  async #read(ids: readonly string[]): Promise<SagaState[]> {
    const instances = await Promise.all(ids.map((id) => this.#reads.send<[Fields, number]>([], [id])));
    return instances.flatMap(([fields, now]) => (fields.length > 0 ? [stateOf(fields, now)] : []));
  }

  async #serialized(saga: string, epoch: number, { runIn = 0 }: SagaChange, { name, title }: StepTask) {
    const options = { delay: Math.round(runIn), title, queue: SAGA_QUEUE };
    const { id: taskId, how, envelope } = await this.queue.serialized(name, { saga, epoch }, options);
    return { taskId, how, envelope };
  }
}

function fieldsOf({ direction, step, failures, error }: SagaChange): (string | number)[] {
  return ['direction', direction, 'step', step, 'failures', failures, 'error', error ?? ''];
}

/** @param now the server's time, milliseconds */
function stateOf(fields: Fields, now: number): SagaState {
  const all = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) all.set(fields[i]!, fields[i + 1]!);
  const text = (name: string) => all.get(name) ?? '';
  const deadline = all.get('deadline');
  const results = [...all].filter(([name]) => name.startsWith(RESULT));
  return {
    id: text('id'),
    name: text('name'),
    version: Number(text('version')),
    key: all.get('key') ?? null,
    status: text('status') as SagaState['status'],
    direction: text('direction') as SagaState['direction'],
    step: Number(text('step')),
    pivot: Number(text('pivot')),
    failures: Number(text('failures')),
    epoch: Number(text('epoch')),
    input: JSON.parse(text('input')) as unknown,
    results: Object.fromEntries(
      results.map(([name, json]) => [name.slice(RESULT.length), JSON.parse(json) as unknown]),
    ),
    error: text('error') || null,
    cancelRequested: all.has('cancel'),
    timeLeft: deadline === undefined ? null : Number(deadline) - now,
    task: text('task') || null,
    createdAt: new Date(Number(text('created'))),
    updatedAt: new Date(Number(text('updated'))),
  };
}
