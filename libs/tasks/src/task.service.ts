import { Inject, Injectable } from '@nestjs/common';
import { integerOption, type SqlClient } from '@yuxi/core';
import { openTasksWith, removeFinished, requestCancel } from './store/control.js';
import { listTasks, readOwnership, readTask } from './store/view.js';
import type { TaskFilter, TaskList, TaskOwnership, TaskStatus, TaskView } from './task.types.js';
import { TaskActiveError, TaskFinishedError, TaskNotFoundError } from './tasks.errors.js';
import { WakeUp } from './worker/wake-up.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** Tasks as users see them. Every replica returns the same, because each call reads the database. */
@Injectable()
export class TaskService {
  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly wakeUp: WakeUp,
  ) {}

  /** Newest first. A group is one entry, without its members. @param query `limit` 1..100, default 100 */
  async list(query: TaskFilter & { status?: TaskStatus; limit?: number } = {}): Promise<TaskList> {
    const { limit = 100 } = query;
    integerOption('limit', limit, { max: 100, where: 'TaskService.list' });
    return listTasks(this.sql, { ...query, limit });
  }

  /** @throws {TaskNotFoundError} */
  async get(id: string, filter: TaskFilter = {}): Promise<TaskView> {
    const task = await readTask(this.sql, id, filter);
    if (!task) throw new TaskNotFoundError(id);
    return task;
  }

  /** @throws {TaskNotFoundError} */
  async ownership(id: string): Promise<TaskOwnership> {
    const found = await readOwnership(this.sql, id);
    if (!found) throw new TaskNotFoundError(id);
    return found;
  }

  /**
   * Cancels a pending task at once. The signal of a running task aborts within about a second, on whichever replica it runs. The task
   * ends as cancelled unless its handler still completes. For a group: all its members.
   * @throws {TaskNotFoundError} {@link TaskFinishedError}
   */
  async cancel(id: string, filter: TaskFilter = {}): Promise<TaskView> {
    await this.get(id, filter);
    const changed = await requestCancel(this.sql, id);
    const task = await this.get(id, filter);
    if (changed === 0) throw new TaskFinishedError(id, task.status);
    this.wakeUp.notifyHeartbeat();
    return task;
  }

  /**
   * Cancels all tasks and groups whose payload contains the given object, for example those of a record that is deleted.
   * @returns how many tasks had not ended
   */
  async cancelWith(payload: object): Promise<number> {
    const ids = await openTasksWith(this.sql, payload);
    if (ids.length === 0) return 0;
    const changed = await requestCancel(this.sql, ...ids);
    this.wakeUp.notifyHeartbeat();
    return changed;
  }

  /** Removes a finished task, or a finished group with its members. @throws {TaskNotFoundError} {@link TaskActiveError} */
  async remove(id: string, filter: TaskFilter = {}): Promise<void> {
    await this.get(id, filter);
    if (!(await removeFinished(this.sql, id))) throw new TaskActiveError(id);
  }
}
