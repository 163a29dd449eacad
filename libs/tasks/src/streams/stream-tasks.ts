import { Inject, Injectable, Optional } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { REDIS_CONNECTION, type RedisClient, ScriptBatch } from '@yuxi/redis';
import { type CarriedContext, packContext, PackedContext } from '../packed-context.js';
import type { NewTask } from '../store/insert.js';
import { TaskRegistry } from '../task.registry.js';
import { QueueFullError } from '../tasks.errors.js';
import { resolveTasksOptions, type TasksOptions } from '../tasks.options.js';
import { TASKS_OPTIONS } from '../tasks.tokens.js';
import { ADD, CANCEL, PROMOTE, queueKey, QUEUES_KEY } from './scripts.js';

/** Most tasks that one script adds. A longer script would delay the commands of all other clients. */
const PER_SCRIPT = 500;

/** A task as arguments of a script that begins with `ENQUEUE_LUA`: `enqueue(how, envelope)`. */
export interface SerializedTask {
  id: string;
  /** KEYS[1] of the script. */
  key: string;
  how: string | number;
  envelope: string;
}

/** Enqueues tasks that live in Redis. */
@Injectable()
export class StreamTasks {
  readonly #adder?: StreamAdder;
  readonly #byDefault: boolean;

  constructor(
    @Inject(TASKS_OPTIONS) options: TasksOptions,
    private readonly registry: TaskRegistry,
    @Optional() @Inject(REDIS_CONNECTION) private readonly redis?: RedisClient,
  ) {
    const { engine, streams } = resolveTasksOptions(options);
    this.#byDefault = engine === 'streams';
    if (redis) this.#adder = new StreamAdder(redis, streams.maxLength);
  }

  /** Whether tasks of this name live in Redis. */
  usesStreams(name: string): boolean {
    const engine = this.registry.get(name)?.engine;
    return engine === undefined ? this.#byDefault : engine === 'streams';
  }

  /** Whether any task of this application lives in Redis. */
  get inUse(): boolean {
    return this.#byDefault || this.registry.all().some(({ engine }) => engine === 'streams');
  }

  /** @throws {QueueFullError} {@link RedisUnavailableError}, after which the task may still have been added */
  enqueue(task: NewTask, ownId: boolean): Promise<string> {
    if (!this.#adder)
      throw new OptionsError('engine', 'rows, as there is no RedisModule', 'streams', `enqueue ${task.name}`);
    return this.#adder.add(task, envelopeOf(task), ownId);
  }

  serialize(task: NewTask, ownId: boolean): SerializedTask {
    this.#adder?.announce(task.queue);
    return { id: task.id, key: queueKey(task.queue), how: howOf(task, ownId), envelope: envelopeOf(task) };
  }

  async cancel(queue: string, id: string): Promise<void> {
    if (this.redis) await CANCEL.run(this.redis, [queueKey(queue)], [id]);
  }

  async promote(queue: string, id: string): Promise<void> {
    if (this.redis) await PROMOTE.run(this.redis, [queueKey(queue)], [id]);
  }
}

/** Sends tasks to their queues. Tasks enqueued in one turn of the event loop share a script. */
class StreamAdder {
  readonly #batches = new Map<string, ScriptBatch>();
  readonly #announced = new Set<string>();

  constructor(
    private readonly redis: RedisClient,
    /** Most tasks that a queue may hold, 0: any number. */
    private readonly most: number,
  ) {}

  /**
   * @param ownId whether the caller has chosen the id
   * @returns id of the task, or of the task that already holds this id or dedupe key
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

  /** Adds the queue to the list that operators read. After a failure the next process adds it. */
  announce(queue: string): void {
    if (this.#announced.has(queue)) return;
    this.#announced.add(queue);
    void this.redis.sadd(QUEUES_KEY, queue).catch(() => this.#announced.delete(queue));
  }
}

/** How the script adds a task, see `enqueue.lua`. */
function howOf({ id, name, delay, priority, dedupe, dedupeFor }: NewTask, ownId: boolean): string | number {
  const stream = priority > 0 ? 1 : priority < 0 ? 3 : 2;
  if (delay === 0 && !ownId && dedupe === undefined) return stream;
  return JSON.stringify([
    stream,
    Math.ceil(delay),
    id,
    ownId,
    dedupeFor,
    dedupe === undefined ? '' : `${name}:${dedupe}`,
  ]);
}

function envelopeOf({ id, name, version, payload, owner, dedupe }: NewTask): string {
  return writeEnvelope({
    id,
    name,
    version,
    attempt: 1,
    payload,
    owner,
    // The key is unique within the name of the task, as in the rows engine.
    dedupe: dedupe === undefined ? undefined : `${name}:${dedupe}`,
    context: requestContext.getStore(),
  });
}

/** A task as its stream entry holds it. */
export interface Envelope {
  id: string;
  name: string;
  version: number;
  /** Number of the next run. */
  attempt: number;
  /** JSON text. */
  payload: string;
  owner?: string;
  /** Released when the task has ended. */
  dedupe?: string;
  /** Of the request that enqueued the task. */
  context?: CarriedContext;
}

export type OpenedEnvelope = Omit<Envelope, 'payload'> & { payload: unknown };

/** Fields that few tasks have. */
interface Extra {
  v?: number;
  a?: number;
  o?: string;
  k?: string;
}

/** @returns `[id, name, payload, context?, extra?]` as JSON */
export function writeEnvelope({ id, name, version, attempt, payload, owner, dedupe, context }: Envelope): string {
  const head = `[${JSON.stringify(id)},"${name}",${payload}`;
  const plain = version === 1 && attempt === 1 && owner === undefined && dedupe === undefined;
  if (plain && !context) return `${head}]`;
  const from = context ? JSON.stringify(packContext(context)) : '0';
  if (plain) return `${head},${from}]`;
  const extra: Extra = { v: version, a: attempt, o: owner, k: dedupe };
  return `${head},${from},${JSON.stringify(extra)}]`;
}

/** @throws {SyntaxError} {@link TypeError} for a text that {@link writeEnvelope} did not write */
export function readEnvelope(text: string): OpenedEnvelope {
  type Parts = [id: string, name: string, payload: unknown, context?: string | 0, extra?: Extra];
  const [id, name, payload, from, extra] = JSON.parse(text) as Parts;
  const context = from ? new PackedContext(from) : undefined;
  return {
    id,
    name,
    payload,
    context,
    version: extra?.v ?? 1,
    attempt: extra?.a ?? 1,
    owner: extra?.o,
    dedupe: extra?.k,
  };
}
