import { randomFillSync } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { integerOption, OptionsError, type SqlClient, toMs } from '@yuxi/core';
import { toJson } from './json.js';
import { promote, requestCancel } from './store/control.js';
import { closeGroups } from './store/groups.js';
import { insertGroup, insertTask, type NewTask } from './store/insert.js';
import { type SerializedTask, StreamTasks } from './streams/stream-tasks.js';
import { isPromise, TaskRegistry } from './task.registry.js';
import type { EnqueueOptions, GroupOptions } from './task.types.js';
import { TASKS_SQL } from './tasks.tokens.js';
import { WakeUp } from './worker/wake-up.js';

/** Most members of one group. Their ids are numbered with six digits. */
const MAX_GROUP = 100_000;
const DAY = 86_400_000;

/** Enqueues tasks. */
@Injectable()
export class TaskQueue {
  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly registry: TaskRegistry,
    private readonly wakeUp: WakeUp,
    private readonly streams: StreamTasks,
  ) {}

  /**
   * Stores a task. Any worker may run it from then on.
   * @param tx a transaction of the caller: the task exists only if it commits. Not for tasks that live in Redis.
   * @returns the id
   * @throws {PayloadError} for a payload that is not JSON, is larger than 256 KiB, or does not match the schema of the handler. The
   * schema is checked if this process has the handler.
   * @throws {OptionsError}
   * @throws {QueueFullError} for a task that lives in Redis
   * @throws {RedisUnavailableError} for a task that lives in Redis; the task may still have been added
   */
  async enqueue(name: string, payload: unknown, options: EnqueueOptions = {}, tx?: SqlClient): Promise<string> {
    const checked = this.#check(name, payload);
    const task = this.#newTask(name, typeof checked === 'string' ? checked : await checked, options);
    if (this.streams.usesStreams(name)) {
      if (tx) throw new OptionsError('tx', 'omitted for a task that lives in Redis', 'given', `enqueue ${name}`);
      return this.streams.enqueue(task, options.id !== undefined);
    }
    const stored = await insertTask(tx ?? this.sql, task);
    this.wakeUp.notify();
    return stored;
  }

  /**
   * Stores one task for each payload, all of them or none, in a group. Status, progress and result of the group are counted over its
   * members.
   * @returns id of the group
   * @throws as {@link enqueue}, before anything is stored
   */
  async enqueueGroup(
    name: string,
    payloads: readonly unknown[],
    options: GroupOptions = {},
    tx?: SqlClient,
  ): Promise<string> {
    if (this.streams.usesStreams(name))
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
    for (const payload of payloads) members.push(await this.#check(name, payload));
    const write = async (client: SqlClient) => {
      await insertGroup(client, group, { ...this.#newTask(name, '', options), title: '' }, members);
      if (members.length === 0) await closeGroups(client, [id]);
    };
    await (tx ? write(tx) : this.sql.transaction(write));
    this.wakeUp.notify();
    return id;
  }

  /**
   * Cancels a task. If it waits, it never begins. If it runs, its signal aborts within about a second, in whichever process. Does
   * nothing for a task that has ended or does not exist. `TaskService.cancel` reports more about tasks that are rows.
   * @param queue of the task. Default: that of the handler if this process has it, else `default`
   */
  async cancel(name: string, id: string, queue = this.registry.get(name)?.queue ?? 'default'): Promise<void> {
    if (this.streams.usesStreams(name)) return this.streams.cancel(queue, id);
    await requestCancel(this.sql, id);
    this.wakeUp.notifyHeartbeat();
  }

  /** Makes a delayed task due now, for example one that waits for its next attempt. Does nothing for a task that is not delayed. */
  async promote(name: string, id: string, queue = this.registry.get(name)?.queue ?? 'default'): Promise<void> {
    if (this.streams.usesStreams(name)) return this.streams.promote(queue, id);
    await promote(this.sql, id);
    this.wakeUp.notify();
  }

  /**
   * Serializes a task for a script of the caller that begins with `ENQUEUE_LUA`: the script adds the task together with its own
   * changes. The limit on the length of the queue does not apply.
   * @throws {PayloadError} {@link OptionsError} as {@link enqueue}
   */
  async serialized(name: string, payload: unknown, options: EnqueueOptions = {}): Promise<SerializedTask> {
    const task = this.#newTask(name, await this.#check(name, payload), options);
    return this.streams.serialize(task, options.id !== undefined);
  }

  /** @returns the payload as JSON text; a promise only for a schema with asynchronous checks */
  #check(name: string, payload: unknown): string | Promise<string> {
    const json = toJson(name, payload);
    const parsed = this.registry.get(name)?.parse(payload);
    return isPromise(parsed) ? parsed.then(() => json) : json;
  }

  #newTask(name: string, payload: string, options: EnqueueOptions): NewTask {
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
    const where = `enqueue ${name}`;
    if (id.length === 0 || id.length > 128) throw new OptionsError('id', '1..128 characters', id, where);
    if (dedupe !== undefined && (dedupe.length === 0 || dedupe.length > 200))
      throw new OptionsError('dedupe', '1..200 characters', dedupe, where);
    if (scope !== undefined && !/^[^\0]{1,200}$/s.test(scope))
      throw new OptionsError('scope', '1..200 characters', scope, where);
    return {
      id,
      name,
      version: known?.version ?? 1,
      queue,
      title,
      payload,
      priority: integerOption('priority', priority, { min: -32_767, max: 32_767, where }),
      maxAttempts: known?.attempts ?? 3,
      delay: delay === 0 ? 0 : toMs('delay', delay, { min: 0, max: 3650 * DAY, where }),
      owner,
      scope,
      dedupe,
      dedupeFor: dedupeFor === 0 ? 0 : toMs('dedupeFor', dedupeFor, { max: 7 * DAY, where }),
    };
  }
}

const RANDOM = 6;
/** Random bytes are drawn in bulk, because a draw of a few bytes takes as long as one of a thousand. */
const pool = Buffer.alloc(RANDOM * 128);
let used = pool.length;

/** An id that sorts by time of creation and cannot be guessed. */
function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString('base64url', used, (used += RANDOM));
  return Date.now().toString(36).padStart(8, '0') + random;
}
