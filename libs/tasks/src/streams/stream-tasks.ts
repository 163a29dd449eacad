import { Inject, Injectable, Optional } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import type { NewTask } from '../store/insert.js';
import { TaskRegistry } from '../task.registry.js';
import { resolveTasksOptions, type TasksOptions } from '../tasks.options.js';
import { TASKS_OPTIONS } from '../tasks.tokens.js';
import { sealEnvelope } from './envelope.js';
import { StreamQueues } from './stream-queues.js';
import { howOf, StreamAdder } from './stream-adder.js';
import { queueKey } from './queue-key.js';
import { HASTEN } from './scripts.js';

/** A task as arguments of a script that begins with `ENQUEUE_LUA`: `enqueue(how, envelope)`. */
export interface SealedTask {
  id: string;
  /** KEYS[1] of the script. */
  key: string;
  how: string | number;
  envelope: string;
}

/** Tasks that live in Redis. */
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
  carries(name: string): boolean {
    const engine = this.registry.get(name)?.engine;
    return engine === undefined ? this.#byDefault : engine === 'streams';
  }

  /** Whether there is any such task. */
  get inUse(): boolean {
    return this.#byDefault || this.registry.all().some(({ engine }) => engine === 'streams');
  }

  /** @throws {QueueFullError} {@link RedisUnavailableError}, after which it may still be there */
  enqueue(task: NewTask, ownId: boolean): Promise<string> {
    if (!this.#adder)
      throw new OptionsError('engine', 'rows, as there is no RedisModule', 'streams', `enqueue ${task.name}`);
    return this.#adder.add(task, envelopeOf(task), ownId);
  }

  seal(task: NewTask, ownId: boolean): SealedTask {
    this.#adder?.announce(task.queue);
    return { id: task.id, key: queueKey(task.queue), how: howOf(task, ownId), envelope: envelopeOf(task) };
  }

  async cancel(queue: string, id: string): Promise<void> {
    if (this.redis) await new StreamQueues(this.redis).cancel(queue, id);
  }

  async hasten(queue: string, id: string): Promise<void> {
    if (this.redis) await HASTEN.run(this.redis, [queueKey(queue)], [id]);
  }
}

function envelopeOf({ id, name, version, payload, owner, dedupe }: NewTask): string {
  return sealEnvelope({
    id,
    name,
    version,
    attempt: 1,
    payload,
    owner,
    // One key for each name, as it is with tasks that are rows.
    dedupe: dedupe === undefined ? undefined : `${name}:${dedupe}`,
    context: requestContext.getStore(),
  });
}
