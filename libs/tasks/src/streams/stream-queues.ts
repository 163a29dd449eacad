import type { RedisClient } from '@yuxi/redis';
import type {
  DeadLetter,
  DeadLetterChoice,
  DeadLetterCursor,
  DeadLetterQuery,
  QueueOperator,
  QueueView,
} from '../queue-operator.js';
import { DRAIN, LOOK, PAUSE, queueKey, QUEUES_KEY, REVIVE } from './scripts.js';
import { type OpenedEnvelope, readEnvelope, writeEnvelope } from './stream-tasks.js';

/** Tasks handled by one command. A longer script would delay the commands of all other clients. */
const PORTION = 200;

/** Queues of tasks that live in Redis. */
export class StreamQueues implements QueueOperator {
  constructor(private readonly redis: RedisClient) {}

  async list(): Promise<QueueView[]> {
    const names = await this.#names();
    return Promise.all(names.map((queue) => this.#view(queue)));
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

  async cursorOf(id: string): Promise<DeadLetterCursor | undefined> {
    for (const queue of await this.#names())
      for await (const { letter } of deadEntries(this.redis, queue))
        if (letter.id === id) return { at: letter.failed_at, id };
    return undefined;
  }

  async deadLetters(query: DeadLetterQuery, before?: DeadLetterCursor): Promise<DeadLetter[]> {
    const { limit = 50 } = query;
    const letters: DeadLetter[] = [];
    for (const queue of await this.#names(query.queue)) {
      let found = 0;
      for await (const { letter } of deadEntries(this.redis, queue)) {
        if (!isChosen(letter, query) || (before && !isAfter(letter, before))) continue;
        letters.push(letter);
        if (++found === limit) break;
      }
    }
    return letters;
  }

  async replay(choice: DeadLetterChoice): Promise<number> {
    return this.#each(choice, async (queue, entries) => {
      const args = entries.flatMap(({ entry, stream, task }) => {
        if (!task) return [];
        const { id, dedupe = '', payload } = task;
        const envelope = writeEnvelope({ ...task, attempt: 1, payload: JSON.stringify(payload) });
        return [entry, stream, id, dedupe, envelope];
      });
      return (await REVIVE.run(this.redis, [queueKey(queue)], args)) as number;
    });
  }

  async discard(choice: DeadLetterChoice): Promise<number> {
    return this.#each(choice, (queue, entries) =>
      this.redis.xdel(`${queueKey(queue)}:x`, ...entries.map(({ entry }) => entry)),
    );
  }

  /** Every queue that ever had a task, or only the given one. */
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
        if (!isChosen(entry.letter, choice)) continue;
        portion.push(entry);
        if (portion.length < PORTION) continue;
        count += await action(queue, portion);
        portion = [];
      }
      if (portion.length > 0) count += await action(queue, portion);
    }
    return count;
  }

  async #view(queue: string): Promise<QueueView> {
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

/** A dead letter as an entry of its stream. */
interface DeadEntry {
  entry: string;
  /** Stream from which the task came: 1 high, 2 normal, 3 low. */
  stream: number;
  /** Undefined when the envelope cannot be read. */
  task?: OpenedEnvelope;
  letter: DeadLetter;
}

/** Dead letters of a queue, newest first. They are read in portions, as far as the caller iterates. */
async function* deadEntries(redis: RedisClient, queue: string): AsyncGenerator<DeadEntry> {
  for (let from = '+'; ;) {
    const entries = await redis.xrevrange(`${queueKey(queue)}:x`, from, '-', 'COUNT', PORTION);
    for (const [entry, fields] of entries) yield readEntry(queue, entry, fields);
    if (entries.length < PORTION) return;
    from = `(${entries.at(-1)![0]}`;
  }
}

function readEntry(queue: string, entry: string, fields: string[]): DeadEntry {
  const { d = '', p = '2', n = '0', e = '' } = Object.fromEntries(pairs(fields));
  const failed = new Date(Number(entry.split('-', 1)[0]));
  const rest = {
    queue,
    title: '',
    error: e,
    attempts: Number(n),
    group_id: null,
    created_at: failed,
    failed_at: failed,
  };
  const found = { entry, stream: Number(p) };
  try {
    const task = readEnvelope(d);
    const { id, name, version, payload, owner = null } = task;
    return { ...found, task, letter: { id, name, version, payload, owner, ...rest } };
  } catch {
    return { ...found, letter: { id: entry, name: '', version: 0, payload: d, owner: null, ...rest } };
  }
}

function* pairs(fields: string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < fields.length; i += 2) yield [fields[i]!, fields[i + 1]!];
}

function isChosen(letter: DeadLetter, { id, name, owner }: DeadLetterChoice): boolean {
  return (
    (id === undefined || letter.id === id) &&
    (name === undefined || letter.name === name) &&
    (owner === undefined || letter.owner === owner)
  );
}

function isAfter({ failed_at: at, id }: DeadLetter, cursor: DeadLetterCursor): boolean {
  return at < cursor.at || (at.getTime() === cursor.at.getTime() && id < cursor.id);
}
