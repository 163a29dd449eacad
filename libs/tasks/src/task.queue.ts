import { Inject, Injectable } from '@nestjs/common';
import { OptionsError, toMs, type SqlClient } from '@yuxi/core';
import { toJson } from './json.js';
import { hasten, requestCancel } from './store/control.js';
import { closeGroups } from './store/groups.js';
import { insertGroup, insertTask, type NewTask } from './store/insert.js';
import { isPromise } from './promise.js';
import { newId } from './task-id.js';
import { type SealedTask, StreamTasks } from './streams/stream-tasks.js';
import { TaskRegistry } from './task.registry.js';
import type { EnqueueOptions, GroupOptions } from './task.types.js';
import { WakeUp } from './worker/wake-up.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** Most members of one group; their ids are numbered with six digits. */
const MAX_GROUP = 100_000;
const DAY = 86_400_000;

@Injectable()
export class TaskQueue {
  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly registry: TaskRegistry,
    private readonly wakeUp: WakeUp,
    private readonly streams: StreamTasks,
  ) {}

  /**
   * Stores a task; any worker may run it from now on.
   * @param tx a transaction of the caller: the task exists exactly if that one commits. Not for tasks that live in Redis.
   * @returns the id
   * @throws {PayloadError} for a payload that is no JSON, larger than 256 KiB, or not what the handler's schema allows
   * (checked when the handler is known in this process); {@link OptionsError}; for a task that lives in Redis also
   * {@link QueueFullError}, and {@link RedisUnavailableError}, after which it may still be there
   */
  async enqueue(name: string, payload: unknown, options: EnqueueOptions = {}, tx?: SqlClient): Promise<string> {
    const checked = this.check(name, payload);
    const task = this.newTask(name, typeof checked === 'string' ? checked : await checked, options);
    if (this.streams.carries(name)) {
      if (tx) throw new OptionsError('tx', 'left out for a task that lives in Redis', 'given', `enqueue ${name}`);
      return this.streams.enqueue(task, options.id !== undefined);
    }
    const stored = await insertTask(tx ?? this.sql, task);
    this.wakeUp.poke();
    return stored;
  }

  /**
   * Stores one task for each payload, all of them or none, under a group whose status, progress and result are counted over them.
   * @returns id of the group
   * @throws as {@link enqueue}, before anything is stored
   */
  async enqueueGroup(
    name: string,
    payloads: readonly unknown[],
    options: GroupOptions = {},
    tx?: SqlClient,
  ): Promise<string> {
    if (this.streams.carries(name))
      throw new OptionsError('engine', 'rows for the tasks of a group', 'streams', `enqueueGroup ${name}`);
    if (payloads.length > MAX_GROUP)
      throw new OptionsError('payloads', `at most ${MAX_GROUP} tasks`, payloads.length, `enqueueGroup ${name}`);
    const id = newId();
    const group = {
      id,
      name: options.name ?? name,
      title: options.title ?? '',
      payload: toJson(options.name ?? name, options.payload ?? {}),
      owner: options.owner,
      scope: options.scope,
    };
    const members: string[] = [];
    for (const payload of payloads) members.push(await this.check(name, payload));
    const write = async (client: SqlClient) => {
      await insertGroup(client, group, { ...this.newTask(name, '', options), title: '' }, members);
      if (members.length === 0) await closeGroups(client, [id]);
    };
    await (tx ? write(tx) : this.sql.transaction(write));
    this.wakeUp.poke();
    return id;
  }

  /**
   * A task that waits never begins; the signal of one that runs aborts within about a second, wherever it runs. Nothing happens if it
   * has ended or never was. For tasks that are rows `TaskService.cancel` says more.
   * @param queue where it was enqueued. Default: that of the handler if it is known here, else `default`
   */
  async cancel(name: string, id: string, queue = this.registry.get(name)?.queue ?? 'default'): Promise<void> {
    if (this.streams.carries(name)) return this.streams.cancel(queue, id);
    await requestCancel(this.sql, id);
    this.wakeUp.pokeBeat();
  }

  /** Makes a task due that waits for its time, as after a failed run. Nothing happens if it does not wait. */
  async hasten(name: string, id: string, queue = this.registry.get(name)?.queue ?? 'default'): Promise<void> {
    if (this.streams.carries(name)) return this.streams.hasten(queue, id);
    await hasten(this.sql, id);
    this.wakeUp.poke();
  }

  /**
   * A task for a script of the caller's that begins with `ENQUEUE_LUA`, so that it exists exactly if what else the script does took
   * place. The limit of the queue's length does not hold for it.
   * @throws {PayloadError} {@link OptionsError} as {@link enqueue}
   */
  async sealed(name: string, payload: unknown, options: EnqueueOptions = {}): Promise<SealedTask> {
    return this.streams.seal(this.newTask(name, await this.check(name, payload), options), options.id !== undefined);
  }

  private check(name: string, payload: unknown): string | Promise<string> {
    const json = toJson(name, payload);
    const parsed = this.registry.get(name)?.parse(payload);
    return isPromise(parsed) ? parsed.then(() => json) : json;
  }

  private newTask(name: string, payload: string, options: EnqueueOptions): NewTask {
    const known = this.registry.get(name);
    const {
      id = newId(),
      priority = 0,
      delay = 0,
      title = '',
      owner,
      scope,
      dedupe,
      dedupeFor = 0,
      queue = known?.queue ?? 'default',
    } = options;
    if (id.length === 0 || id.length > 128) throw new OptionsError('id', '1..128 characters', id, `enqueue ${name}`);
    if (dedupe !== undefined && (dedupe.length === 0 || dedupe.length > 200))
      throw new OptionsError('dedupe', '1..200 characters', dedupe, `enqueue ${name}`);
    if (scope !== undefined && !/^[^\0]{1,200}$/s.test(scope))
      throw new OptionsError('scope', '1..200 characters', scope, `enqueue ${name}`);
    if (!Number.isInteger(priority) || Math.abs(priority) > 32_767)
      throw new OptionsError('priority', 'an integer -32767..32767', priority, `enqueue ${name}`);
    return {
      id,
      name,
      version: known?.version ?? 1,
      queue,
      title,
      payload,
      priority,
      maxAttempts: known?.attempts ?? 3,
      delay: delay === 0 ? 0 : toMs('delay', delay, { min: 0, max: 3650 * DAY, where: `enqueue ${name}` }),
      owner,
      scope,
      dedupe,
      dedupeFor: dedupeFor === 0 ? 0 : toMs('dedupeFor', dedupeFor, { max: 7 * DAY, where: `enqueue ${name}` }),
    };
  }
}
