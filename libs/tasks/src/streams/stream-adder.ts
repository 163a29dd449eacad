import { type RedisClient, ScriptBatch } from '@yuxi/redis';
import { QueueFullError } from '../tasks.errors.js';
import { queueKey, QUEUES_KEY } from './queue-key.js';
import { ADD } from './scripts.js';
import type { NewTask } from '../store/insert.js';

/** Most tasks in one script: more would keep everybody else waiting for Redis. */
const PER_SCRIPT = 500;

/** Sends tasks to their queues; those of one turn of the event loop travel together. */
export class StreamAdder {
  readonly #batches = new Map<string, ScriptBatch>();
  readonly #announced = new Set<string>();

  constructor(
    private readonly redis: RedisClient,
    /** Most tasks that a queue may hold, 0: any number. */
    private readonly most: number,
  ) {}

  /**
   * @param ownId whether the id is the caller's
   * @returns id of the task, or of the one that holds its id or dedupe key
   * @throws {QueueFullError} {@link RedisUnavailableError}
   */
  add(task: NewTask, envelope: string, ownId: boolean): Promise<string> {
    const { id, queue } = task;
    return this.#batch(queue).send([], [howOf(task, ownId), envelope], (answer) => {
      if (answer === 1) return id;
      if (answer === 0) throw new QueueFullError(queue, this.most);
      return answer as string;
    });
  }

  #batch(queue: string): ScriptBatch {
    let batch = this.#batches.get(queue);
    if (batch) return batch;
    const options = { commonKeys: [queueKey(queue)], common: () => [this.most], perScript: PER_SCRIPT };
    batch = new ScriptBatch(this.redis, ADD, options);
    this.#batches.set(queue, batch);
    this.announce(queue);
    return batch;
  }

  /** Only for lists of queues; one that is missing there is added by the next process. */
  announce(queue: string): void {
    if (this.#announced.has(queue)) return;
    this.#announced.add(queue);
    void this.redis.sadd(QUEUES_KEY, queue).catch(() => this.#announced.delete(queue));
  }
}

/** As enqueue.lua reads it. */
export function howOf({ id, name, delay, priority, dedupe, dedupeFor }: NewTask, ownId: boolean): string | number {
  const place = priority > 0 ? 1 : priority < 0 ? 3 : 2;
  if (delay === 0 && !ownId && dedupe === undefined) return place;
  return JSON.stringify([
    place,
    Math.ceil(delay),
    id,
    ownId,
    dedupeFor,
    dedupe === undefined ? '' : `${name}:${dedupe}`,
  ]);
}
