import type { RedisClient } from '@yuxi/redis';
import type { QueueOperator } from '../queue-operator.js';
import type { DeadLetter, DeadLetterChoice, DeadLetterQuery, LetterPlace } from '../store/dead-letters.js';
import type { QueueView } from '../store/queues.js';
import { type DeadEntry, deadEntries, isAfter, isMeant } from './dead-entries.js';
import { sealEnvelope } from './envelope.js';
import { queueKey, QUEUES_KEY } from './queue-key.js';
import { CANCEL, DRAIN, LOOK, PAUSE, REVIVE } from './scripts.js';

/** Tasks handled by one script: more would keep everybody else waiting for Redis. */
const PORTION = 200;

/** Queues of tasks that live in Redis. */
export class StreamQueues implements QueueOperator {
  constructor(private readonly redis: RedisClient) {}

  async list(): Promise<QueueView[]> {
    const names = await this.#names();
    return Promise.all(names.map((queue) => this.#look(queue)));
  }

  depths(): Promise<QueueView[]> {
    return this.list();
  }

  async pause(queue: string, by: string): Promise<void> {
    await PAUSE.run(this.redis, [queueKey(queue)], [by]);
    await this.redis.sadd(QUEUES_KEY, queue);
  }

  async resume(queue: string): Promise<boolean> {
    return (await PAUSE.run(this.redis, [queueKey(queue)], [''])) === 1;
  }

  async drain(queue: string): Promise<number> {
    let count = 0;
    for (;;) {
      const removed = (await DRAIN.run(this.redis, [queueKey(queue)], [PORTION])) as number;
      count += removed;
      if (removed < PORTION) return count;
    }
  }

  async cancel(queue: string, id: string): Promise<void> {
    await CANCEL.run(this.redis, [queueKey(queue)], [id]);
  }

  async placeOf(id: string): Promise<LetterPlace | undefined> {
    for (const queue of await this.#names())
      for await (const entry of deadEntries(this.redis, queue))
        if (entry.letter.id === id) return { at: entry.letter.failed_at, id };
    return undefined;
  }

  async deadLetters(query: DeadLetterQuery, before?: LetterPlace): Promise<DeadLetter[]> {
    const { limit = 50 } = query;
    const letters: DeadLetter[] = [];
    for (const queue of await this.#names(query.queue)) {
      let found = 0;
      for await (const entry of deadEntries(this.redis, queue)) {
        if (!isMeant(entry, query) || (before && !isAfter(entry.letter, before))) continue;
        letters.push(entry.letter);
        if (++found === limit) break;
      }
    }
    return letters;
  }

  async replay(choice: DeadLetterChoice): Promise<number> {
    return this.#each(choice, async (queue, entries) => {
      const args = entries.flatMap(({ entry, place, task }) => {
        if (!task) return [];
        const { id, dedupe = '', payload } = task;
        const envelope = sealEnvelope({ ...task, attempt: 1, payload: JSON.stringify(payload) });
        return [entry, place, id, dedupe, envelope];
      });
      return (await REVIVE.run(this.redis, [queueKey(queue)], args)) as number;
    });
  }

  async discard(choice: DeadLetterChoice): Promise<number> {
    return this.#each(choice, (queue, entries) =>
      this.redis.xdel(`${queueKey(queue)}:x`, ...entries.map(({ entry }) => entry)),
    );
  }

  /** Every queue that ever had a task, or the one that is asked for. */
  async #names(only?: string): Promise<string[]> {
    return only === undefined ? (await this.redis.smembers(QUEUES_KEY)).toSorted() : [only];
  }

  async #each(
    choice: DeadLetterChoice,
    action: (queue: string, entries: DeadEntry[]) => Promise<number>,
  ): Promise<number> {
    let count = 0;
    for (const queue of await this.#names(choice.queue)) {
      let portion: DeadEntry[] = [];
      for await (const entry of deadEntries(this.redis, queue)) {
        if (!isMeant(entry, choice)) continue;
        portion.push(entry);
        if (portion.length < PORTION) continue;
        count += await action(queue, portion);
        portion = [];
      }
      if (portion.length > 0) count += await action(queue, portion);
    }
    return count;
  }

  async #look(queue: string): Promise<QueueView> {
    type Look = [string, number, number, number, number, number, number, number];
    const [by, waiting, delayed, running, dead, oldest, ended, workers] = (await LOOK.run(this.redis, [
      queueKey(queue),
    ])) as Look;
    return {
      queue,
      paused: by !== '',
      paused_by: by || null,
      waiting,
      delayed,
      running,
      dead,
      oldest_waiting_seconds: oldest < 0 ? null : oldest / 1000,
      finished_last_minute: ended,
      workers,
    };
  }
}
