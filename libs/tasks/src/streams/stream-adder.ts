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
    const { id, queue, delay, priority, name, dedupe, dedupeFor } = task;
    const place = priority > 0 ? 1 : priority < 0 ? 3 : 2;
    const plain = delay === 0 && !ownId && dedupe === undefined;
    const unique = dedupe === undefined ? '' : `${name}:${dedupe}`;
    const how = plain ? place : JSON.stringify([place, Math.ceil(delay), id, ownId, dedupeFor, unique]);
    return this.#batch(queue).send([], [how, envelope], (answer) => {
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
    // Only for lists of queues; a queue that is missing there is added by the next process.
    void this.redis.sadd(QUEUES_KEY, queue).catch(() => this.#batches.delete(queue));
    return batch;
  }
}
